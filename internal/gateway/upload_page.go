package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/reelflow/reelflow/video"
)

// pageLimits are what the page tells people before they send anything.
type pageLimits struct {
	Bytes        int64
	Seconds      int
	Size, Length string // the same in words
}

func (g *Gateway) pageLimits() pageLimits {
	longest := g.settings.MaxDuration
	length := fmt.Sprintf("%.0f minutes", longest.Minutes())
	if longest%time.Minute != 0 {
		length = fmt.Sprintf("%.0f seconds", longest.Seconds())
	}
	return pageLimits{
		Bytes: g.settings.MaxBytes, Seconds: int(longest.Seconds()),
		Size: megabytes(g.settings.MaxBytes), Length: length,
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// ownPage returns who asks for a page that is different for everybody. Whoever is
// not signed in is led there first, and ok is false then.
func (g *Gateway) ownPage(w http.ResponseWriter, r *http.Request) (who person, ok bool) {
	who, err := signedIn(r.Context())
	switch {
	case err == nil:
		return who, true
	case video.CodeOf(err) == video.Unauthenticated && r.Header.Get("Authorization") == "":
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/signin?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		g.errors.Refuse(w, r, err)
	}
	return person{}, false
}

// uploadPage is /upload, and with ?video= for one of the caller's own that was
// begun before. What needs no bytes any more is shown on its own page instead.
func (g *Gateway) uploadPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := g.ownPage(w, r); !ok {
		return
	}
	shown := view{Title: "Upload a video", Here: "upload", Limits: g.pageLimits(), Confirmations: confirmations()}
	id := r.URL.Query().Get("video")
	if id == "" {
		g.render(w, r, "upload.html", http.StatusOK, shown)
		return
	}
	s, err := g.look(r.Context(), id)
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	if shown.Video, err = g.present(r.Context(), s, g.baseOf(r.Host, r.TLS != nil)); err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	if !slices.Contains(s.roles, video.Owner) || !wantsBytes(shown.Video) {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/watch/"+string(s.row.ID), http.StatusSeeOther)
		return
	}
	shown.Title = titleOf(shown.Video.Title)
	g.render(w, r, "upload.html", http.StatusOK, shown)
}

// wantsBytes reports whether its author has yet to send some of a video.
func wantsBytes(v video.Video) bool {
	return v.Stage == video.Uploading && v.Ending == nil && lacksBytes(v)
}

func lacksBytes(v video.Video) bool {
	return v.Upload != nil && v.Upload.URL != nil && (v.Upload.Length == nil || v.Upload.Offset < *v.Upload.Length)
}

func titleOf(title string) string {
	if title == "" {
		return "Untitled"
	}
	return title
}
