package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/deadlines"
	"github.com/reelflow/reelflow/video"
)

func (s *site) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// Whoever announces a body and sends none is answered in the end, whatever they ask
// for, and their connection is closed.
func TestBodiesThatNeverCome(t *testing.T) {
	s := newSite(t)
	id := string(s.in(video.Published, "public"))
	var wait sync.WaitGroup
	for line, status := range map[string]int{
		"GET /healthz": 200, "GET /readyz": 200, "GET /openapi.json": 200, "GET /watch/" + id: 200, "GET /signin": 200, "GET /docs": 200,
		"GET /v1/videos/" + id: 200, "GET /v1/nothing": 404, "GET /nothing": 404, "PUT /healthz": 405, "OPTIONS /v1/videos": 405,
		"POST /signout": 403, "DELETE /v1/videos/" + id: 401, "POST /v1/videos": 503, "POST /v1/videos/" + id + "/pause": 503,
		"PUT /v1/uploads/x": 405, "GET /v1/uploads/x": 405, "POST /v1/uploads/": 400, "PATCH /v1/uploads/x": 404, "HEAD /v1/uploads/x": 404,
		"GET /play/" + id + "/x/master.m3u8": 503, "GET /play/nothing": 404,
	} {
		for _, body := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
			conn := s.dial()
			wait.Go(func() {
				if err := checkEnds(conn, line, body, status); err != nil {
					t.Errorf("%s, %s: %v", line, body, err)
				}
			})
		}
	}
	wait.Wait()
}

// checkEnds sends the head of a request, and returns an error unless it is answered with
// this status and the connection ends.
func checkEnds(conn net.Conn, line, body string, status int) error {
	method, _, _ := strings.Cut(line, " ")
	head := line + " HTTP/1.1\r\nHost: " + conn.RemoteAddr().String() + "\r\nContent-Type: application/json\r\nTus-Resumable: 1.0.0\r\n" + body + "\r\n\r\n"
	if err := conn.SetDeadline(time.Now().Add(5 * deadlines.BodyTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	got, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != status {
		return fmt.Errorf("answered %d, not %d", got.StatusCode, status)
	}
	if _, err := io.Copy(io.Discard, got.Body); err != nil {
		return err
	}
	if _, err := in.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the connection stays open")
	}
	return nil
}

// Whoever asks and asks and reads nothing is cut off, whatever the answers are.
func TestReadersWhoNeverRead(t *testing.T) {
	s := newSite(t)
	s.bounds.Stall = 500 * time.Millisecond
	// With little room in the kernel the gateway waits after some answers, not after thousands.
	server := httptest.NewUnstartedServer(s.Handler())
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	defer server.Close()
	s.url = server.URL
	id := string(s.in(video.Published, "public"))
	var wait sync.WaitGroup
	for _, path := range []string{"/healthz", "/openapi.json", "/watch/" + id, "/v1/videos/" + id, "/nothing", "/v1/nothing"} {
		conn := s.dial()
		wait.Go(func() {
			request := "GET " + path + " HTTP/1.1\r\nHost: " + conn.RemoteAddr().String() + "\r\n\r\n"
			// Each write gets much longer than its answers take: it can't go through for as
			// long as the gateway waits for us.
			for err := error(nil); err == nil; {
				if err = conn.SetWriteDeadline(time.Now().Add(20 * time.Second)); err == nil {
					_, err = io.WriteString(conn, strings.Repeat(request, 500))
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: the gateway still waits", path)
				}
			}
		})
	}
	wait.Wait()
}
