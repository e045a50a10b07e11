package playback

import (
	"cmp"
	"context"
	"io"
	"net/http"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// largestKept is the size, in bytes, above which an object is read from the store each
// time: it would put too many others out of memory.
const largestKept = 16 << 20

// serveSegment serves a segment as it rests in the store: encrypted. Caches may
// keep it, because it is noise without its key. Whoever knows its random name has seen
// a playlist.
func (s *Server) serveSegment(w http.ResponseWriter, r *http.Request) error {
	id, err := video.ParseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	state, err := s.states.of(r.Context(), id)
	if err != nil {
		return err
	}
	if err := mustBeWatched(state); err != nil {
		return cmp.Or(unseen(state), err)
	}
	p, err := s.facts.of(r.Context(), id, state.Revision)
	if err != nil {
		return err
	}
	segment, ok := p.segments[r.PathValue("rendition")][r.PathValue("name")]
	if !ok {
		return cmp.Or(unseen(state), problem.NothingHere())
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp2t")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	return s.serve(w, r, representation{segment.etag, segment.size, func(ctx context.Context, offset, length int64) (content, error) {
		return s.bytesOf(ctx, id, segment, offset, length)
	}})
}

// bytesOf reads a part of an object as it lies in the store, from memory if there is
// room for it.
func (s *Server) bytesOf(ctx context.Context, id video.ID, o object, offset, length int64) (content, error) {
	if o.size > largestKept {
		return s.stream(ctx, o, offset, length)
	}
	kept, err := s.ciphertext.get(ctx, id, o, func(ctx context.Context) (io.ReadCloser, error) {
		return s.primary.Get(ctx, o.key, o.version, 0, o.size)
	})
	switch {
	case err != nil:
		return nil, err
	case kept == nil:
		return s.stream(ctx, o, offset, length)
	}
	return kept.read(offset, length), nil
}
