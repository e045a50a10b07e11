package gateway

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

func linksOf(base string, id video.ID) video.Links {
	self := base + "/v1/videos/" + string(id)
	return video.Links{
		Self: self, Events: self + "/events", Playback: self + "/playback", Receipt: base + "/v1/receipts/" + string(id),
		Watch: base + "/watch/" + string(id), Embed: base + "/embed/" + string(id),
	}
}

// details are what the catalog knows of videos beside their rows.
type details struct {
	uploads  map[video.ID]catalog.Upload
	replicas map[video.ID][]catalog.Replica
	holdings map[video.ID]map[string]catalog.Holding
	captions map[video.ID][]catalog.Object
}

// readDetails reads them of the videos that the caller may see them of: by four statements,
// however many there are. The captions everybody sees.
func (g *Gateway) readDetails(ctx context.Context, all []loaded) (d details, err error) {
	var ids, every []video.ID
	for _, s := range all {
		every = append(every, s.row.ID)
		if s.facts().Insider() {
			ids = append(ids, s.row.ID)
		}
	}
	if d.captions, err = g.catalog.CaptionsOf(ctx, every); err != nil || len(ids) == 0 {
		return d, err
	}
	if d.uploads, err = g.catalog.UploadsOf(ctx, ids); err != nil {
		return details{}, err
	}
	if d.replicas, err = g.catalog.ReplicasOf(ctx, ids); err != nil {
		return details{}, err
	}
	d.holdings, err = g.catalog.HoldingsOf(ctx, ids)
	return d, err
}

// render is a video as the API shows it to the one for whom it was loaded.
func (g *Gateway) render(ctx context.Context, s loaded) (video.Video, error) {
	all, err := g.renderAll(ctx, []loaded{s})
	if err != nil {
		return video.Video{}, err
	}
	return all[0], nil
}

// renderAll is render of a page of videos, in their order.
func (g *Gateway) renderAll(ctx context.Context, all []loaded) ([]video.Video, error) {
	known, err := g.readDetails(ctx, all)
	if err != nil {
		return nil, err
	}
	rendered := make([]video.Video, 0, len(all))
	for _, s := range all {
		v, err := g.renderFrom(s, origin.From(ctx).Base, known)
		if err != nil {
			return nil, err
		}
		rendered = append(rendered, v)
	}
	return rendered, nil
}

// renderFrom renders a video from what was read of it.
func (g *Gateway) renderFrom(s loaded, base string, known details) (video.Video, error) {
	v := basics(s)
	v.Links = linksOf(base, s.row.ID)
	if err := findings(s.row, &v); err != nil {
		return video.Video{}, err
	}
	v.Captions = g.shownCaptions(known.captions[s.row.ID])
	if s.decided || s.facts().Insider() {
		v.Failure = s.failure()
	}
	if !s.facts().Insider() {
		if s.row.Stage == video.Reviewing && slices.Contains(s.roles, video.Reviewer) {
			v.Review, v.WaitingFor = s.row.Review, optional(waitingFor(s.row))
		}
		return v, nil
	}
	v.WaitingFor, v.Trouble = optional(waitingFor(s.row)), s.row.Trouble
	v.Overdue = g.overdue(s.row)
	v.Stray = s.row.Stray && slices.Contains(s.roles, video.Operator)
	v.PurgeAt = instant(g.purgeAt(s.row))
	v.Reviewers, v.Review, v.KeepDraft, v.Held = list(s.about.Reviewers), s.row.Review, s.row.KeepDraft, s.row.Held
	if u, ok := known.uploads[s.row.ID]; ok {
		g.addUpload(s.row, u, base, &v)
	}
	if v.Upload == nil || !v.Upload.Stalled {
		g.estimate(s.row, v.Progress)
	}
	g.addReplicas(known.replicas[s.row.ID], known.holdings[s.row.ID], &v)
	for i, r := range v.Replicas {
		if r.State == catalog.ReplicaComplete && g.lacksCaptions(known.captions[s.row.ID], r.Store) {
			v.Replicas[i].State = catalog.ReplicaBehind // they are copied soon, by a gateway
		}
	}
	return v, nil
}

// basics is what everybody who sees the video sees of it.
func basics(s loaded) video.Video {
	row, a, state := s.row, s.about, s.row.State()
	return video.Video{
		ID: row.ID, Owner: a.Owner, Stage: state.Stage, Paused: state.Paused, Ending: optional(state.Ending),
		Visible: s.canWatch() == nil,
		Title:   a.Title, Caption: a.Caption, Hashtags: list(a.Hashtags), Music: a.Music,
		Visibility: row.Visibility, AllowDownload: row.AllowDownload,
		Reviewers: []string{},
		CreatedAt: instant(row.CreatedAt), PublishedAt: instant(row.PublishedAt), PublishAt: instant(row.PublishAt),
		DeletedAt: instant(row.HiddenAt), PurgeAt: instant(row.PurgeAt),
		Renditions: []video.Rendition{}, Captions: []video.Captions{}, Replicas: []video.Replica{}, Warnings: list(row.Warnings),
		Actions: state.Actions(s.roles...), Revision: row.Revision,
	}
}

// waitingFor says what a video waits for, also where its workflow can't say so.
func waitingFor(row catalog.Video) string {
	switch {
	case row.DeletionAsked():
		return "its workflow, which has not taken up the deletion yet"
	case !row.CancelAskedAt.IsZero():
		return "its workflow, which has not taken up the cancel yet"
	}
	return row.WaitingFor
}

// purgeAt is when the grace of a video ends; zero when it has none. Of one whose
// workflow has not taken up the deletion it is when it will have ended.
func (g *Gateway) purgeAt(row catalog.Video) time.Time {
	if row.DeletionAsked() {
		if row.Stage == video.Published {
			return row.HiddenAt.Add(g.settings.Policy.DeleteGrace)
		}
		return time.Time{}
	}
	return row.PurgeAt
}

// overdue reports whether the erasure of a video takes longer than promised. It is
// worked out here too, because a workflow that is stuck can't report that it is.
func (g *Gateway) overdue(row catalog.Video) bool {
	begun := g.purgeAt(row)
	if row.HiddenAt.After(begun) {
		begun = row.HiddenAt
	}
	late := g.settings.Policy.OverdueAfter
	if row.Overdue || row.Held || row.State().Ending == "" || begun.IsZero() || late == 0 {
		return row.Overdue
	}
	return time.Since(begun) > late
}

// findings adds what the workers found out and how far they are.
func findings(row catalog.Video, v *video.Video) error {
	if len(row.Media) > 0 {
		if err := json.Unmarshal(row.Media, &v.Media); err != nil {
			return err
		}
	}
	if len(row.Renditions) > 0 {
		if err := json.Unmarshal(row.Renditions, &v.Renditions); err != nil {
			return err
		}
	}
	if row.Unit != "" {
		v.Progress = &video.Progress{Stage: v.Stage, Done: row.Done, Total: row.Total, Unit: row.Unit}
	}
	return nil
}

func (g *Gateway) addUpload(row catalog.Video, u catalog.Upload, base string, v *video.Video) {
	v.Upload = &video.Upload{Offset: u.Offset, ExpiresAt: instant(u.ExpiresAt), Stalled: u.Stalled}
	if !row.Import {
		v.Upload.URL = optional(base + uploads.Path + g.creation.UploadToken(row.ID))
	}
	if u.Length >= 0 {
		v.Upload.Length = &u.Length
	}
	if row.Stage == video.Uploading {
		v.Progress = &video.Progress{Stage: row.Stage, Done: u.Offset, Total: max(0, u.Length), Unit: "bytes"}
	}
}

// estimate adds rate and remaining time to progress as this gateway has loaded it.
func (g *Gateway) estimate(row catalog.Video, p *video.Progress) {
	if p == nil || row.Paused || row.State().Ending != "" {
		return
	}
	rate, known := g.progress.observe(row.ID, p.Stage, p.Done, time.Now())
	if !known {
		return
	}
	p.PerSecond = &rate
	if rate > 0 && p.Total > 0 {
		eta := math.Ceil(float64(p.Total-p.Done) / rate)
		p.ETA = &eta
	}
}

// addReplicas tells which store holds what: by the manifest, which knows of
// every object, in the state that the workers have noted. What a purge has left
// of it is known once the store is empty.
func (g *Gateway) addReplicas(noted []catalog.Replica, holdings map[string]catalog.Holding, v *video.Video) {
	for _, store := range g.stores.All() {
		if !slices.ContainsFunc(noted, func(r catalog.Replica) bool { return r.Store == store.Name() }) {
			noted = append(noted, catalog.Replica{Store: store.Name(), State: unnoted(v, holdings[store.Name()])})
		}
	}
	for _, r := range noted {
		held := holdings[r.Store]
		if r.State == catalog.ReplicaEmpty {
			held = catalog.Holding{}
		}
		v.Replicas = append(v.Replicas, video.Replica{
			Store: r.Store, State: r.State, Objects: held.Objects, Bytes: held.Bytes, VerifiedAt: instant(r.VerifiedAt),
			LockedUntil: instant(r.LockedUntil),
		})
	}
	slices.SortStableFunc(v.Replicas, func(a, b video.Replica) int { return g.rank(a) - g.rank(b) })
}

// unnoted is the state of a replica that no worker has brought into another: only
// the primary has anything of the video, as gateways and workers put it there.
func unnoted(v *video.Video, held catalog.Holding) string {
	u := v.Upload
	partial := u != nil && (u.Length == nil || u.Offset < *u.Length)
	switch {
	case held.Objects == 0:
		return catalog.ReplicaPending
	case partial && v.Stage == video.Uploading:
		return catalog.ReplicaCopying
	case partial:
		return catalog.ReplicaBehind
	}
	return catalog.ReplicaComplete
}

// rank puts the stores in the order of the settings, and those that aren't there any more last.
func (g *Gateway) rank(r video.Replica) int {
	all := g.stores.All()
	if i := slices.IndexFunc(all, func(s objects.Store) bool { return s.Name() == r.Store }); i >= 0 {
		return i
	}
	return len(all)
}

// erasedVideo is what is left to show to whoever has just ended a video.
func erasedVideo(s loaded, base string) video.Video {
	s.row = catalog.Video{ID: s.row.ID, Stage: video.Purged, Visibility: s.row.Visibility}
	v := basics(s)
	v.Title, v.Caption, v.Hashtags, v.Music = "", "", []string{}, ""
	v.Links = linksOf(base, s.row.ID)
	return v
}

// instant is a time as the API writes it; nil for one that has not come.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func optional[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
