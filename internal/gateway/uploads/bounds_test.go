package uploads_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

// rawConn is a connection of its own, on which a client does what no library would.
type rawConn struct {
	g *gateway
	net.Conn
	read *bufio.Reader
}

// dial sends the head of a request: headers are whole lines.
func (g *gateway) dial(method, url string, headers ...string) *rawConn {
	g.t.Helper()
	host := strings.TrimPrefix(g.url, "http://")
	conn, err := net.Dial("tcp", host)
	check(g.t, err)
	g.t.Cleanup(func() { conn.Close() })
	c := &rawConn{g, conn, bufio.NewReader(conn)}
	lines := append([]string{method + " " + url[strings.Index(url, "/v1/"):] + " HTTP/1.1", "Host: " + host,
		"Tus-Resumable: 1.0.0", "Authorization: Bearer dev:me"}, headers...)
	c.write(strings.Join(lines, "\r\n") + "\r\n\r\n")
	return c
}

func (c *rawConn) write(text string) {
	c.g.t.Helper()
	_, err := io.WriteString(c, text)
	check(c.g.t, err)
}

func (c *rawConn) answer() reply {
	c.g.t.Helper()
	check(c.g.t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	a, err := http.ReadResponse(c.read, nil)
	check(c.g.t, err)
	text, err := io.ReadAll(a.Body)
	check(c.g.t, err)
	return reply{a.StatusCode, a.Header, string(text)}
}

// closes demands that the server ends the connection.
func (c *rawConn) closes() {
	c.g.t.Helper()
	check(c.g.t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	if _, err := c.read.ReadByte(); err == nil || isTimeout(err) {
		c.g.t.Errorf("the connection stays open: %v", err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// Bytes that are announced and never come hold no connection, whatever is asked with them.
func TestBodiesThatNeverCome(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.Silence = time.Second })
	url, _ := g.create(1000)
	send := []string{"Content-Length: 1000", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"}
	for name, x := range map[string]struct {
		method, url string
		headers     []string
		status      int
		reason      string
	}{
		"PATCH":                {"PATCH", url, send, 503, "slow"},
		"POST with a file":     {"POST", g.url + uploads.Path, append([]string{"Upload-Length: 1000"}, send...), 503, "slow"},
		"POST without":         {"POST", g.url + uploads.Path, []string{"Upload-Length: 1000", "Content-Length: 5"}, 201, ""},
		"HEAD":                 {"HEAD", url, []string{"Content-Length: 5"}, 200, ""},
		"OPTIONS":              {"OPTIONS", url, []string{"Content-Length: 5"}, 200, ""},
		"an unknown upload":    {"PATCH", g.url + uploads.Path + strings.Repeat("a", 26), send, 404, ""},
		"DELETE of an unknown": {"DELETE", g.url + uploads.Path + strings.Repeat("a", 26), []string{"Content-Length: 5"}, 404, ""},
	} {
		c := g.dial(x.method, x.url, x.headers...)
		check(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		a, err := http.ReadResponse(c.read, &http.Request{Method: x.method})
		if err != nil || a.StatusCode != x.status {
			t.Errorf("%s: %v %v", name, a, err)
			continue
		}
		text, err := io.ReadAll(a.Body)
		check(t, err)
		if x.reason != "" && g.problem(reply{a.StatusCode, a.Header, string(text)}).Reason != x.reason {
			t.Errorf("%s: %s", name, text)
		}
		c.closes()
	}
}

// A byte now and then is not progress; half a kilobyte a second is, for as long as it takes.
func TestBytesThatComeTooSlowly(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.Silence = time.Second })
	file := someFile(50, 20_000)
	url, id := g.create(20_000)
	dribble := func(c *rawConn, file []byte, each int) {
		for len(file) > 0 {
			if _, err := c.Write(file[:each]); err != nil {
				return
			}
			file = file[each:]
			time.Sleep(200 * time.Millisecond)
		}
	}
	send := []string{"Content-Length: 20000", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"}
	c := g.dial("PATCH", url, send...)
	go dribble(c, file, 1)
	a := c.answer()
	g.expect(a, http.StatusServiceUnavailable)
	if p := g.problem(a); p.Reason != "slow" || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	c.closes()
	kept := g.head(url).offset(t)
	if kept == 0 || kept > 100 {
		t.Errorf("%d bytes were kept", kept)
	}
	g.verify(id, file[:kept])

	url, id = g.create(20_000)
	c = g.dial("PATCH", url, send...)
	go dribble(c, file, 1000) // four seconds, four times the silence
	g.expect(c.answer(), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// Whoever is refused can't make the gateway read on.
func TestLittleIsReadAfterARefusal(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(100_000_000)
	check(t, g.control(t.Context(), controlOf(id, true)))
	before := g.taken.Load()
	c := g.dial("PATCH", url, "Content-Length: 100000000", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
	go io.Copy(c, bytes.NewReader(make([]byte, 100_000_000))) // until the connection breaks
	g.expect(c.answer(), http.StatusLocked)
	c.closes()
	if n := g.taken.Load() - before; n > 400<<10 { // 256 KiB, and what its buffers take at once
		t.Errorf("%d bytes were read of a request that was refused", n)
	}
}

// Pieces of a few bytes are taken so many times, and then no more, however they come.
func TestSmallPiecesEnd(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.FreeSegments = 5; s.FlushAfter = 50 * time.Millisecond })
	file := someFile(51, 300_000)
	url, id := g.create(int64(len(file)))
	at := int64(0)
	for range 5 {
		g.expect(g.patch(url, at, bytes.NewReader(file[at:at+10])), http.StatusNoContent)
		at += 10
	}
	for name, body := range map[string]io.Reader{"announced": bytes.NewReader(file[at : at+10]), "chunked": chunked(file[at : at+1000])} {
		a := g.patch(url, at, body)
		if p := g.problem(a); a.status != 400 || p.Code != video.Invalid || p.Reason != "piece_too_small" || !strings.Contains(p.Detail, "64 KiB") {
			t.Errorf("%s: %d %+v", name, a.status, p)
		}
	}
	// Nor by breaking off, nor by coming slowly.
	s := g.send(url, at)
	if _, err := s.Write(file[at : at+500]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // ten times the time after which few bytes would be stored
	s.drop()
	if got := g.head(url).offset(t); got != at {
		t.Errorf("the offset is %d, and was %d", got, at)
	}
	g.verify(id, file[:at])
	// Pieces of 64 KiB are welcome, and the last may be shorter.
	g.expect(g.patch(url, at, bytes.NewReader(file[at:at+64<<10])), http.StatusNoContent)
	at += 64 << 10
	g.expect(g.patch(url, at, bytes.NewReader(file[at:299_990])), http.StatusNoContent)
	g.expect(g.patch(url, 299_990, bytes.NewReader(file[299_990:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}
