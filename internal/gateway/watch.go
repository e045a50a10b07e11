package gateway

import (
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/video"
)

type playbackAnswer struct{ Body video.Playback }

// playback makes the addresses for whoever sent the request.
func (g *Gateway) playback(ctx context.Context, id string) (video.Playback, error) {
	v, err := g.load(ctx, id)
	if err != nil {
		return video.Playback{}, err
	}
	if err := v.canWatch(); err != nil {
		return video.Playback{}, err
	}
	return g.players.Addresses(ctx, v.row, v.roles, origin.From(ctx).Base)
}

// playbackHost is what playback knows of the gateway.
type playbackHost struct{ g *Gateway }

// SourceName implements playback.Host.
func (h playbackHost) SourceName(ctx context.Context, row catalog.Video) (filename, contentType string, err error) {
	a, err := about.Open(ctx, h.g.vault, row.ID, row.Sealed)
	return a.Filename, a.ContentType, err
}
