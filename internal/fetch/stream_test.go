package fetch

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// origin is a web server on this machine with one file. What it does besides is
// set by each test.
type origin struct {
	*httptest.Server
	file []byte

	mu       sync.Mutex
	etag     string
	modified time.Time
	plain    bool // knows no ranges
	chunked  bool // gives no length
	before   func(w http.ResponseWriter, r *http.Request) bool

	sent   atomic.Int64 // bytes
	ranges atomic.Int64 // requests for a range
	now    atomic.Int64 // requests at this moment
	most   atomic.Int64
}

func newOrigin(t *testing.T, size int) *origin {
	t.Helper()
	o := &origin{file: make([]byte, size), etag: `"one"`}
	random := rand.NewChaCha8([32]byte{1})
	random.Read(o.file)
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// settle waits for requests to end: the origin counts what it has written a
// moment after it was read.
func (o *origin) settle() {
	for o.now.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.most.Store(max(o.most.Load(), o.now.Add(1)))
	defer o.now.Add(-1)
	if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Cookie") != "" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	o.mu.Lock()
	etag, modified, plain, before := o.etag, o.modified, o.plain, o.before
	o.mu.Unlock()
	if r.Header.Get("Range") != "" {
		o.ranges.Add(1)
	}
	counted := &counting{w, &o.sent}
	if before != nil && before(counted, r) {
		return
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	switch {
	case plain && o.chunked:
		w.(http.Flusher).Flush()
		counted.Write(o.file)
	case plain:
		w.Header().Set("Content-Length", fmt.Sprint(len(o.file)))
		counted.Write(o.file)
	default:
		http.ServeContent(counted, r, "clip.mp4", modified, bytes.NewReader(o.file))
	}
}

func (o *origin) set(how func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	how()
}

type counting struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (o *origin) client() *Client {
	c := New(Policy{Allow: []string{"127.0.0.1"}, MaxBytes: 64 << 20})
	c.idle, c.between = 300*time.Millisecond, time.Millisecond
	return c
}

// read opens the file from an offset and reads it to its end.
func (o *origin) read(t *testing.T, from int64, known *Version) (*Source, []byte, error) {
	t.Helper()
	c := o.client()
	defer c.Close()
	s, err := c.Open(t.Context(), o.URL+"/clip.mp4?token=secret", from, known)
	if err != nil {
		return nil, nil, err
	}
	stream := s.Stream(t.Context())
	defer stream.Close()
	got, err := io.ReadAll(stream)
	return s, got, err
}

const someSize = 9*stretchSize + 12345

func TestRangedSource(t *testing.T) {
	o := newOrigin(t, someSize)
	o.before = func(http.ResponseWriter, *http.Request) bool { // far away: requests meet there
		time.Sleep(30 * time.Millisecond)
		return false
	}
	s, got, err := o.read(t, 0, nil)
	if err != nil || !bytes.Equal(got, o.file) || !s.Ranges || s.Length != someSize {
		t.Fatalf("%d bytes, %+v, %v", len(got), s, err)
	}
	if o.ranges.Load() != 10 || o.most.Load() < 2 || o.most.Load() > parallel {
		t.Errorf("%d ranges were asked for, %d at once", o.ranges.Load(), o.most.Load())
	}
	o.settle()
	o.sent.Store(0)
	const from = 7*stretchSize + 77
	s, got, err = o.read(t, from, &s.Version)
	if err != nil || !bytes.Equal(got, o.file[from:]) || s.Start != from {
		t.Fatalf("from %d: %d bytes, %v", from, len(got), err)
	}
	if o.settle(); o.sent.Load() != someSize-from {
		t.Errorf("%d bytes were sent again", o.sent.Load()-(someSize-from))
	}
}

func TestSourcesWithOtherValidators(t *testing.T) {
	for name, set := range map[string]func(*origin){
		"a date":    func(o *origin) { o.etag, o.modified = "", time.Now() },
		"weak ETag": func(o *origin) { o.etag = `W/"one"` },
		"none":      func(o *origin) { o.etag = "" },
	} {
		o := newOrigin(t, someSize)
		set(o)
		s, _, err := o.read(t, 0, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s, got, err := o.read(t, 5000, &s.Version); err != nil || !s.Ranges || !bytes.Equal(got, o.file[5000:]) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestSourceWithoutRanges(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		o := newOrigin(t, someSize)
		o.plain, o.chunked = true, chunked
		s, got, err := o.read(t, 0, nil)
		if err != nil || s.Ranges || !bytes.Equal(got, o.file) || (s.Length < 0) != chunked {
			t.Fatalf("%d bytes, %+v, %v", len(got), s, err)
		}
		if s, got, err = o.read(t, 1000, &s.Version); err != nil || s.Start != 0 || !bytes.Equal(got, o.file) {
			t.Errorf("taken up: from %d, %d bytes, %v", s.Start, len(got), err)
		}
	}
}

func TestEmptySource(t *testing.T) {
	for _, plain := range []bool{false, true} {
		o := newOrigin(t, 0)
		o.plain = plain
		if s, got, err := o.read(t, 0, nil); err != nil || len(got) != 0 || s.Length != 0 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// Connections that drop after some bytes cost no byte twice.
func TestDroppedConnections(t *testing.T) {
	o := newOrigin(t, someSize)
	o.before = func(w http.ResponseWriter, r *http.Request) bool {
		var first, last int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		last = min(last, len(o.file)-1)
		if last-first < 700_000 {
			return false
		}
		w.Header().Set("ETag", o.etag)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.file)))
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(o.file[first : first+600_000])
		panic(http.ErrAbortHandler)
	}
	if _, got, err := o.read(t, 0, nil); err != nil || !bytes.Equal(got, o.file) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if o.settle(); o.sent.Load() != someSize {
		t.Errorf("%d bytes were sent for a file of %d", o.sent.Load(), someSize)
	}
}

func TestSourceThatGoesSilent(t *testing.T) {
	for _, plain := range []bool{false, true} {
		o := newOrigin(t, someSize)
		o.plain = plain
		over := make(chan struct{})
		o.before = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(o.file)))
			if r.Header.Get("Range") != "" && !plain {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(o.file)-1, len(o.file)))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(o.file[:1000])
			w.(*counting).ResponseWriter.(http.Flusher).Flush()
			<-over
			return true
		}
		began := time.Now()
		_, got, err := o.read(t, 0, nil)
		close(over)
		if video.CodeOf(err) != video.Unavailable || len(got) != 1000 || time.Since(began) > 5*time.Second {
			t.Errorf("plain %t: %d bytes, %v after %v", plain, len(got), err, time.Since(began))
		}
	}
}

// A source may be slow as long as something comes.
func TestSlowSource(t *testing.T) {
	o := newOrigin(t, 100_000)
	o.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(o.file)))
		for at := 0; at < len(o.file); at += 10_000 {
			w.Write(o.file[at : at+10_000])
			w.(*counting).ResponseWriter.(http.Flusher).Flush()
			time.Sleep(60 * time.Millisecond)
		}
		return true
	}
	if _, got, err := o.read(t, 0, nil); err != nil || !bytes.Equal(got, o.file) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestSourceThatChanges(t *testing.T) {
	// Under way: at its third request it is another file.
	for name, change := range map[string]func(*origin){
		"its ETag":   func(o *origin) { o.etag = `"two"` },
		"its length": func(o *origin) { o.etag, o.file = "", o.file[:len(o.file)-1] },
		"its date":   func(o *origin) { o.etag, o.modified = "", o.modified.Add(time.Hour) },
		"its ranges": func(o *origin) { o.etag, o.plain = `"two"`, true },
	} {
		o := newOrigin(t, someSize)
		o.modified = time.Now()
		if name == "its length" || name == "its date" {
			o.etag = ""
		}
		o.before = func(http.ResponseWriter, *http.Request) bool {
			if o.ranges.Load() == 3 {
				o.set(func() { change(o) })
			}
			return false
		}
		if _, _, err := o.read(t, 0, nil); video.CodeOf(err) != video.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Between two attempts.
	o := newOrigin(t, someSize)
	for _, known := range []Version{{ETag: `"zero"`, Length: someSize}, {ETag: `"one"`, Length: someSize + 1}, {Length: 4000}} {
		if _, _, err := o.read(t, 5000, &known); video.CodeOf(err) != video.Conflict {
			t.Errorf("known as %+v: %v", known, err)
		}
	}
	o.plain = true
	if _, _, err := o.read(t, 5000, &Version{ETag: `"zero"`, Length: someSize}); video.CodeOf(err) != video.Conflict {
		t.Errorf("without ranges: %v", err)
	}
}

func TestLimit(t *testing.T) {
	o := newOrigin(t, 1000)
	c := New(Policy{Allow: []string{"127.0.0.1"}, MaxBytes: 999})
	for _, plain := range []bool{false, true} {
		o.plain = plain
		if _, err := c.Open(t.Context(), o.URL, 0, nil); video.CodeOf(err) != video.TooLarge {
			t.Errorf("a length over the limit: %v", err)
		}
	}
	var sent atomic.Int64
	o.before = func(w http.ResponseWriter, r *http.Request) bool { // no length, and no end
		for r.Context().Err() == nil {
			n, _ := w.Write(make([]byte, 100))
			sent.Add(int64(n))
		}
		return true
	}
	s, err := c.Open(t.Context(), o.URL, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream := s.Stream(t.Context())
	got, err := io.ReadAll(stream)
	stream.Close()
	if video.CodeOf(err) != video.TooLarge || len(got) > 999 {
		t.Errorf("a body without an end: %d bytes, %v", len(got), err)
	}
}

func TestStatuses(t *testing.T) {
	o := newOrigin(t, 1000)
	for status, want := range map[int]video.Code{
		404: video.NotFound, 410: video.NotFound, 401: video.Forbidden, 403: video.Forbidden, 451: video.Forbidden,
		400: video.Invalid, 405: video.Invalid, 204: video.Invalid, 304: video.Invalid,
		429: video.Unavailable, 408: video.Unavailable, 500: video.Unavailable, 502: video.Unavailable, 503: video.Unavailable,
	} {
		o.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
		_, _, err := o.read(t, 0, nil)
		if video.CodeOf(err) != want {
			t.Errorf("%d: %v", status, err)
		}
	}
	o.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Encoding", "gzip")
		return false
	}
	if _, _, err := o.read(t, 0, nil); video.CodeOf(err) != video.Invalid {
		t.Errorf("compressed: %v", err)
	}
	o.Server.Close()
	if _, _, err := o.read(t, 0, nil); video.CodeOf(err) != video.Unavailable || strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
}

// A 206 for other bytes than asked for is worth nothing; the whole is.
func TestOddRanges(t *testing.T) {
	for _, odd := range []string{"", "bytes 5-999/1000", "bytes 0-999/*", "bytes=0-9", "bytes 9-3/1000"} {
		o := newOrigin(t, 1000)
		o.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", odd)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 995))
			return true
		}
		if s, got, err := o.read(t, 0, nil); err != nil || s.Ranges || !bytes.Equal(got, o.file) {
			t.Errorf("%q: %d bytes, %v", odd, len(got), err)
		}
	}
}

func TestClosingWhileReading(t *testing.T) {
	o := newOrigin(t, someSize)
	over := make(chan struct{})
	defer close(over)
	o.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if o.ranges.Load() > 1 {
			<-over
		}
		return false
	}
	c := o.client()
	c.idle = time.Minute
	s, err := c.Open(t.Context(), o.URL, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream := s.Stream(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stream)
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond)
	stream.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended well")
		}
	case <-time.After(5 * time.Second):
		t.Error("the reader still waits")
	}
}

// No proxy of the environment dials in our stead.
func TestProxiesAreNotUsed(t *testing.T) {
	if New(Policy{}).http.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy would be used")
	}
}
