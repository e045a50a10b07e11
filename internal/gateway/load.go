package gateway

import (
	"context"
	"slices"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// loaded is a video for one person.
type loaded struct {
	row   catalog.Video
	about about.Video
	who   people.Person
	roles []video.Role // what they are to it

	decided bool   // as a reviewer they have approved or rejected it
	note    string // of whoever has refused it; see failure
}

func noSuchVideo() error { return video.Errorf(video.NotFound, "There is no such video.") }

// load finds a video for whoever sent the request. It fails with NotFound when
// there is none or they may not know of it, and Gone when it is being erased or
// was; see video.Facts.
func (g *Gateway) load(ctx context.Context, id string) (loaded, error) {
	v, err := g.loadUnchecked(ctx, id)
	if err != nil {
		return loaded{}, err
	}
	return v, v.canSee()
}

// loadUnchecked is load for those who may know of the video in any case.
func (g *Gateway) loadUnchecked(ctx context.Context, id string) (loaded, error) {
	who, err := people.Caller(ctx)
	if err != nil {
		return loaded{}, err
	}
	v, err := video.ParseID(id)
	if err != nil {
		return loaded{}, err
	}
	row, err := g.catalog.Video(ctx, v)
	if err != nil {
		return loaded{}, err
	}
	return g.loadRow(ctx, row, who)
}

// loadRow works out what somebody is to a video, whether they may see it or not.
func (g *Gateway) loadRow(ctx context.Context, row catalog.Video, who people.Person) (loaded, error) {
	all, err := g.loadRows(ctx, []catalog.Video{row}, who)
	if err != nil {
		return loaded{}, err
	}
	return all[0], nil
}

// loadRows is loadRow of a page of videos. It borrows the key of each once, and asks the
// catalog at most once.
func (g *Gateway) loadRows(ctx context.Context, rows []catalog.Video, who people.Person) ([]loaded, error) {
	notes, err := g.notesOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	all := make([]loaded, 0, len(rows))
	for _, row := range rows {
		a, note, err := g.openWords(ctx, row, notes[row.ID])
		if err != nil {
			return nil, err
		}
		v := g.relate(row, a, who)
		v.note = note
		all = append(all, v)
	}
	return all, nil
}

// relate works out what somebody is to a video.
func (g *Gateway) relate(row catalog.Video, a about.Video, who people.Person) loaded {
	v := loaded{row: row, about: a, who: who}
	switch {
	case who.Anonymous():
		return v
	case row.Owner == g.people.OwnerID(who.Name):
		v.roles = append(v.roles, video.Owner)
		v.about.Owner = who.Name // also when the sealed name is gone
	}
	if who.Operator {
		v.roles = append(v.roles, video.Operator)
	}
	if slices.Contains(a.Reviewers, who.Name) {
		v.roles = append(v.roles, video.Reviewer)
		v.decided = row.DecidedBy != "" && row.DecidedBy == g.people.OwnerID(who.Name)
	}
	return v
}

// loadAll returns those videos of a page that the caller may see: a row decides
// at the moment of the answer.
func (g *Gateway) loadAll(ctx context.Context, q catalog.Query) (all []loaded, next string, err error) {
	who, err := people.Caller(ctx)
	if err != nil {
		return nil, "", err
	}
	rows, next, err := g.catalog.Videos(ctx, q)
	if err != nil {
		return nil, "", err
	}
	found, err := g.loadRows(ctx, rows, who)
	if err != nil {
		return nil, "", err
	}
	for _, v := range found {
		if v.canSee() == nil && (!q.PublicOnly || factsOf(v.row, nil).Access().Sees == nil) {
			all = append(all, v)
		}
	}
	return all, next, nil
}

// factsOf are what decides who sees a video, for somebody in these roles. Nobody can
// interact with one yet.
func factsOf(row catalog.Video, roles []video.Role) video.Facts {
	return video.Facts{State: row.State(), Visibility: video.Visibility(row.Visibility), Roles: roles}
}

func (v loaded) facts() video.Facts {
	f := factsOf(v.row, v.roles)
	f.Decided = v.decided
	return f
}

// canSee says why they may not know of the video: nil, NotFound or Gone.
func (v loaded) canSee() error { return v.facts().Access().Sees }

// canWatch says why those who see a video may not watch it; see video.Facts.
func (v loaded) canWatch() error { return v.facts().Access().Watches }

// owned reports whether it is theirs.
func (v loaded) owned() bool { return slices.Contains(v.roles, video.Owner) }
