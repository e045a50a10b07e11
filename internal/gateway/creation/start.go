package creation

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// lifecycleInput is what the workflow is told, made of what is durable.
func (c *Creator) lifecycleInput(row catalog.Video) video.LifecycleInput {
	return row.Input(c.settings.Primary, c.settings.Backups, c.settings.Policy)
}

// Run makes up for gateways that died while they made a video, or had no
// Temporal: it starts lives that have rows but no workflow, and takes back keys that
// have no rows. Starting one that lives does nothing, so each gateway asks once for
// every upload that it sees. It returns when ctx ends.
func (c *Creator) Run(ctx context.Context) {
	started, tentative := map[video.ID]bool{}, map[video.ID]bool{}
	for tick := time.NewTicker(startEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		var err error
		if started, err = c.startOnce(ctx, started); err != nil && ctx.Err() == nil {
			c.log.Warn("lives not started", "error", err)
		}
		if tentative, err = c.settleKeys(ctx, tentative); err != nil && ctx.Err() == nil {
			c.log.Warn("keys not settled", "error", err)
		}
	}
}

const (
	startEvery = 2 * time.Second
	startAfter = 2 * time.Second // time for the request itself to do it
	startPage  = 100             // videos
)

// startOnce returns those that were started, of those that have shown no sign of life yet.
func (c *Creator) startOnce(ctx context.Context, known map[video.ID]bool) (map[video.ID]bool, error) {
	started := map[video.ID]bool{}
	for after := video.ID(""); ; {
		page, err := c.catalog.Unstarted(ctx, time.Now().Add(-startAfter), after, startPage)
		if err != nil {
			return known, err
		}
		for _, row := range page {
			if !known[row.ID] {
				err := c.Start(ctx, row)
				if video.CodeOf(err) == video.Unavailable {
					return known, err
				} else if err != nil {
					c.log.Error("life not started", "video", row.ID, "error", err) // it must not hold up the others
					continue
				}
			}
			started[row.ID] = true
		}
		if len(page) < startPage {
			return started, nil
		}
		after = page[len(page)-1].ID
	}
}

// Start begins the life of a video that has rows. Repeating it does nothing.
func (c *Creator) Start(ctx context.Context, row catalog.Video) error {
	return c.lives.Start(ctx, c.lifecycleInput(row))
}
