package playback

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/captions"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Addresses returns where somebody who may watch a video finds it, below base. It
// fails with Conflict as long as nothing of it can be watched.
func (s *Server) Addresses(ctx context.Context, row catalog.Video, roles []video.Role, base string) (video.Playback, error) {
	p, err := s.facts.of(ctx, row.ID, row.Revision)
	if err != nil {
		return video.Playback{}, err
	}
	if len(p.segments) == 0 {
		return video.Playback{}, video.Errorf(video.Conflict, "The video can't be watched yet: it is still being processed.")
	}
	until := time.Now().Add(TokenLife).UTC().Truncate(time.Second)
	root := base + s.root(row.ID, ClassOf(roles), until)
	shown := video.Playback{HLS: root + masterName + playlistExtension, ExpiresAt: until}
	if p.poster != nil {
		shown.Poster = root + "poster.jpg"
	}
	if len(p.cues) > 0 {
		shown.Previews = root + "previews.vtt"
	}
	shown.Captions = []video.CaptionFile{}
	for _, language := range p.languages {
		shown.Captions = append(shown.Captions, video.CaptionFile{
			Captions: video.Captions{Language: language, Label: captions.Label(language)}, URL: root + captionPath(language),
		})
	}
	if row.AllowDownload {
		shown.Download = root + "source" // what was published was uploaded
	}
	return shown, nil
}

// root is what the addresses behind a token begin with.
func (s *Server) root(id video.ID, c Class, until time.Time) string {
	return "/play/" + string(id) + "/" + s.Token(id, c, until) + "/"
}

// Poster returns the address of the picture of a video for somebody in these roles,
// empty if there is none or they may not watch the video. It asks nobody.
func (s *Server) Poster(row catalog.Video, roles []video.Role) string {
	class := ClassOf(roles)
	if len(row.Renditions) == 0 || class.watches(row.State(), video.Visibility(row.Visibility)) != nil { // with the renditions comes a poster
		return ""
	}
	return s.root(row.ID, class, time.Now().Add(TokenLife)) + "poster.jpg"
}
