package catalog

import (
	"context"

	"github.com/reelflow/reelflow/video"
)

// What a list shows of its videos beside their rows. Each method is one statement,
// however many videos it is asked about: as many as a page has, for databases limit the
// parameters of a statement. Videos of which there is nothing, or that are gone, are left
// out of the answers.

// UploadsOf returns the uploads of videos.
func (c *Catalog) UploadsOf(ctx context.Context, ids []video.ID) (map[video.ID]Upload, error) {
	var rows []Upload
	if err := withControl(c.read.WithContext(ctx)).Where("uploads.video IN ?", ids).Find(&rows).Error; err != nil {
		return nil, codedError(err)
	}
	uploads := make(map[video.ID]Upload, len(rows))
	for _, row := range rows {
		uploads[row.Video] = row
	}
	return uploads, nil
}

// ReplicasOf returns the replicas of videos, each video's by the name of their store.
func (c *Catalog) ReplicasOf(ctx context.Context, ids []video.ID) (map[video.ID][]Replica, error) {
	var rows []Replica
	err := c.read.WithContext(ctx).Where("video IN ?", ids).Order("video, store").Find(&rows).Error
	return grouped(rows, func(r Replica) video.ID { return r.Video }), codedError(err)
}

// HoldingsOf returns what Holdings does, of several videos.
func (c *Catalog) HoldingsOf(ctx context.Context, ids []video.ID) (map[video.ID]map[string]Holding, error) {
	var rows []struct {
		Video   video.ID
		Holding `gorm:"embedded"`
	}
	err := c.read.WithContext(ctx).Model(&Object{}).
		Select("video, store, COUNT(*) AS objects, SUM(size) AS bytes").
		Where("video IN ? AND state = ?", ids, ObjectStored).Group("video, store").Find(&rows).Error
	if err != nil {
		return nil, codedError(err)
	}
	holdings := make(map[video.ID]map[string]Holding, len(ids))
	for _, row := range rows {
		if holdings[row.Video] == nil {
			holdings[row.Video] = map[string]Holding{}
		}
		holdings[row.Video][row.Store] = row.Holding
	}
	return holdings, nil
}

// NotesOf returns what reviewers wrote of videos.
func (c *Catalog) NotesOf(ctx context.Context, ids []video.ID) (map[video.ID][]Note, error) {
	var rows []Note
	err := c.read.WithContext(ctx).Where("video IN ?", ids).Order("video, author").Find(&rows).Error
	return grouped(rows, func(n Note) video.ID { return n.Video }), codedError(err)
}

func grouped[Row any](rows []Row, of func(Row) video.ID) map[video.ID][]Row {
	groups := map[video.ID][]Row{}
	for _, row := range rows {
		groups[of(row)] = append(groups[of(row)], row)
	}
	return groups
}
