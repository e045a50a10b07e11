package catalog

import (
	"context"

	"github.com/reelflow/reelflow/video"
)

// Holding is how much of a video the manifest knows to lie in a store.
type Holding struct {
	Store   string
	Objects int
	Bytes   int64 // as stored
}

// Holdings counts what is stored of a video, by store. A store without any of it
// is left out.
func (c *Catalog) Holdings(ctx context.Context, id video.ID) (map[string]Holding, error) {
	holdings, err := c.HoldingsOf(ctx, []video.ID{id})
	if err != nil {
		return nil, err
	}
	if holdings[id] == nil {
		return map[string]Holding{}, nil
	}
	return holdings[id], nil
}
