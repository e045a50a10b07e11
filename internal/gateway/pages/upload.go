package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// uploadLimits are the limits as the page has them.
type uploadLimits struct {
	Bytes        int64
	Seconds      int
	Size, Length string // the same in words
}

func (l Limits) inWords() uploadLimits {
	length := fmt.Sprintf("%.0f minutes", l.MaxDuration.Minutes())
	if l.MaxDuration%time.Minute != 0 {
		length = fmt.Sprintf("%.0f seconds", l.MaxDuration.Seconds())
	}
	return uploadLimits{Bytes: l.MaxBytes, Seconds: int(l.MaxDuration.Seconds()), Size: megabytes(l.MaxBytes), Length: length}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// mustSignIn is asked for a page that is different for everybody. Whoever is not signed
// in is led there first, and done is true then.
func mustSignIn(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	_, err = people.SignedIn(r.Context())
	if err != nil && video.CodeOf(err) == video.Unauthenticated && r.Header.Get("Authorization") == "" {
		redirect(w, r, "/signin?next="+url.QueryEscape(r.URL.RequestURI()))
		return true, nil
	}
	return false, err
}

func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// upload is /upload, and with ?video= for one of the caller's own that was
// begun before. What needs no bytes any more is shown on its own page instead.
func (p *Pages) upload(w http.ResponseWriter, r *http.Request) error {
	if done, err := mustSignIn(w, r); done || err != nil {
		return err
	}
	page := view{Title: "Upload a video", Here: "upload", Limits: p.limits.inWords(), Confirmations: confirmations()}
	id := r.URL.Query().Get("video")
	if id == "" {
		return p.render(w, r, "upload.html", http.StatusOK, page)
	}
	shown, err := p.videos.Show(r.Context(), id)
	if err != nil {
		return err
	}
	if !shown.Owned || !wantsBytes(shown.Video) {
		redirect(w, r, "/watch/"+string(shown.Video.ID))
		return nil
	}
	page.Video, page.Title = shown.Video, titleOf(shown.Video.Title)
	return p.render(w, r, "upload.html", http.StatusOK, page)
}

// wantsBytes reports whether its author has yet to send some of a video.
func wantsBytes(v video.Video) bool {
	return v.Stage == video.Uploading && v.Ending == nil && v.Upload != nil && v.Upload.URL != nil &&
		(v.Upload.Length == nil || v.Upload.Offset < *v.Upload.Length)
}
