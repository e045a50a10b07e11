package creation

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// The key of a video is there before its rows, in which everything is sealed. It is
// tentative until then: a request that is refused takes its key back, and what a
// crash leaves is taken back by whichever gateway is next to look.

// newKey makes the key of a video that is to be, and lends it.
func (c *Creator) newKey(ctx context.Context, id video.ID) (*vault.Loan, error) {
	for {
		if err := c.vault.Make(ctx, id); err != nil {
			return nil, err
		}
		loan, err := c.vault.Lend(ctx, id)
		if err == nil || video.CodeOf(err) != video.NotFound {
			return loan, err
		}
		// Another request for the same id was refused and took it back in between.
	}
}

// confirm says that the rows are there. If it can't be said now, settleKeys finds out.
func (c *Creator) confirm(ctx context.Context, id video.ID) {
	if err := c.vault.Confirm(ctx, id); err != nil {
		c.log.Warn("a new key is still to be confirmed", "video", id, "error", err)
	}
}

// settleWait is how long a request that is refused may take to clean up after itself.
const settleWait = 2 * time.Second

// settleKey takes the tentative key of a video back unless there is such a video,
// which confirms it, or somebody is making it.
func (c *Creator) settleKey(ctx context.Context, id video.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWait)
	defer cancel()
	_, err := c.catalog.Video(ctx, id)
	switch {
	case err == nil:
		err = c.vault.Confirm(ctx, id)
	case absent(err):
		err = c.vault.Discard(ctx, id, func(ctx context.Context) error { return c.mustBeAbsent(ctx, id) })
	}
	if code := video.CodeOf(err); err != nil && code != video.Conflict && code != video.Gone {
		c.log.Warn("a new key is still to be settled", "video", id, "error", err)
	}
}

func absent(err error) bool {
	code := video.CodeOf(err)
	return err != nil && (code == video.NotFound || code == video.Gone)
}

// mustBeAbsent fails when the catalog has a video, or can't say.
func (c *Creator) mustBeAbsent(ctx context.Context, id video.ID) error {
	_, err := c.catalog.Video(ctx, id)
	switch {
	case err == nil:
		return video.Errorf(video.Conflict, "There is such a video.")
	case absent(err):
		return nil
	}
	return err
}

// settleKeys settles those keys that were tentative at the last look already: the
// others are of requests under way. It returns those that are so now.
func (c *Creator) settleKeys(ctx context.Context, before map[video.ID]bool) (map[video.ID]bool, error) {
	now := map[video.ID]bool{}
	for id, err := range c.vault.Tentative(ctx) {
		if err != nil {
			return before, err
		}
		if now[id] = true; before[id] {
			c.settleKey(ctx, id)
		}
	}
	return now, nil
}
