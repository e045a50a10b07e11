package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/reelflow/reelflow/video"
)

// Ledger is the content-free record of an erasure: it names nobody.
type Ledger struct {
	VideoSHA256    string `gorm:"column:video_sha256;primaryKey"` // hex
	TokenHash      []byte // as in Upload; Forget keeps it, so that the upload's URL is known for good
	Reason         video.Ending
	HiddenAt       time.Time `gorm:"serializer:instant"`
	KeyDestroyedAt time.Time `gorm:"serializer:instant"` // zero while only intended
}

// TableName implements gorm's schema.Tabler.
func (Ledger) TableName() string { return "ledger" }

// receipt is the row of a receipt.
type receipt struct {
	VideoSHA256 string        `gorm:"column:video_sha256;primaryKey"`
	Receipt     video.Receipt `gorm:"serializer:json"`
	ClosedAt    time.Time     `gorm:"serializer:instant"`
}

// TableName implements gorm's schema.Tabler.
func (receipt) TableName() string { return "receipts" }

// Known looks an erased video up by the hex SHA-256 of its id.
func (c *Catalog) Known(ctx context.Context, idHash string) (Ledger, bool, error) {
	var rows []Ledger
	err := c.read.WithContext(ctx).Where("video_sha256 = ?", idHash).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return Ledger{}, false, codedError(err)
	}
	return rows[0], true, nil
}

// Ledgers returns records in the order of their hashes, those after a given one ("" for
// the first page).
func (c *Catalog) Ledgers(ctx context.Context, after string, limit int) ([]Ledger, error) {
	var page []Ledger
	err := c.read.WithContext(ctx).Where("video_sha256 > ?", after).Order("video_sha256").Limit(limit).Find(&page).Error
	return page, codedError(err)
}

func inLedger(db *gorm.DB, id video.ID) (bool, error) {
	var records int64
	err := db.Model(&Ledger{}).Where("video_sha256 = ?", id.Hash()).Count(&records).Error
	return records > 0, err
}

// RecordLedger records an erasure. The first record stays; a time of the key's
// destruction and the hash of the token are added when it had none.
func (c *Catalog) RecordLedger(ctx context.Context, l Ledger) error {
	return c.transact(ctx, func(tx *gorm.DB) error { return record(tx, l) })
}

func record(db *gorm.DB, l Ledger) error {
	if len(l.TokenHash) == 0 {
		db = db.Omit("TokenHash") // SQLite's driver would store it as empty, not as NULL
	}
	return db.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "video_sha256"}},
		DoUpdates: clause.Assignments(map[string]any{
			"key_destroyed_at": gorm.Expr("COALESCE(ledger.key_destroyed_at, excluded.key_destroyed_at)"),
			"token_hash":       gorm.Expr("COALESCE(ledger.token_hash, excluded.token_hash)"),
		}),
	}).Create(&l).Error
}

// Forget ends a video: one transaction deletes every row of it in every table and
// keeps its ledger record and receipt. Repeating it is a success, and keeps the
// first receipt. It fails with Conflict when the life is not ending and Invalid
// when the receipt is not the video's.
func (c *Catalog) Forget(ctx context.Context, id video.ID, r video.Receipt) error {
	if r.VideoSHA256 != id.Hash() {
		return video.Errorf(video.Invalid, "The receipt is of another video.")
	}
	err := c.transact(ctx, func(tx *gorm.DB) error {
		if err := mayForget(tx, id); err != nil {
			return err
		}
		u, err := lockUpload(tx, id)
		if ignore(err, video.NotFound, video.Gone) != nil {
			return err
		}
		l := Ledger{
			VideoSHA256: r.VideoSHA256, TokenHash: u.TokenHash,
			Reason: r.Reason, HiddenAt: r.HiddenAt, KeyDestroyedAt: r.KeyDestroyedAt,
		}
		if err := record(tx, l); err != nil {
			return err
		}
		kept := receipt{VideoSHA256: r.VideoSHA256, Receipt: r, ClosedAt: r.ClosedAt}
		if kept.ClosedAt.IsZero() {
			kept.ClosedAt = time.Now()
		}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&kept).Error; err != nil {
			return err
		}
		// Everything else refers to this row and goes with it.
		return tx.Where("id = ?", id).Delete(&Video{}).Error
	})
	if err != nil {
		return err
	}
	_, err = c.Scrub(ctx)
	return err
}

// mayForget locks the control row, if there is one, and refuses a life that goes on.
func mayForget(tx *gorm.DB, id video.ID) error {
	row, err := lockControl(tx, id)
	if err == nil && row.Ending == "" {
		return video.Errorf(video.Conflict, "The video is not on its way out.")
	}
	return ignore(err, video.NotFound, video.Gone) // forgotten before, or lost with an older backup
}

// Receipt returns the receipt of an erased video by the hex SHA-256 of its id, with
// what stores held of it since, and when it was closed; NotFound until then.
func (c *Catalog) Receipt(ctx context.Context, idHash string) (video.Receipt, time.Time, error) {
	var rows []receipt
	err := c.read.WithContext(ctx).Where("video_sha256 = ?", idHash).Limit(1).Find(&rows).Error
	if err != nil {
		return video.Receipt{}, time.Time{}, codedError(err)
	}
	if len(rows) == 0 {
		return video.Receipt{}, time.Time{}, video.Errorf(video.NotFound, "There is no receipt of such a video.")
	}
	rows[0].Receipt.Reappeared, err = c.reappearances(ctx, idHash)
	return rows[0].Receipt, rows[0].ClosedAt, err
}

// Scrub empties SQLite's write-ahead log, which holds what was deleted until then.
// clean is false while a reader in some process still needs it: try again later.
// PostgreSQL can't be told to; there, rows that are sealed are what forgets.
func (c *Catalog) Scrub(ctx context.Context) (clean bool, err error) {
	if c.scrubber == nil {
		return true, nil
	}
	var result struct{ Busy, Log, Checkpointed int }
	err = c.scrubber.WithContext(ctx).Raw("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&result).Error
	return err == nil && result.Busy == 0, codedError(err)
}
