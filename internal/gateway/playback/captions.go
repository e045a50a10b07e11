package playback

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/reelflow/reelflow/internal/captions"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
)

// Captions have no key of HLS: they are opened from their seal and sent in the plain, behind
// the token, as pictures are. Each language is a playlist of one segment, the whole file.

const captionsGroup = "captions"

// captionPrefix begins the names of the playlists of captions.
const captionPrefix = "captions-"

// captionHead is how each file of captions begins. The times of segments begin at one second,
// see media.Package: there is time zero of the captions (RFC 8216, section 3.5).
const captionHead = captions.Header + "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:90000\n"

// captionPath is the address of a file, relative to that of the playlists.
func captionPath(language string) string { return "captions/" + language + ".vtt" }

// captionPlaylist lists the file with the captions in a language (RFC 8216, section 3.5).
func captionPlaylist(language string, seconds float64) string {
	return fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:%.6f,\n%s\n#EXT-X-ENDLIST\n",
		int(math.Ceil(max(seconds, 1))), seconds, captionPath(language))
}

// captionMedia are the tags of a master playlist for captions (RFC 8216, section 4.3.4.1).
// Names within a group have to differ.
func captionMedia(languages []string) string {
	var out strings.Builder
	names := map[string]bool{}
	for _, language := range languages {
		name := captions.Label(language)
		if names[name] {
			name += " (" + language + ")"
		}
		names[name] = true
		fmt.Fprintf(&out, "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=%q,NAME=\"%s\",LANGUAGE=%q,DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=%q\n",
			captionsGroup, name, language, captionPrefix+language+playlistExtension)
	}
	return out.String()
}

// playingTime is how long the longest rendition is, in seconds.
func playingTime(renditions map[string][]catalog.Object) (seconds float64) {
	for _, segments := range renditions {
		length := 0.0
		for _, s := range segments {
			length += s.Duration
		}
		seconds = max(seconds, length)
	}
	return seconds
}

func (s *Server) serveCaptions(w http.ResponseWriter, r *http.Request, at seen) error {
	language, ok := strings.CutSuffix(r.PathValue("name"), ".vtt")
	p, err := s.facts.of(r.Context(), at.id, at.Revision)
	if err != nil {
		return err
	}
	file, known := p.captions[language]
	if !ok || !known {
		return problem.NothingHere()
	}
	w.Header().Set("Content-Type", cuesType)
	size := file.plainSize - int64(len(captions.Header)) + int64(len(captionHead))
	return s.serve(w, r, representation{file.etag, size, func(ctx context.Context, offset, length int64) (content, error) {
		return s.openCaptions(ctx, at, file, offset, length)
	}})
}

// openCaptions reads a part of the head and of what follows the first line of the file.
func (s *Server) openCaptions(ctx context.Context, at seen, file object, offset, length int64) (content, error) {
	const all = int64(len(captionHead))
	head := captionHead[min(offset, all):min(offset+length, all)]
	c := &headed{head: []byte(head)}
	if length -= int64(len(head)); length == 0 {
		return c, nil
	}
	var err error
	c.rest, err = s.openPicture(ctx, at, file, max(offset-all, 0)+int64(len(captions.Header)), length)
	return c, err
}

// headed is content behind a head.
type headed struct {
	head []byte
	rest content // nil if there is none
}

func (h *headed) next() ([]byte, error) {
	if len(h.head) > 0 {
		head := h.head
		h.head = nil
		return head, nil
	}
	if h.rest == nil {
		return nil, io.EOF
	}
	return h.rest.next()
}

func (h *headed) close() {
	if h.rest != nil {
		h.rest.close()
	}
}
