package playback

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func (s *Server) servePlaylist(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	name, ok := strings.CutSuffix(r.PathValue("playlist"), ".m3u8")
	if !ok {
		return problem.NothingHere()
	}
	segments, err := s.stored(r.Context(), row.ID, catalog.KindSegment)
	if err != nil {
		return err
	}
	var text string
	if name == "master" {
		text, err = masterPlaylist(row, segments)
	} else {
		segments = slices.DeleteFunc(segments, func(o catalog.Object) bool { return o.Rendition != name })
		text = mediaPlaylist(segments)
	}
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return problem.NothingHere()
	}
	w.Header().Set("Content-Type", playlistType)
	_, err = io.WriteString(w, text)
	return s.sent(err)
}

// sent notes that a viewer went away in the middle of an answer: nobody is left to tell.
func (s *Server) sent(err error) error {
	if err != nil {
		s.log.Debug("answer not sent", "error", err)
	}
	return nil
}

// serveKey hands out the key of one segment. The vault decides: once the key of
// the video is being destroyed it lends it no more.
func (s *Server) serveKey(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 {
		return problem.NothingHere()
	}
	var key []byte
	err = s.withKey(r.Context(), row.ID, func(k vault.Key) error {
		segment, err := k.SegmentKey(r.PathValue("rendition"), n)
		key = segment[:]
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(key)))
	_, err = w.Write(key)
	return s.sent(err)
}

// serveSegment serves a segment as it rests in the store: encrypted. Caches may
// keep it, because it is noise without its key.
func (s *Server) serveSegment(w http.ResponseWriter, r *http.Request) error {
	id, err := video.ParseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	row, err := s.catalog.Video(r.Context(), id)
	if err != nil {
		return err
	}
	// Whoever knows the random name has seen a playlist.
	if err := mayWatchAsAny(row); err != nil {
		return err
	}
	segments, err := s.catalog.Objects(r.Context(), id, catalog.Filter{
		Store: s.primary.Name(), Kind: catalog.KindSegment, Rendition: r.PathValue("rendition"), Stored: true,
	})
	if err != nil {
		return err
	}
	key := segmentKeyOf(id, r.PathValue("rendition"), r.PathValue("name"))
	i := slices.IndexFunc(segments, func(o catalog.Object) bool { return o.Key == key })
	if i < 0 {
		return problem.NothingHere()
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp2t")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+fmt.Sprintf("%x", segments[i].SHA256)+`"`)
	return s.serveContent(w, r, &storedObject{ctx: r.Context(), store: s.primary, object: segments[i]})
}

// serveContent is http.ServeContent, but a source that can't be read at all is
// an error rather than an empty answer.
func (s *Server) serveContent(w http.ResponseWriter, r *http.Request, content source) error {
	if r.Method != http.MethodHead {
		if err := content.prepare(r.Header.Get("Range")); err != nil {
			w.Header().Del("ETag")
			return err
		}
	}
	http.ServeContent(w, r, "", time.Time{}, content)
	if err := content.Close(); err != nil {
		s.log.Debug("source not closed", "error", err)
	}
	return nil
}

func (s *Server) servePoster(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	return s.servePicture(w, r, row, catalog.KindPoster, func(catalog.Object) bool { return true })
}

func (s *Server) servePreview(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	name := r.PathValue("name")
	return s.servePicture(w, r, row, catalog.KindPreview, func(o catalog.Object) bool { return previewName(o) == name })
}

func previewName(o catalog.Object) string { return strconv.Itoa(o.Index) + ".jpg" }

// servePicture opens a picture from its seal: unlike a segment it has no key
// that a cache wouldn't have, so no cache may keep it.
func (s *Server) servePicture(w http.ResponseWriter, r *http.Request, row catalog.Video, kind string, match func(catalog.Object) bool) error {
	pictures, err := s.stored(r.Context(), row.ID, kind)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(pictures, match)
	if i < 0 {
		return problem.NothingHere()
	}
	plain, err := s.openObject(r.Context(), pictures[i])
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(plain)))
	_, err = w.Write(plain)
	return s.sent(err)
}

// openObject reads a sealed object, of a few megabytes at most, and opens it.
// It borrows the key only once all of it is here.
func (s *Server) openObject(ctx context.Context, o catalog.Object) (plain []byte, err error) {
	body, err := s.primary.Get(ctx, o.Key, o.Version, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close() // read to its end or given up
	sealed, err := io.ReadAll(io.LimitReader(body, o.Size+1))
	if err != nil {
		return nil, err
	}
	err = s.withKey(ctx, o.Video, func(k vault.Key) error {
		plain, err = k.Open(o.Key, sealed)
		return err
	})
	return plain, err
}

// serveSource sends the file as it was uploaded.
func (s *Server) serveSource(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	if !row.AllowDownload {
		return video.Errorf(video.Forbidden, "The author does not allow downloads of this video.")
	}
	segments, err := s.stored(r.Context(), row.ID, catalog.KindSource)
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return problem.NothingHere()
	}
	filename, contentType, err := s.host.SourceName(r.Context(), row)
	if err != nil {
		return err
	}
	if filename == "" {
		filename = string(row.ID) + ".mp4"
	}
	h := w.Header()
	h.Set("Content-Type", downloadType(contentType))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filename}))
	h.Set("ETag", `"source"`) // one address holds one file, which never changes
	return s.serveContent(w, r, newSealedFile(r.Context(), s, row.ID, segments))
}

// downloadType passes on what an author said only if no browser could take it for a page.
func downloadType(said string) string {
	if t, _, err := mime.ParseMediaType(said); err == nil && strings.HasPrefix(t, "video/") {
		return t
	}
	return "application/octet-stream"
}

// withKey lends the key of a video for the time of do, which should be short.
func (s *Server) withKey(ctx context.Context, id video.ID, do func(vault.Key) error) error {
	loan, err := s.vault.Lend(ctx, id)
	if err != nil {
		return err
	}
	defer loan.Release()
	return do(loan.Key())
}
