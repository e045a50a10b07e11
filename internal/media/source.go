package media

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Source opens the bytes of a video or of a piece, decrypted. It may be called
// several times and for several readers at once. Reads must fail soon after ctx
// ends. An error with a video.Code of its own comes out of the job with that code.
type Source func(ctx context.Context) (io.ReadSeekCloser, error)

// origin serves a job's inputs to its program on the loopback address of its box, by ranges.
// ffmpeg takes a stream that breaks off for its end, so the origin keeps its own
// record: the first error of a source fails the job, whatever the program says.
type origin struct {
	ctx    context.Context
	fail   context.CancelCauseFunc
	inputs map[string]Source
	path   string // "/<128 random bits>/"
	server *http.Server

	mu     sync.Mutex // guards closed, and busy.Add against busy.Wait
	closed bool
	busy   sync.WaitGroup
}

// newOrigin makes an origin that isn't reached yet. fail is told of the first error of a source.
func newOrigin(ctx context.Context, fail context.CancelCauseFunc, inputs map[string]Source) *origin {
	o := &origin{ctx: ctx, fail: fail, inputs: inputs, path: "/" + rand.Text() + "/"}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
	return o
}

// at is the URL of an origin that is served at a host and port.
func (o *origin) at(address string) string { return "http://" + address + o.path }

// serve answers what comes to a listener until close.
func (o *origin) serve(listener net.Listener) {
	o.busy.Go(func() { o.server.Serve(listener) })
}

// close ends all requests and returns when no source is read any more. The
// origin's context must have ended.
func (o *origin) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.server.Close()
	o.busy.Wait()
}

// enter counts a request in, unless the origin is closing.
func (o *origin) enter() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.busy.Add(1)
	}
	return !o.closed
}

// ServeHTTP answers a program's request. Only the program knows the path.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !o.enter() {
		return
	}
	defer o.busy.Done()
	name, known := strings.CutPrefix(r.URL.Path, o.path)
	open := o.inputs[name]
	if !known || open == nil {
		http.NotFound(w, r)
		return
	}
	source, err := open(o.ctx)
	if err != nil {
		o.failed(err)
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer source.Close()
	w.Header().Set("Content-Type", "application/octet-stream") // else it would be sniffed
	http.ServeContent(w, r, "", time.Time{}, witness{source, o.failed})
}

func (o *origin) failed(err error) {
	o.fail(fmt.Errorf("read input: %w", err))
}

// witness tells of every error but the end of the file.
type witness struct {
	source io.ReadSeeker
	failed func(error)
}

func (w witness) Read(p []byte) (int, error) {
	n, err := w.source.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed(err)
	}
	return n, err
}

func (w witness) Seek(offset int64, whence int) (int64, error) {
	n, err := w.source.Seek(offset, whence)
	if err != nil {
		w.failed(err)
	}
	return n, err
}

// text is a Source of our own making.
func text(s string) Source {
	return func(context.Context) (io.ReadSeekCloser, error) {
		return inline{strings.NewReader(s)}, nil
	}
}

type inline struct{ *strings.Reader }

func (inline) Close() error { return nil }

// head reads the first bytes of a source, at most n.
func head(ctx context.Context, open Source, n int) ([]byte, error) {
	source, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	defer source.Close()
	b := make([]byte, n)
	got, err := io.ReadFull(source, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read input: %w", err)
	}
	return b[:got], nil
}
