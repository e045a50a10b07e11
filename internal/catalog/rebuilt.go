package catalog

import (
	"context"
	"math/rand/v2"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Rebuilt is all that a catalog knows of a video, as it was found outside of a catalog
// that was lost. Video.Ending and Video.Held are the control row's too, and of Upload,
// Objects and Replicas the ids and, of the objects, the state are given by CreateRebuilt.
type Rebuilt struct {
	Video    Video
	Epoch    int64
	Upload   Upload
	Objects  []Object
	Replicas []Replica
}

// CreateRebuilt makes every row of a video, all or nothing, and reports whether it did:
// one whose rows are there is left as it is, so it may be repeated, by several at once.
// It fails with Gone when a video of this id has been erased, and with Conflict when the
// token of its upload is another video's.
func (c *Catalog) CreateRebuilt(ctx context.Context, r Rebuilt) (made bool, err error) {
	r.complete()
	err = c.transact(ctx, func(tx *gorm.DB) error {
		known, err := inLedger(tx, r.Video.ID)
		if err != nil {
			return err
		}
		if known {
			return errErased()
		}
		return r.create(tx)
	})
	if !isConflict(err) {
		return err == nil, err
	}
	_, missing := c.ControlOf(ctx, r.Video.ID)
	if missing == nil {
		return false, nil // made before, or at the same time
	}
	return false, err
}

func isConflict(err error) bool { return err != nil && video.CodeOf(err) == video.Conflict }

// complete makes all rows belong to the video.
func (r *Rebuilt) complete() {
	id := r.Video.ID
	r.Upload.Video = id
	for i := range r.Objects {
		o := &r.Objects[i]
		o.ID, o.Video, o.State = rand.Int64(), id, ObjectStored
	}
	for i := range r.Replicas {
		r.Replicas[i].Video = id
	}
}

func (r Rebuilt) create(tx *gorm.DB) error {
	row := Control{Video: r.Video.ID, Epoch: r.Epoch, Ending: r.Video.Ending, Held: r.Video.Held}
	for _, row := range []any{&r.Video, &row, &r.Upload} {
		if err := tx.Create(row).Error; err != nil {
			return err
		}
	}
	if len(r.Objects) > 0 {
		if err := tx.CreateInBatches(r.Objects, 500).Error; err != nil {
			return err
		}
	}
	if len(r.Replicas) == 0 {
		return nil
	}
	return tx.Create(r.Replicas).Error
}

// WithoutFacts returns those of these videos that are published, or wait for the end of
// the grace of their deletion, and whose facts some of so many stores lack.
func (c *Catalog) WithoutFacts(ctx context.Context, ids []video.ID, stores int) ([]video.ID, error) {
	var lacking []video.ID
	err := c.read.WithContext(ctx).Model(&Video{}).
		Where("id IN ? AND published_at IS NOT NULL AND stage IN ?", ids, []video.Stage{video.Published, video.PendingDeletion}).
		Where("(SELECT COUNT(DISTINCT store) FROM objects WHERE objects.video = videos.id AND kind = ? AND state = ?) < ?", KindFacts, ObjectStored, stores).
		Order("id").Pluck("id", &lacking).Error
	return lacking, codedError(err)
}
