package playback

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/deadlines"
	"github.com/reelflow/reelflow/video"
)

// bodySize is the largest body that is read although nobody asked, so that the
// connection can be kept.
const bodySize = 64 << 10

type handler func(http.ResponseWriter, *http.Request) error

// withDeadlines bounds how long a request may keep its goroutine and connection: a
// body that doesn't come is refused, and a reader who stops reading is cut off.
func (s *Server) withDeadlines(serve handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		paced := deadlines.NewWriter(w, s.stall)
		paced.Extend()
		if r.ContentLength != 0 {
			if err := dropBody(paced, r); err != nil {
				return err
			}
		}
		return serve(paced, r)
	}
}

// dropBody reads what a request has sent although nobody asked.
func dropBody(w http.ResponseWriter, r *http.Request) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(deadlines.BodyTime)) // who knows none is no client
	n, err := io.CopyN(io.Discard, r.Body, bodySize+1)
	switch {
	case n > bodySize:
		w.Header().Set("Connection", "close")
		return video.Errorf(video.TooLarge, "This address takes no body.")
	case !errors.Is(err, io.EOF):
		w.Header().Set("Connection", "close")
		return video.Errorf(video.Unavailable, "The body of this request came too slowly; this address needs none.").For("slow").Because(err)
	}
	_ = control.SetReadDeadline(time.Time{}) // what comes next is the connection's next request, at any time
	return nil
}
