package gateway

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// policy is the content security policy of every page: everything comes from
// here, nothing is inline. blob: is how hls.js feeds a video element.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; " +
	"connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "

// view is what a page shows.
type view struct {
	Title string
	Text  string
	User  string // who is signed in
	Here  string // which of their own pages this is
	Next  string

	Video         video.Video
	Wide          bool
	Date          string
	Confirmations []confirmation
	Limits        pageLimits

	Videos     []tile
	Mine       []entry
	Filters    []filter
	More       string
	Operations []described
	Types      []described
}

// confirmation is a dialog for what can't be taken back. Kept is its text for a
// cancel that keeps a draft.
type confirmation struct{ Command, Question, Text, Kept string }

// tile is a video in a list.
type tile struct{ ID, Title, Stage, Poster string }

func confirmations() []confirmation {
	return []confirmation{
		{"delete", "Delete this video?", "Nobody will be able to watch it, and it will be erased from every server. This can't be undone.", ""},
		{
			"cancel", "Cancel this video?", "It will not be published, and what was uploaded will be erased. Your own file stays where it is.",
			"It will not be published for now. What was uploaded is kept as a draft, which you can take up again or throw away.",
		},
	}
}

func (g *Gateway) registerPages(mux *routeTable) error {
	assets, err := loadAssets(g.assets)
	if err != nil {
		return err
	}
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.PathValue("name")]
		if !ok {
			g.nothing(w, r)
			return
		}
		w.Header().Set("Content-Type", a.kind)
		w.Header().Set("ETag", a.tag)
		w.Header().Set("Cache-Control", "no-cache") // kept, but asked for
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		g.render(w, r, "home.html", http.StatusOK, view{Title: "Short videos"})
	})
	mux.HandleFunc("GET /watch/{id}", func(w http.ResponseWriter, r *http.Request) { g.watchPage(w, r, "watch.html") })
	mux.HandleFunc("GET /embed/{id}", func(w http.ResponseWriter, r *http.Request) { g.watchPage(w, r, "embed.html") })
	mux.HandleFunc("GET /upload", g.uploadPage)
	mux.HandleFunc("GET /videos", g.videosPage)
	mux.HandleFunc("GET /drafts", g.draftsPage)
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		g.render(w, r, "docs.html", http.StatusOK, g.describe())
	})
	mux.HandleFunc("GET /signin", g.signIn)
	mux.HandleFunc("GET /signin/callback", g.finishSignIn)
	mux.HandleFunc("POST /signout", g.signOut)
	mux.HandleFunc("GET /{at}", g.profilePage)
	return nil
}

type asset struct {
	data      []byte
	kind, tag string
}

func loadAssets(files fs.FS) (map[string]asset, error) {
	assets := map[string]asset{}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		assets[e.Name()] = asset{data, mime.TypeByExtension(path.Ext(e.Name())), fmt.Sprintf(`"%x"`, sum[:12])}
	}
	return assets, nil
}

// render writes a page. No page may be kept: it may show what is deleted soon,
// and a browser's back button would play on without asking.
func (g *Gateway) render(w http.ResponseWriter, r *http.Request, name string, status int, v view) {
	if who, err := caller(r.Context()); err == nil {
		v.User = who.name
	}
	var page bytes.Buffer
	if err := g.pages.ExecuteTemplate(&page, name, v); err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	ancestors := "'none'"
	if name == "embed.html" {
		ancestors = "*"
	}
	h.Set("Content-Security-Policy", policy+ancestors)
	w.WriteHeader(status)
	_, err := page.WriteTo(w)
	_ = g.sent(err)
}

// nothing answers for an address that leads nowhere: a page for people, a
// problem for programs.
func (g *Gateway) nothing(w http.ResponseWriter, r *http.Request) {
	g.errors.Refuse(w, r, problem.NothingHere())
}

// errorPage shows a problem to a person.
func (g *Gateway) errorPage(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	titles := map[video.Code]string{
		video.Gone: "This video was deleted", video.NotFound: "There is nothing here", video.Unavailable: "Back in a moment",
	}
	text := p.Detail
	if p.Code == video.Gone {
		text = "It can't be watched any more, and it will not come back."
	}
	title := titles[p.Code]
	if title == "" {
		title = p.Title
	}
	g.render(w, r, "notice.html", p.Status, view{Title: title, Text: text})
}

func (g *Gateway) watchPage(w http.ResponseWriter, r *http.Request, name string) {
	s, err := g.look(r.Context(), r.PathValue("id"))
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	v, err := g.present(r.Context(), s, g.baseOf(r.Host, r.TLS != nil))
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	shown := view{Title: v.Title, Video: v, Wide: v.Media != nil && v.Media.Width > v.Media.Height, Confirmations: confirmations()}
	if shown.Title == "" {
		shown.Title = "Untitled"
	}
	if v.PublishedAt != nil {
		shown.Date = v.PublishedAt.Format(time.DateOnly)
	}
	g.render(w, r, name, http.StatusOK, shown)
}

// profilePage is /@{user}; a pattern can't hold the @ beside a wildcard.
func (g *Gateway) profilePage(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.PathValue("at"), "@")
	if !ok || checkName(name) != nil {
		g.nothing(w, r)
		return
	}
	all, next, err := g.seeAll(r.Context(), catalog.Query{
		Owner: g.secrets.ownerID(name), PublicOnly: true, Cursor: r.URL.Query().Get("cursor"),
	})
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	v := view{Title: "@" + name}
	for _, s := range all {
		v.Videos = append(v.Videos, tile{ID: string(s.row.ID), Title: s.about.Title, Stage: string(s.row.Stage), Poster: g.players.Poster(s.row, s.roles)})
	}
	if next != "" {
		v.More = "/@" + url.PathEscape(name) + "?cursor=" + url.QueryEscape(next)
	}
	g.render(w, r, "profile.html", http.StatusOK, v)
}

// localPath keeps a redirect on this site: anything but a plain path leads home.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

// sent notes that whoever asked went away in the middle of an answer: nobody is left to tell.
func (g *Gateway) sent(err error) error {
	if err != nil {
		g.log.Debug("answer not sent", "error", err)
	}
	return nil
}
