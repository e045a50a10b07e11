// Package deadlines bounds how long a request may keep its connection and its goroutine
// without moving: whoever announces a body and sends none, and whoever reads nothing of
// the answer.
//
// The deadlines are those of the connection (http.ResponseController), so that nothing
// runs beside a request and nothing is kept. Each begins anew with every request of a
// connection that is kept alive. Handlers that know better, as those of uploads and of
// streams of events, set their own over them.
package deadlines

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// BodyTime is what a request may take to send its body, if the handler says nothing
	// else. Where a handler doesn't read it the server does, up to 256 KiB, before the
	// answer leaves (net/http): a client may send all of a request before it reads.
	BodyTime = 5 * time.Second

	// StallTime is how long an answer may go without progress: a step of Step bytes has
	// to get through in that time, less what buffers on the way take.
	StallTime = 30 * time.Second

	// Step is how much is written under one deadline. Larger steps cost the processor
	// less; this one cuts off who is slower than 9 kB/s.
	Step = 256 << 10
)

// Bounds are the deadlines of every request to a handler.
type Bounds struct {
	Body  time.Duration // from the head of a request to the end of its body
	Stall time.Duration // of one step of the answer
}

// Usual are the bounds that a gateway has.
func Usual() *Bounds { return &Bounds{BodyTime, StallTime} }

// On serves by next within the bounds. A body that was not read to its end when its
// time is over ends in os.ErrDeadlineExceeded, and the connection is closed after the
// answer. A body that ended has no deadline any more: the server then waits on the
// connection for the client to leave, and would take the deadline for that.
func (b *Bounds) On(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := NewWriter(w, b.Stall)
		// What the connection's last request has left. A handler may take its time before
		// it writes, and HTTP/2 would reset the stream meanwhile.
		_ = out.control.SetWriteDeadline(time.Time{})
		if r.ContentLength != 0 {
			_ = out.control.SetReadDeadline(time.Now().Add(b.Body))
		}
		r.Body = body{r.Body, out.control}
		next.ServeHTTP(out, r)
		out.Extend() // for what the server still holds of the answer
	})
}

// body lifts the deadline of reads at its end.
type body struct {
	io.Reader
	control *http.ResponseController
}

// Close leaves closing to the server. After a body that was closed before its end the
// server would keep the connection, and take what is missing of it for the next request.
func (body) Close() error { return nil }

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Writer writes an answer in steps, each of which has its own deadline. A connection
// that knows no deadlines is none of a client.
type Writer struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// NewWriter makes a writer whose steps may take as long as stall.
func NewWriter(w http.ResponseWriter, stall time.Duration) *Writer {
	return &Writer{w, http.NewResponseController(w), stall}
}

// Extend gives the next step its time.
func (w *Writer) Extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.stall)) }

// WriteHeader implements http.ResponseWriter. What is sent ahead of the answer (1xx) has
// no deadline, which would end what the answer waits for.
func (w *Writer) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.Extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (written int, _ error) {
	for {
		w.Extend()
		n, err := w.ResponseWriter.Write(p[written:min(written+Step, len(p))])
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
