package gateway

import (
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

type playbackAnswer struct{ Body video.Playback }

// playback makes the addresses for whoever sent the request.
func (g *Gateway) playback(ctx context.Context, id, base string) (video.Playback, error) {
	s, err := g.look(ctx, id)
	if err != nil {
		return video.Playback{}, err
	}
	if err := watchable(s.row, s.roles); err != nil {
		return video.Playback{}, err
	}
	return g.players.Addresses(ctx, s.row, s.roles, base)
}

// playbackHost is what playback knows of the gateway.
type playbackHost struct{ g *Gateway }

// SourceName implements playback.Host.
func (h playbackHost) SourceName(ctx context.Context, row catalog.Video) (filename, contentType string, err error) {
	a, err := h.g.openAbout(ctx, row)
	return a.Filename, a.ContentType, err
}
