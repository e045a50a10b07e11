package gateway

import (
	"context"
	"slices"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// The visibilities of a published video. Unlisted ones are seen by whoever has the link.
const (
	visibilityPublic   = catalog.VisibilityPublic
	visibilityUnlisted = "unlisted"
	visibilityPrivate  = "private"
)

// seen is a video as one person may see it.
type seen struct {
	row   catalog.Video
	about about
	who   person
	roles []video.Role
}

func noSuchVideo() error { return video.Errorf(video.NotFound, "There is no such video.") }

func deleted() error { return video.Errorf(video.Gone, "This video was deleted.") }

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

// insider reports whether the roles see more of a video than the public.
func insider(roles []video.Role) bool {
	return slices.Contains(roles, video.Owner) || slices.Contains(roles, video.Operator)
}

// hidden reports whether the public sees the video no more. An ending counts
// from the moment it is asked for, before any stage has changed.
func hidden(s video.State) bool { return s.Stage != video.Published || s.Ending != "" }

// visible says who sees that a video exists: nil, NotFound or Gone.
func visible(row catalog.Video, roles []video.Role) error {
	s := row.State()
	switch {
	case s.Stage == video.Purged:
		return deleted()
	case insider(roles):
		return nil
	case s.Stage == video.Purging:
		return deleted()
	case s.Stage == video.Reviewing && s.Ending != video.ByDeletion && slices.Contains(roles, video.Reviewer):
		return nil
	case hidden(s) || row.Visibility == visibilityPrivate:
		return noSuchVideo()
	}
	return nil
}

// watchable says whether those who see a video may also watch it. Insiders and
// reviewers can before it is published, once it is packaged. It fails with
// Conflict when the time has not come, and Gone when it is over.
func watchable(row catalog.Video, roles []video.Role) error {
	if err := visible(row, roles); err != nil {
		return err
	}
	s := row.State()
	if s.Ending != "" {
		return deleted()
	}
	switch s.Stage {
	case video.Published, video.Reviewing, video.Scheduled, video.Publishing:
		return nil
	case video.PendingDeletion, video.Purging, video.Rejected, video.Canceled:
		return deleted()
	}
	return video.Errorf(video.Conflict, "The video can't be watched yet: it has to be uploaded and processed first.")
}
