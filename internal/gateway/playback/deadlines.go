package playback

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/reelflow/reelflow/video"
)

const (
	// stallTime is how long an answer may go without progress: a piece of its content,
	// at most writeStep bytes, has to get through, less what buffers on the way take.
	// Larger steps cost the processor less; this one cuts off who is slower than 9 kB/s.
	stallTime = 30 * time.Second
	writeStep = blockSize

	// bodyTime and bodySize are what a request may take to send a body that nobody
	// reads. The server would wait for it before it answers (net/http: 256 KiB, without
	// an end), because a client may write all before it reads.
	bodyTime = 5 * time.Second
	bodySize = 64 << 10
)

type handler func(http.ResponseWriter, *http.Request) error

// withDeadlines bounds how long a request may keep its goroutine and connection: a
// body that doesn't come is refused, and a reader who stops reading is cut off.
func (s *Server) withDeadlines(serve handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		paced := &pacedWriter{w, http.NewResponseController(w), s.stall}
		paced.extend()
		if r.ContentLength != 0 {
			if err := dropBody(paced, r); err != nil {
				return err
			}
		}
		return serve(paced, r)
	}
}

// dropBody reads what a request has sent although nobody asked.
func dropBody(w *pacedWriter, r *http.Request) error {
	w.setReadDeadline(time.Now().Add(bodyTime))
	n, err := io.CopyN(io.Discard, r.Body, bodySize+1)
	switch {
	case n > bodySize:
		w.Header().Set("Connection", "close")
		return video.Errorf(video.TooLarge, "This address takes no body.")
	case !errors.Is(err, io.EOF):
		w.Header().Set("Connection", "close")
		return video.Errorf(video.Unavailable, "The body of this request came too slowly; this address needs none.").For("slow").Because(err)
	}
	w.setReadDeadline(time.Time{}) // what comes next is the connection's next request, at any time
	return nil
}

// pacedWriter writes in steps, each of which has its own deadline.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// extend gives the next step its time. A connection that knows no deadlines is none
// of a client.
func (w *pacedWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.stall)) }

func (w *pacedWriter) setReadDeadline(t time.Time) { _ = w.control.SetReadDeadline(t) }

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		w.extend()
		var n int
		n, err = w.ResponseWriter.Write(p[written:min(written+writeStep, len(p))])
		written += n
	}
	return written, err
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
