package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// reappearance is something of an erased video that a store held again.
type reappearance struct {
	VideoSHA256 string       `gorm:"column:video_sha256;primaryKey"` // hex
	Store       string       `gorm:"primaryKey"`
	FoundAt     time.Time    `gorm:"primaryKey;serializer:instant"`
	SeenAt      time.Time    `gorm:"serializer:instant"` // when it was last found; zero for once, at FoundAt
	Found       video.Counts `gorm:"embedded;embeddedPrefix:found_"`
	ErasedAt    time.Time    `gorm:"serializer:instant"` // zero until the store is empty again
}

// unerased selects what was found and is not known to be erased again.
func unerased(db *gorm.DB, idHash, store string) *gorm.DB {
	return db.Where("video_sha256 = ? AND store = ? AND erased_at IS NULL", idHash, store)
}

// Reappeared records that a store was found to hold something of a video that was erased
// there, which is to be called before any of it is removed: afterwards nothing tells of
// it. While that is not erased, finding it again changes nothing.
func (c *Catalog) Reappeared(ctx context.Context, idHash, store string, found video.Counts) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		var known int64
		if err := unerased(tx.Model(&reappearance{}), idHash, store).Count(&known).Error; err != nil || known > 0 {
			return err
		}
		return tx.Create(&reappearance{VideoSHA256: idHash, Store: store, FoundAt: time.Now(), Found: found}).Error
	})
}

// ErasedAgain records that a store is empty again of what Reappeared told. Repeating it
// changes nothing.
func (c *Catalog) ErasedAgain(ctx context.Context, idHash, store string) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		return unerased(tx, idHash, store).Select("erased_at").Updates(&reappearance{ErasedAt: time.Now()}).Error
	})
}

// SeenAgain records that a store holds what Reappeared told still. Without that it does
// nothing.
func (c *Catalog) SeenAgain(ctx context.Context, idHash, store string) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		return unerased(tx, idHash, store).Select("seen_at").Updates(&reappearance{SeenAt: time.Now()}).Error
	})
}

// NotSeenSince records that a store is empty again of all that was found there before a time
// and not since: somebody who has gone through the whole store since then has not met it.
// So it ends what was erased by one who died before ErasedAgain. Repeating it changes nothing.
func (c *Catalog) NotSeenSince(ctx context.Context, store string, since time.Time) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		return tx.Where("store = ? AND erased_at IS NULL AND COALESCE(seen_at, found_at) < ?", store, instantOf(since)).
			Select("erased_at").Updates(&reappearance{ErasedAt: time.Now()}).Error
	})
}

// reappearances returns what was found of an erased video, the earliest first.
func (c *Catalog) reappearances(ctx context.Context, idHash string) ([]video.Reappearance, error) {
	var rows []reappearance
	err := c.read.WithContext(ctx).Where("video_sha256 = ?", idHash).Order("found_at, store").Find(&rows).Error
	var all []video.Reappearance
	for _, r := range rows {
		of := video.Reappearance{Store: r.Store, Found: r.Found, FoundAt: r.FoundAt.UTC()}
		if !r.ErasedAt.IsZero() {
			of.ErasedAt = new(r.ErasedAt.UTC())
		}
		all = append(all, of)
	}
	return all, codedError(err)
}
