package gateway

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
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// registerMedia registers what players fetch. The address of a segment leads to
// bytes that are noise without their key; every other one holds a token.
func (g *Gateway) registerMedia(mux *routeTable) {
	mux.HandleFunc("GET /media/{id}/{rendition}/{name}", g.errors.Handle(g.serveSegment))
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, catalog.Video) error{
		"{playlist}":          g.servePlaylist,
		"key/{rendition}/{n}": g.serveKey,
		"poster.jpg":          g.servePoster,
		"preview/{name}":      g.servePreview,
		"source":              g.serveSource,
	} {
		mux.HandleFunc("GET /play/{id}/{token}/"+pattern, g.errors.Handle(g.withToken(serve)))
	}
}

// withToken lets those in whose address holds a good token, as long as the
// people whom it stands for may watch. Nothing behind it may be kept by a cache.
func (g *Gateway) withToken(serve func(http.ResponseWriter, *http.Request, catalog.Video) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		id, err := video.ParseID(r.PathValue("id"))
		if err != nil {
			return err
		}
		row, err := g.catalog.Video(r.Context(), id)
		if err != nil {
			return err // an erased video is Gone whatever the token says
		}
		class, err := g.checkToken(id, r.PathValue("token"), time.Now())
		if err != nil {
			return err
		}
		if factsOf(row, class.roles()).Access().Watches != nil {
			return video.Errorf(video.Gone, "This video can't be watched any more.")
		}
		return serve(w, r, row)
	}
}

func (g *Gateway) servePlaylist(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	name, ok := strings.CutSuffix(r.PathValue("playlist"), ".m3u8")
	if !ok {
		return problem.NothingHere()
	}
	segments, err := g.primary(r.Context(), row.ID, catalog.KindSegment)
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
	return g.sent(err)
}

// sent notes that a viewer went away in the middle of an answer: nobody is left to tell.
func (g *Gateway) sent(err error) error {
	if err != nil {
		g.log.Debug("answer not sent", "error", err)
	}
	return nil
}

// serveKey hands out the key of one segment. The vault decides: once the key of
// the video is being destroyed it lends it no more.
func (g *Gateway) serveKey(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 {
		return problem.NothingHere()
	}
	var key []byte
	err = vault.WithKey(r.Context(), g.vault, row.ID, func(k vault.Key) error {
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
	return g.sent(err)
}

// serveSegment serves a segment as it rests in the store: encrypted. Caches may
// keep it, because it is noise without its key.
func (g *Gateway) serveSegment(w http.ResponseWriter, r *http.Request) error {
	id, err := video.ParseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	row, err := g.catalog.Video(r.Context(), id)
	if err != nil {
		return err
	}
	// Whoever knows the random name has seen a playlist.
	if err := factsOf(row, insiders.roles()).Access().Watches; err != nil {
		return err
	}
	segments, err := g.catalog.Objects(r.Context(), id, catalog.Filter{
		Store: g.stores.Primary.Name(), Kind: catalog.KindSegment, Rendition: r.PathValue("rendition"), Stored: true,
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
	return g.serveContent(w, r, &stored{ctx: r.Context(), store: g.stores.Primary, object: segments[i]})
}

// serveContent is http.ServeContent, but a source that can't be read at all is
// an error rather than an empty answer.
func (g *Gateway) serveContent(w http.ResponseWriter, r *http.Request, content source) error {
	if r.Method != http.MethodHead {
		if err := content.prepare(r.Header.Get("Range")); err != nil {
			w.Header().Del("ETag")
			return err
		}
	}
	http.ServeContent(w, r, "", time.Time{}, content)
	if err := content.Close(); err != nil {
		g.log.Debug("source not closed", "error", err)
	}
	return nil
}

func (g *Gateway) servePoster(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	return g.servePicture(w, r, row, catalog.KindPoster, func(catalog.Object) bool { return true })
}

func (g *Gateway) servePreview(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	name := r.PathValue("name")
	return g.servePicture(w, r, row, catalog.KindPreview, func(o catalog.Object) bool { return previewName(o) == name })
}

func previewName(o catalog.Object) string { return strconv.Itoa(o.Index) + ".jpg" }

// servePicture opens a picture from its seal: unlike a segment it has no key
// that a cache wouldn't have, so no cache may keep it.
func (g *Gateway) servePicture(w http.ResponseWriter, r *http.Request, row catalog.Video, kind string, match func(catalog.Object) bool) error {
	pictures, err := g.primary(r.Context(), row.ID, kind)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(pictures, match)
	if i < 0 {
		return problem.NothingHere()
	}
	plain, err := g.openObject(r.Context(), pictures[i])
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(plain)))
	_, err = w.Write(plain)
	return g.sent(err)
}

// openObject reads a sealed object, of a few megabytes at most, and opens it.
// It borrows the key only once all of it is here.
func (g *Gateway) openObject(ctx context.Context, o catalog.Object) (plain []byte, err error) {
	body, err := g.stores.Primary.Get(ctx, o.Key, o.Version, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close() // read to its end or given up
	sealed, err := io.ReadAll(io.LimitReader(body, o.Size+1))
	if err != nil {
		return nil, err
	}
	err = vault.WithKey(ctx, g.vault, o.Video, func(k vault.Key) error {
		plain, err = k.Open(o.Key, sealed)
		return err
	})
	return plain, err
}

// serveSource sends the file as it was uploaded.
func (g *Gateway) serveSource(w http.ResponseWriter, r *http.Request, row catalog.Video) error {
	if !row.AllowDownload {
		return video.Errorf(video.Forbidden, "The author does not allow downloads of this video.")
	}
	segments, err := g.primary(r.Context(), row.ID, catalog.KindSource)
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return problem.NothingHere()
	}
	a, err := about.Open(r.Context(), g.vault, row.ID, row.Sealed)
	if err != nil {
		return err
	}
	filename := a.Filename
	if filename == "" {
		filename = string(row.ID) + ".mp4"
	}
	h := w.Header()
	h.Set("Content-Type", downloadType(a.ContentType))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filename}))
	h.Set("ETag", `"source"`) // one address holds one file, which never changes
	return g.serveContent(w, r, newSealedFile(r.Context(), g, row.ID, segments))
}

// downloadType passes on what an author said only if no browser could take it for a page.
func downloadType(said string) string {
	if t, _, err := mime.ParseMediaType(said); err == nil && strings.HasPrefix(t, "video/") {
		return t
	}
	return "application/octet-stream"
}
