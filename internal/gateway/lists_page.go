package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
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

// videosPage is /videos: all that somebody has, newest first.
func (g *Gateway) videosPage(w http.ResponseWriter, r *http.Request) {
	who, ok := g.ownPage(w, r)
	if !ok {
		return
	}
	stage := video.Stage(r.URL.Query().Get("stage"))
	if stage != "" && !slices.Contains(video.Stages, stage) {
		g.nothing(w, r)
		return
	}
	shown := view{Title: "Your videos", Here: "videos", Text: "You have no videos yet.", Filters: filters(stage)}
	q := catalog.Query{Owner: g.secrets.ownerID(who.name)}
	if stage != "" {
		q.Stages, shown.Text = []video.Stage{stage}, "None of your videos is "+words(stage)+"."
	}
	g.listPage(w, r, "videos.html", shown, q)
}

// draftsPage is /drafts.
func (g *Gateway) draftsPage(w http.ResponseWriter, r *http.Request) {
	who, ok := g.ownPage(w, r)
	if !ok {
		return
	}
	shown := view{Title: "Drafts", Here: "drafts", Confirmations: confirmations()}
	g.listPage(w, r, "drafts.html", shown, catalog.Query{Owner: g.secrets.ownerID(who.name), Stages: []video.Stage{video.Draft}})
}

func (g *Gateway) listPage(w http.ResponseWriter, r *http.Request, name string, shown view, q catalog.Query) {
	q.Cursor = r.URL.Query().Get("cursor")
	all, next, err := g.seeAll(r.Context(), q)
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	for _, s := range all {
		v, err := g.present(r.Context(), s, "")
		if err != nil {
			g.errors.Refuse(w, r, err)
			return
		}
		e := entryOf(v)
		e.Poster = g.players.Poster(s.row, s.roles)
		shown.Mine = append(shown.Mine, e)
	}
	if next != "" {
		older := url.Values{"cursor": {next}}
		if len(q.Stages) == 1 && name == "videos.html" {
			older.Set("stage", string(q.Stages[0]))
		}
		shown.More = r.URL.Path + "?" + older.Encode()
	}
	g.render(w, r, name, http.StatusOK, shown)
}

func entryOf(v video.Video) entry {
	e := entry{ID: string(v.ID), Title: titleOf(v.Title), Address: "/watch/" + string(v.ID), State: state(v)}
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
