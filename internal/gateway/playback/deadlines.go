package playback

import (
	"errors"
	"io"
	"net/http"

	"github.com/reelflow/reelflow/video"
)

// bodySize is the largest body that is read although nobody asked, so that the
// connection can be kept.
const bodySize = 64 << 10

type handler func(http.ResponseWriter, *http.Request) error

// withoutBody reads what a request has sent although nobody asked, as long as the gateway
// waits for a body; one that is too large, or doesn't come, is refused.
func withoutBody(serve handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.ContentLength != 0 {
			if err := dropBody(w, r); err != nil {
				return err
			}
		}
		return serve(w, r)
	}
}

func dropBody(w http.ResponseWriter, r *http.Request) error {
	n, err := io.CopyN(io.Discard, r.Body, bodySize+1)
	switch {
	case n > bodySize:
		w.Header().Set("Connection", "close")
		return video.Errorf(video.TooLarge, "This address takes no body.")
	case !errors.Is(err, io.EOF):
		w.Header().Set("Connection", "close")
		return video.Errorf(video.Unavailable, "The body of this request came too slowly; this address needs none.").For("slow").Because(err)
	}
	return nil
}
