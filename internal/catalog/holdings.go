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
	var rows []Holding
	err := c.read.WithContext(ctx).Model(&Object{}).
		Select("store, COUNT(*) AS objects, SUM(size) AS bytes").
		Where("video = ? AND state = ?", id, ObjectStored).Group("store").Find(&rows).Error
	if err != nil {
		return nil, codedError(err)
	}
	holdings := make(map[string]Holding, len(rows))
	for _, row := range rows {
		holdings[row.Store] = row
	}
	return holdings, nil
}
