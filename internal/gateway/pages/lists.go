package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// entry is a video in a list of somebody's own.
type entry struct {
	ID, Title, Poster string
	Address           string // of the page where it goes on
	State             string // in words
	Amount            string // how much of it is stored, while that is not all
	Until             string // when a draft is thrown away
}

// tile is a video in somebody's profile.
type tile struct{ ID, Title, Stage, Poster string }

// filter leads to a part of a list.
type filter struct {
	Name, Address string
	Current       bool
}

// shownStages are those that people look for, in the order of a life.
var shownStages = []video.Stage{
	video.Uploading, video.Processing, video.Reviewing, video.Scheduled, video.Publishing, video.Published,
	video.Rejected, video.Canceled, video.PendingDeletion,
}

// ownVideos is /videos: all that somebody has, newest first.
func (p *Pages) ownVideos(w http.ResponseWriter, r *http.Request) error {
	if done, err := mustSignIn(w, r); done || err != nil {
		return err
	}
	stage := video.Stage(r.URL.Query().Get("stage"))
	if stage != "" && !slices.Contains(video.Stages, stage) {
		return problem.NothingHere()
	}
	page := view{Title: "Your videos", Here: "videos", Text: "You have no videos yet.", Filters: filters(stage)}
	more := url.Values{}
	if stage != "" {
		page.Text = "None of your videos is " + words(stage) + "."
		more.Set("stage", string(stage))
	}
	return p.listOwn(w, r, "videos.html", page, stage, more)
}

// drafts is /drafts.
func (p *Pages) drafts(w http.ResponseWriter, r *http.Request) error {
	if done, err := mustSignIn(w, r); done || err != nil {
		return err
	}
	page := view{Title: "Drafts", Here: "drafts", Confirmations: confirmations()}
	return p.listOwn(w, r, "drafts.html", page, video.Draft, url.Values{})
}

// listOwn renders a page of a list; more is the query of the one after it.
func (p *Pages) listOwn(w http.ResponseWriter, r *http.Request, name string, page view, stage video.Stage, more url.Values) error {
	all, next, err := p.videos.ListOwn(r.Context(), stage, r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	for _, shown := range all {
		page.Mine = append(page.Mine, entryOf(shown))
	}
	if next != "" {
		more.Set("cursor", next)
		page.More = r.URL.Path + "?" + more.Encode()
	}
	return p.render(w, r, name, http.StatusOK, page)
}

// profile is /@{user}; a pattern can't hold the @ beside a wildcard.
func (p *Pages) profile(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutPrefix(r.PathValue("at"), "@")
	if !ok || people.CheckName(name) != nil {
		return problem.NothingHere()
	}
	all, next, err := p.videos.ListPublished(r.Context(), name, r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	page := view{Title: "@" + name}
	for _, shown := range all {
		v := shown.Video
		page.Videos = append(page.Videos, tile{ID: string(v.ID), Title: v.Title, Stage: string(v.Stage), Poster: shown.Poster})
	}
	if next != "" {
		page.More = "/@" + url.PathEscape(name) + "?cursor=" + url.QueryEscape(next)
	}
	return p.render(w, r, "profile.html", http.StatusOK, page)
}

func entryOf(shown Shown) entry {
	v := shown.Video
	e := entry{ID: string(v.ID), Title: titleOf(v.Title), Address: "/watch/" + string(v.ID), State: state(v), Poster: shown.Poster}
	if wantsBytes(v) {
		e.Address = "/upload?video=" + string(v.ID)
	}
	if v.Stage == video.Uploading || v.Stage == video.Draft {
		e.Amount = amount(v)
	}
	if v.Stage == video.Draft && v.PurgeAt != nil {
		e.Until = v.PurgeAt.Format(time.RFC3339)
	}
	return e
}

func state(v video.Video) string {
	words := words(v.Stage)
	if v.Paused && v.Ending == nil {
		words += ", paused"
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

func words(s video.Stage) string {
	if s == video.PendingDeletion {
		return "deleted"
	}
	return string(s)
}

// amount says how much of a video is stored.
func amount(v video.Video) string {
	switch {
	case v.Upload == nil:
		return ""
	case v.Upload.Length == nil:
		return megabytes(v.Upload.Offset) + " stored"
	case v.Upload.Offset < *v.Upload.Length:
		return fmt.Sprintf("%.1f of %s stored", float64(v.Upload.Offset)/1e6, megabytes(*v.Upload.Length))
	}
	return "All " + megabytes(*v.Upload.Length) + " stored"
}

func filters(current video.Stage) []filter {
	all := []filter{{"All", "/videos", current == ""}}
	for _, s := range shownStages {
		name := words(s)
		all = append(all, filter{strings.ToUpper(name[:1]) + name[1:], "/videos?stage=" + string(s), s == current})
	}
	return all
}
