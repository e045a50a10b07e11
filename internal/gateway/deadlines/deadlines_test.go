package deadlines

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dial opens a connection to handler within the bounds, whose system takes next to
// nothing from the other side.
func dial(t *testing.T, b *Bounds, handler http.HandlerFunc) net.Conn {
	t.Helper()
	server := httptest.NewServer(b.On(handler))
	t.Cleanup(server.Close)
	narrow := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if control := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) }); control != nil {
			return control
		}
		return err
	}}
	conn, err := narrow.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	if _, err := io.WriteString(conn, what); err != nil {
		t.Fatal(err)
	}
}

func answered(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	got, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if text, err := io.ReadAll(got.Body); err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
}

// Answers say how the handler's reading of the body ended.
func reading(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	r.Body.Close() // as handlers do that read it
	fmt.Fprintf(w, "%s %t", body, errors.Is(err, os.ErrDeadlineExceeded))
}

func TestABodyThatDoesNotComeEnds(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"Content-Length: 9", "Transfer-Encoding: chunked"} {
		conn := dial(t, &Bounds{200 * time.Millisecond, time.Minute}, reading)
		in := bufio.NewReader(conn)
		send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\n"+head+"\r\n\r\n")
		answered(t, in, " true")
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the connection stays: %v", head, err)
		}
	}
}

// A handler that takes longer than the body may is not canceled once the body is
// there, nor is the connection's next request.
func TestABodyThatCameHasNoDeadline(t *testing.T) {
	t.Parallel()
	bounds := &Bounds{300 * time.Millisecond, time.Minute}
	conn := dial(t, bounds, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unread" {
			fmt.Fprint(w, "first")
			return
		}
		body, err := io.ReadAll(r.Body)
		select {
		case <-r.Context().Done():
			err = r.Context().Err()
		case <-time.After(2 * bounds.Body):
		}
		fmt.Fprint(w, string(body), err)
	})
	in := bufio.NewReader(conn)
	send(t, conn, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
	answered(t, in, "first")
	for range 2 {
		send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb")
		answered(t, in, "b<nil>")
		send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, in, "<nil>")
	}
}

// A handler may take longer than a step before it writes, again and again.
func TestAnAnswerMayWaitForItsHandler(t *testing.T) {
	t.Parallel()
	bounds := &Bounds{time.Minute, 200 * time.Millisecond}
	conn := dial(t, bounds, func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			select {
			case <-r.Context().Done():
			case <-time.After(2 * bounds.Stall):
			}
			fmt.Fprint(w, "late")
		}
	})
	in := bufio.NewReader(conn)
	for range 2 {
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, in, "latelate")
	}
}

// Who reads slowly is served; who doesn't read any more is cut off.
func TestAnAnswerMovesOrEnds(t *testing.T) {
	t.Parallel()
	bounds := &Bounds{time.Minute, time.Second}
	size := 24 << 20 // more than all buffers between the two take
	ended := make(chan error, 2)
	conn := dial(t, bounds, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		n, err := w.Write([]byte(strings.Repeat("x", size)))
		if err == nil && n != size {
			err = io.ErrShortWrite
		}
		ended <- err
	})
	in := bufio.NewReader(conn)
	send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	got, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, sum := time.Now(), int64(0)
	for err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, got.Body, 1<<20)
		sum += n
		time.Sleep(80 * time.Millisecond)
	}
	if err := <-ended; err != nil || sum != int64(size) || time.Since(begun) < bounds.Stall {
		t.Errorf("%d bytes in %v, %v", sum, time.Since(begun), err)
	}
	send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * bounds.Stall):
		t.Error("it never ended")
	}
}
