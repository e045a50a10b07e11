package catalog

import (
	"context"
	"iter"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// ledgerPage is how many records are compared with one query.
const ledgerPage = 500

// ApplyLedger makes a catalog that was restored from a backup know again what was
// erased since: every record that it lacks is recorded, and videos that the backup
// brought back are marked as purged, so that nobody finds them any more. What lies
// of them in this catalog and in restored stores is for the audit to purge again.
//
// It goes before anything is served. A catalog that lacks nothing is only read; one
// that was being told when the process died is told the rest the next time. It
// returns how many records were lacking, and fails with the error that records ends
// with, if any.
func (c *Catalog) ApplyLedger(ctx context.Context, records iter.Seq2[Ledger, error]) (lacking int, err error) {
	unknown, err := c.unknown(ctx, records)
	if err != nil || len(unknown) == 0 {
		return 0, err
	}
	lacking = len(unknown)
	err = c.eachID(ctx, func(id video.ID) error {
		l, erased := unknown[id.Hash()]
		if !erased {
			return nil
		}
		delete(unknown, id.Hash())
		return c.recordErasure(ctx, id, l)
	})
	if err != nil {
		return lacking, err
	}
	// Nothing in this catalog is of them.
	for _, l := range unknown {
		if err := c.RecordLedger(ctx, l); err != nil {
			return lacking, err
		}
	}
	return lacking, nil
}

// unknown returns the records that this catalog lacks, by the hash of the id.
func (c *Catalog) unknown(ctx context.Context, records iter.Seq2[Ledger, error]) (map[string]Ledger, error) {
	lacking, page := map[string]Ledger{}, map[string]Ledger{}
	compare := func() error {
		var known []string
		err := c.read.WithContext(ctx).Model(&Ledger{}).
			Where("video_sha256 IN ?", slices.Collect(maps.Keys(page))).Pluck("video_sha256", &known).Error
		for _, hash := range known {
			delete(page, hash)
		}
		maps.Copy(lacking, page)
		clear(page)
		return codedError(err)
	}
	for l, err := range records {
		if err != nil {
			return nil, err
		}
		if page[l.VideoSHA256] = l; len(page) == ledgerPage {
			if err := compare(); err != nil {
				return nil, err
			}
		}
	}
	return lacking, compare()
}

// eachID goes through the ids of all videos.
func (c *Catalog) eachID(ctx context.Context, do func(video.ID) error) error {
	for after := video.ID(""); ; {
		var page []video.ID
		err := c.read.WithContext(ctx).Model(&Video{}).Where("id > ?", after).Order("id").Limit(1000).Pluck("id", &page).Error
		if err != nil {
			return codedError(err)
		}
		for _, id := range page {
			if err := do(id); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1]
	}
}

// recordErasure records the erasure of a video whose rows are there. Before a key is
// destroyed its video's stage is purging or rejected; a row that shows another is
// older than the erasure, and was brought back. Its purge begins anew, but for
// everyone it is over.
func (c *Catalog) recordErasure(ctx context.Context, id video.ID, l Ledger) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, id)
		if err != nil {
			return ignore(err, video.NotFound, video.Gone) // forgotten meanwhile, which has recorded it
		}
		if err := record(tx, l); err != nil {
			return err
		}
		if row.Ending == "" {
			row.Ending = l.Reason
		}
		row.Paused, row.Draft = false, false
		if err := tx.Select("*").Updates(&row).Error; err != nil {
			return err
		}
		return row.project(tx, func(v *Video) {
			if v.Stage != video.Purging && v.Stage != video.Rejected {
				v.Stage, v.HiddenAt, v.WaitingFor = video.Purged, l.HiddenAt, ""
			}
		})
	})
}
