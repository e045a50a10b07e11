package gateway

import (
	"context"
	"slices"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// The visibilities of a published video. Unlisted ones are seen by whoever has the link.
const (
	visibilityPublic   = string(video.Public)
	visibilityUnlisted = string(video.Unlisted)
	visibilityPrivate  = string(video.Private)
)

// seen is a video as one person may see it.
type seen struct {
	row   catalog.Video
	about about
	who   person
	roles []video.Role
}

func noSuchVideo() error { return video.Errorf(video.NotFound, "There is no such video.") }

// look finds a video for whoever sent the request. It fails with NotFound when
// there is none or they may not know of it, and Gone when it is being erased or
// was; see visible.
func (g *Gateway) look(ctx context.Context, id string) (seen, error) {
	s, err := g.find(ctx, id)
	if err != nil {
		return seen{}, err
	}
	return s, visible(s.row, s.roles)
}

// find is look for those who may know of the video in any case.
func (g *Gateway) find(ctx context.Context, id string) (seen, error) {
	who, err := caller(ctx)
	if err != nil {
		return seen{}, err
	}
	v, err := video.ParseID(id)
	if err != nil {
		return seen{}, err
	}
	row, err := g.catalog.Video(ctx, v)
	if err != nil {
		return seen{}, err
	}
	return g.see(ctx, row, who)
}

// see works out what somebody is to a video, visible or not.
func (g *Gateway) see(ctx context.Context, row catalog.Video, who person) (seen, error) {
	a, err := g.openAbout(ctx, row)
	if err != nil {
		return seen{}, err
	}
	s := seen{row: row, about: a, who: who}
	switch {
	case who.anonymous():
		return s, nil
	case row.Owner == g.secrets.ownerID(who.name):
		s.roles = append(s.roles, video.Owner)
		s.about.Owner = who.name // also when the sealed name is gone
	}
	if who.operator {
		s.roles = append(s.roles, video.Operator)
	}
	if slices.Contains(a.Reviewers, who.name) {
		s.roles = append(s.roles, video.Reviewer)
	}
	return s, nil
}

// facts are what decides who sees a video, for somebody in these roles.
func facts(row catalog.Video, roles []video.Role) video.Facts {
	return video.Facts{State: row.State(), Visibility: video.Visibility(row.Visibility), Roles: roles}
}

// insider reports whether the roles see more of a video than the public.
func insider(roles []video.Role) bool { return video.Facts{Roles: roles}.Insider() }

// visible says who sees that a video exists: nil, NotFound or Gone.
func visible(row catalog.Video, roles []video.Role) error { return facts(row, roles).Access().Sees }

// watchable says whether those who see a video may also watch it; see video.Facts.
func watchable(row catalog.Video, roles []video.Role) error {
	return facts(row, roles).Access().Watches
}
