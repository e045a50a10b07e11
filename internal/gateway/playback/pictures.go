package playback

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/reelflow/reelflow/internal/gateway/problem"
)

func (s *Server) servePoster(w http.ResponseWriter, r *http.Request, at seen) error {
	p, err := s.facts.of(r.Context(), at.id, at.Revision)
	if err != nil {
		return err
	}
	if p.poster == nil {
		return problem.NothingHere()
	}
	return s.servePicture(w, r, at, *p.poster)
}

// servePreview serves a preview image by its number.
func (s *Server) servePreview(w http.ResponseWriter, r *http.Request, at seen) error {
	p, err := s.facts.of(r.Context(), at.id, at.Revision)
	if err != nil {
		return err
	}
	name, ok := strings.CutSuffix(r.PathValue("name"), ".jpg")
	n, err := strconv.Atoi(name)
	if !ok || err != nil || n < 0 || n >= len(p.previews) {
		return problem.NothingHere()
	}
	return s.servePicture(w, r, at, p.previews[n])
}

// servePicture opens a picture from its seal. Unlike a segment it is sent in the plain,
// so that no cache may keep it.
func (s *Server) servePicture(w http.ResponseWriter, r *http.Request, at seen, picture object) error {
	w.Header().Set("Content-Type", "image/jpeg")
	return s.serve(w, r, representation{picture.etag, picture.plainSize, func(ctx context.Context, offset, length int64) (content, error) {
		return s.openPicture(ctx, at, picture, offset, length)
	}})
}

// openPicture reads the sealed bytes from memory if there is room for them.
func (s *Server) openPicture(ctx context.Context, at seen, picture object, offset, length int64) (content, error) {
	opened, err := s.openSealed(ctx, at.id, picture, offset, length)
	if err != nil || picture.size > largestKept {
		return opened, err
	}
	fromStore := opened.source
	kept, err := s.ciphertext.get(ctx, at.id, picture, func(ctx context.Context) (io.ReadCloser, error) {
		return fromStore(ctx, 0, picture.size)
	})
	if err != nil {
		opened.close()
		return nil, err
	}
	if kept == nil {
		return opened, nil
	}
	opened.source = kept.open
	return &keptPicture{opened, kept}, nil
}

// keptPicture releases what it is read from.
type keptPicture struct {
	*sealed
	kept *cached
}

func (p *keptPicture) close() {
	p.sealed.close()
	p.kept.release()
}

// open reads a part of it as if it were the store.
func (e *cached) open(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	var blocks []io.Reader
	for left := length; left > 0; {
		piece := e.at(offset)
		piece = piece[:min(int64(len(piece)), left)]
		blocks = append(blocks, bytes.NewReader(piece))
		offset, left = offset+int64(len(piece)), left-int64(len(piece))
	}
	return io.NopCloser(io.MultiReader(blocks...)), nil
}
