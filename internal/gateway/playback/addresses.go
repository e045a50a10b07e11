package playback

import (
	"context"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Addresses returns where somebody who may watch a video finds it, below base. It
// fails with Conflict as long as nothing of it can be watched.
func (s *Server) Addresses(ctx context.Context, row catalog.Video, roles []video.Role, base string) (video.Playback, error) {
	objects, err := s.stored(ctx, row.ID, "")
	if err != nil {
		return video.Playback{}, err
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(objects, func(o catalog.Object) bool { return o.Kind == kind })
	}
	if !has(catalog.KindSegment) {
		return video.Playback{}, video.Errorf(video.Conflict, "The video can't be watched yet: it is still being processed.")
	}
	until := time.Now().Add(TokenLife).UTC().Truncate(time.Second)
	root := base + s.root(row.ID, ClassOf(roles), until)
	p := video.Playback{HLS: root + "master.m3u8", ExpiresAt: until}
	if has(catalog.KindPoster) {
		p.Poster = root + "poster.jpg"
	}
	if row.AllowDownload && has(catalog.KindSource) {
		p.Download = root + "source"
	}
	return p, nil
}

// root is what the addresses behind a token begin with.
func (s *Server) root(id video.ID, c Class, until time.Time) string {
	return "/play/" + string(id) + "/" + s.Token(id, c, until) + "/"
}

// Poster returns the address of the picture of a video for somebody in these roles,
// empty if there is none or they may not watch the video. It asks nobody.
func (s *Server) Poster(row catalog.Video, roles []video.Role) string {
	class := ClassOf(roles)
	if len(row.Renditions) == 0 || watches(row, class) != nil { // with the renditions comes a poster
		return ""
	}
	return s.root(row.ID, class, time.Now().Add(TokenLife)) + "poster.jpg"
}

// stored returns what the primary store has of a video, of one kind or all.
func (s *Server) stored(ctx context.Context, id video.ID, kind string) ([]catalog.Object, error) {
	return s.catalog.Objects(ctx, id, catalog.Filter{Store: s.primary.Name(), Kind: kind, Stored: true})
}
