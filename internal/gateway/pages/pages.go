// Package pages is what people see in a browser: the pages of web/ with their data, and
// the assets that belong to them. It keeps nothing: each page shows what the read model
// says at that moment, and no browser may keep it.
package pages

import (
	"bytes"
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/web"
)

// Shown is a video as the one who asks may see it.
type Shown struct {
	Video  video.Video
	Owned  bool   // it is theirs
	Poster string // address of its picture, with a token; empty where there is none, or only one video is asked for
}

// Videos is the read model. All its answers are for the caller of the request that ctx
// belongs to, and contain only what they may see.
type Videos interface {
	// Show returns a video. It fails with NotFound and Gone as the API does.
	Show(ctx context.Context, id string) (Shown, error)
	// ListOwn returns a page of the caller's own, newest first; of one stage, or "" for all.
	ListOwn(ctx context.Context, stage video.Stage, cursor string) (page []Shown, next string, err error)
	// ListPublished returns a page of what somebody has published for everyone.
	ListPublished(ctx context.Context, name, cursor string) (page []Shown, next string, err error)
}

// Limits are what the upload page tells people before they send anything.
type Limits struct {
	MaxBytes    int64
	MaxDuration time.Duration
}

// Pages serves them. Make it with New.
type Pages struct {
	videos    Videos
	limits    Limits
	errors    *problem.Answerer
	log       *slog.Logger
	templates *template.Template
	assets    assets
}

// New fails when what is embedded can't be read.
func New(videos Videos, limits Limits, errors *problem.Answerer, log *slog.Logger) (*Pages, error) {
	p := &Pages{videos: videos, limits: limits, errors: errors, log: log}
	var err error
	if p.assets, err = embedded(); err != nil {
		return nil, err
	}
	p.templates, err = web.Templates(p.assets.address)
	return p, err
}

// Register registers the routes of all pages. api is described on one of them.
func (p *Pages) Register(api *huma.OpenAPI, mux interface {
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}) {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/assets/{name}": p.serveAsset,
		"/{$}": func(w http.ResponseWriter, r *http.Request) error {
			return p.render(w, r, "home.html", http.StatusOK, view{Title: "Short videos"})
		},
		"/watch/{id}": p.watch("watch.html"),
		"/embed/{id}": p.watch("embed.html"),
		"/upload":     p.upload,
		"/videos":     p.ownVideos,
		"/drafts":     p.drafts,
		"/docs": func(w http.ResponseWriter, r *http.Request) error {
			return p.render(w, r, "docs.html", http.StatusOK, describe(api))
		},
		"/{at}": p.profile,
	} {
		mux.HandleFunc("GET "+pattern, p.errors.Handle(serve))
	}
}

// policy is the content security policy of every page: everything comes from
// here, nothing is inline. blob: is how hls.js feeds a video element.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; " +
	"connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "

// view is the data of a page.
type view struct {
	Title string
	Text  string
	User  string // who is signed in
	Here  string // which of their own pages this is
	Next  string // where the form to sign in leads to
	Back  string // where a sign-in from this page leads back to; empty for the start

	Receipt       video.Receipt
	Video         video.Video
	Wide          bool
	Date          string
	Confirmations []confirmation
	Limits        uploadLimits

	Videos     []tile
	Mine       []entry
	Filters    []filter
	More       string
	Guide      []block
	Operations []described
	Types      []described
}

// render writes a page. No page may be kept: it may show what is deleted soon,
// and a browser's back button would play on without asking.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, name string, status int, v view) error {
	if who, err := people.Caller(r.Context()); err == nil {
		v.User = who.Name
	}
	if r.Method == http.MethodGet && r.URL.Path != "/" && !strings.HasPrefix(r.URL.Path, "/signin") {
		v.Back = r.URL.RequestURI()
	}
	var page bytes.Buffer
	if err := p.templates.ExecuteTemplate(&page, name, v); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	ancestors := "'none'"
	if strings.HasPrefix(name, "embed") { // what other sites show in a frame
		ancestors = "*"
	}
	h.Set("Content-Security-Policy", policy+ancestors)
	w.WriteHeader(status)
	if _, err := page.WriteTo(w); err != nil {
		p.log.Debug("answer not sent", "error", err)
	}
	return nil
}

// Problem shows a problem to a person.
func (p *Pages) Problem(w http.ResponseWriter, r *http.Request, refused *problem.Problem) {
	titles := map[video.Code]string{
		video.Gone: "This video was deleted", video.NotFound: "There is nothing here", video.Unavailable: "Back in a moment",
	}
	text := refused.Detail
	if refused.Code == video.Gone {
		text = "It can't be watched any more, and it will not come back."
	}
	title := titles[refused.Code]
	if title == "" {
		title = refused.Title
	}
	name := "notice.html"
	if strings.HasPrefix(r.URL.Path, "/embed/") {
		name = "embed-notice.html"
	}
	p.mustRender(w, r, name, refused.Status, view{Title: title, Text: text})
}

// SignInForm implements people.Pages.
func (p *Pages) SignInForm(w http.ResponseWriter, r *http.Request, status int, next, refusal string) {
	p.mustRender(w, r, "signin.html", status, view{Title: "Sign in", Next: next, Text: refusal})
}

// mustRender is render where a template that fails can't be answered by another page.
func (p *Pages) mustRender(w http.ResponseWriter, r *http.Request, name string, status int, v view) {
	if err := p.render(w, r, name, status, v); err != nil {
		p.errors.Write(w, p.errors.Problem(r.Context(), err))
	}
}
