package catalog

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Captions are objects of the manifest, one a language and store, whose rendition is the
// language's tag. An author changes them while the video lives, before and after its
// publication: no leg writes them. So they have a fence of their own, which is asked in the
// transaction of each write: neither ending nor hidden, neither to be canceled nor held. What
// else a change asks for, the copies in the backups and the removal of what was replaced, is
// a task that is recorded in the same transaction, and stays until it was found to be done.
//
// A key is used once. What was replaced is never stored again: a copy counts only as long as
// its original does. So an object whose key counts nowhere may be deleted at any time.

// MaxCaptions is how many languages a video may have captions in.
const MaxCaptions = 40

// CaptionWriteTime is how long the write of captions may take from its intent to its
// commit; after that it is given up, and what it wrote is removed.
const CaptionWriteTime = 10 * time.Minute

// IntendCaption records that captions are about to be written, in the language of the
// object's rendition. It fails with Conflict when the video is a draft, held or to be
// canceled, or has captions in too many languages, and Gone when it is ending or gone.
func (c *Catalog) IntendCaption(ctx context.Context, o Object) (Object, error) {
	o = o.intended(o.Video, 0)
	o.Kind = KindCaption
	err := c.captioning(ctx, o.Video, func(tx *gorm.DB) error {
		if err := o.mustHaveRoom(tx); err != nil {
			return err
		}
		if err := tx.Create(&o).Error; err != nil {
			return err
		}
		return c.queueCaptions(tx, o.Video, CaptionWriteTime)
	})
	return o, err
}

// CommitCaption records that captions lie in their store, o being what IntendCaption
// returned, completed as for Commit. In the same transaction those that they replace, in any
// store, become dropping; replaced reports whether there were any. Repeating it is a success.
// It fails as IntendCaption does: then the writer deletes what it wrote. After Unavailable and
// NotFound it must not.
func (c *Catalog) CommitCaption(ctx context.Context, o Object) (replaced bool, err error) {
	err = c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, o.Video)
		if err != nil {
			return err
		}
		intent, err := intentOf(tx, o.Video, o.ID)
		if err != nil {
			return err
		}
		if replaced = intent.isStoredAs(o); replaced {
			return nil
		}
		if err := row.mustTakeCaptions(tx); err != nil {
			return err
		}
		if err := intent.mustHaveRoom(tx); err != nil {
			return err
		}
		if replaced, err = dropCaptions(tx, o.Video, intent.Rendition); err != nil {
			return err
		}
		if err := intent.store(tx, o); err != nil {
			return err
		}
		return c.captionsChanged(tx, o.Video)
	})
	return replaced, err
}

// DropCaption takes the captions in a language away. That there are none is no error. It
// fails as IntendCaption does.
func (c *Catalog) DropCaption(ctx context.Context, id video.ID, language string) error {
	return c.captioning(ctx, id, func(tx *gorm.DB) error {
		dropped, err := dropCaptions(tx, id, language)
		if err != nil || !dropped {
			return err
		}
		return c.captionsChanged(tx, id)
	})
}

// captioning runs work in a transaction in which the captions may be changed and stay so.
func (c *Catalog) captioning(ctx context.Context, id video.ID, work func(tx *gorm.DB) error) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, id)
		if err != nil {
			return err
		}
		if err := row.mustTakeCaptions(tx); err != nil {
			return err
		}
		return work(tx)
	})
}

// mustTakeCaptions says why the captions may not be changed, or nil.
func (row Control) mustTakeCaptions(tx *gorm.DB) error {
	if err := row.mustNotEnd(tx); err != nil {
		return err
	}
	if row.Held {
		return video.Errorf(video.Conflict, "The video is under a legal hold: its captions stay as they are.")
	}
	return checkWishes(tx, row.Video)
}

// mustHaveRoom refuses captions in one language more than there may be.
func (o Object) mustHaveRoom(tx *gorm.DB) error {
	var others int64
	err := tx.Model(&Object{}).Where("video = ? AND store = ? AND kind = ? AND state = ? AND rendition <> ?",
		o.Video, o.Store, KindCaption, ObjectStored, o.Rendition).Count(&others).Error
	if err == nil && others >= MaxCaptions {
		err = video.Errorf(video.Conflict, "The video has captions in %d languages, which is the most that it may have.", others)
	}
	return err
}

func dropCaptions(tx *gorm.DB, id video.ID, language string) (dropped bool, err error) {
	changed := tx.Model(&Object{}).Where("video = ? AND kind = ? AND rendition = ? AND state = ?", id, KindCaption, language, ObjectStored).
		Update("state", ObjectDropping)
	return changed.RowsAffected > 0, changed.Error
}

// captionsChanged records what a change asks for. Facts, which tell of captions, too, count no
// more: the next audit writes them anew.
func (c *Catalog) captionsChanged(tx *gorm.DB, id video.ID) error {
	if err := c.queueCaptions(tx, id, 0); err != nil {
		return err
	}
	err := tx.Model(&Object{}).Where("video = ? AND kind = ? AND state = ?", id, KindFacts, ObjectStored).
		Update("state", ObjectDropping).Error
	if err != nil {
		return err
	}
	return bumpRevision(tx, id)
}

// queueCaptions records that something is to be done about the captions of a video, after a
// while.
func (c *Catalog) queueCaptions(tx *gorm.DB, id video.ID, wait time.Duration) error {
	return tx.Exec(`INSERT INTO caption_tasks (video, number, due_at) VALUES (?, 1, ?)
		ON CONFLICT (video) DO UPDATE SET number = caption_tasks.number + 1,
		due_at = CASE WHEN excluded.due_at < caption_tasks.due_at THEN excluded.due_at ELSE caption_tasks.due_at END`, id, c.clock(wait)).Error
}

// IntendCaptionCopy records that stored captions are about to be copied to another store. It
// fails with Conflict once they are no longer stored, and Gone when the video is ending or
// gone.
func (c *Catalog) IntendCaptionCopy(ctx context.Context, o Object) (Object, error) {
	o = o.intended(o.Video, 0)
	err := c.copyingCaption(ctx, o, func(tx *gorm.DB) error {
		if err := tx.Create(&o).Error; err != nil {
			return err
		}
		return c.queueCaptions(tx, o.Video, CaptionWriteTime)
	})
	return o, err
}

// CommitCaptionCopy is Commit for what IntendCaptionCopy returned. It fails as that does.
func (c *Catalog) CommitCaptionCopy(ctx context.Context, o Object) error {
	return c.copyingCaption(ctx, o, func(tx *gorm.DB) error {
		intent, err := intentOf(tx, o.Video, o.ID)
		if err != nil || intent.isStoredAs(o) {
			return err
		}
		if err := intent.store(tx, o); err != nil {
			return err
		}
		return bumpRevision(tx, o.Video)
	})
}

func (c *Catalog) copyingCaption(ctx context.Context, o Object, work func(tx *gorm.DB) error) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, o.Video)
		if err != nil {
			return err
		}
		if err := row.mustNotEnd(tx); err != nil && video.CodeOf(err) != video.Conflict { // a draft keeps what it has
			return err
		}
		if err := o.mustHaveOriginal(tx); err != nil {
			return err
		}
		return work(tx)
	})
}

// mustHaveOriginal refuses a copy of captions that were replaced meanwhile. Copies of
// anything else are not asked.
func (o Object) mustHaveOriginal(tx *gorm.DB) error {
	if o.Kind != KindCaption {
		return nil
	}
	var originals int64
	err := tx.Model(&Object{}).Where("video = ? AND kind = ? AND object_key = ? AND store <> ? AND state = ?",
		o.Video, KindCaption, o.Key, o.Store, ObjectStored).Count(&originals).Error
	if err == nil && originals == 0 {
		err = video.Errorf(video.Conflict, "These captions have been replaced.")
	}
	return err
}

// CaptionsOf returns the stored captions of these videos, by language, with one query for
// every thousand: of each the language as Rendition, the store and the key.
func (c *Catalog) CaptionsOf(ctx context.Context, ids []video.ID) (map[video.ID][]Object, error) {
	found := map[video.ID][]Object{}
	for chunk := range slices.Chunk(ids, 1000) {
		var rows []Object
		err := c.read.WithContext(ctx).Select("video", "store", "object_key", "rendition").
			Where("video IN ? AND kind = ? AND state = ?", chunk, KindCaption, ObjectStored).
			Order("rendition, store").Find(&rows).Error
		if err != nil {
			return nil, codedError(err)
		}
		for _, row := range rows {
			found[row.Video] = append(found[row.Video], row)
		}
	}
	return found, nil
}

// CaptionTask says that something is to be done about the captions of a video.
type CaptionTask struct {
	Video  video.ID `gorm:"primaryKey"`
	Number int64
}

// ClaimCaptions returns tasks that are due, the oldest first, and puts each off for a while
// in which nobody else gets it.
func (c *Catalog) ClaimCaptions(ctx context.Context, limit int, claim time.Duration) (claimed []CaptionTask, err error) {
	var due []CaptionTask
	if err := c.read.WithContext(ctx).Where("due_at <= ?", c.clock(0)).Order("due_at").Limit(limit).Find(&due).Error; err != nil {
		return nil, codedError(err)
	}
	for _, task := range due {
		taken := c.write.WithContext(ctx).Model(&CaptionTask{}).
			Where("video = ? AND number = ? AND due_at <= ?", task.Video, task.Number, c.clock(0)).Update("due_at", c.clock(claim))
		if taken.Error != nil {
			return claimed, codedError(taken.Error)
		}
		if taken.RowsAffected == 1 {
			claimed = append(claimed, task)
		}
	}
	return claimed, nil
}

// PutOffCaptions makes a task due after a while, and FinishCaptions takes it off the record.
// Both do nothing when something has changed since it was claimed.
func (c *Catalog) PutOffCaptions(ctx context.Context, task CaptionTask, wait time.Duration) error {
	return codedError(c.write.WithContext(ctx).Model(&CaptionTask{}).
		Where("video = ? AND number = ?", task.Video, task.Number).Update("due_at", c.clock(wait)).Error)
}

// FinishCaptions takes a task off the record; see PutOffCaptions.
func (c *Catalog) FinishCaptions(ctx context.Context, task CaptionTask) error {
	return codedError(c.write.WithContext(ctx).Where("video = ? AND number = ?", task.Video, task.Number).Delete(&CaptionTask{}).Error)
}

// AbandonCaptions makes dropping what was meant to be written before a time and was not: its
// writer has died, or its commit will be refused.
func (c *Catalog) AbandonCaptions(ctx context.Context, id video.ID, before time.Time) error {
	return codedError(c.write.WithContext(ctx).Model(&Object{}).
		Where("video = ? AND kind = ? AND state = ? AND created_at < ?", id, KindCaption, ObjectWriting, before.UTC().Truncate(time.Microsecond)).
		Update("state", ObjectDropping).Error)
}

// ForgetCaption removes the row of captions that are dropping and were deleted from their
// store. Repeating it is a success.
func (c *Catalog) ForgetCaption(ctx context.Context, o Object) error {
	return codedError(c.write.WithContext(ctx).
		Where("id = ? AND video = ? AND kind = ? AND state = ?", o.ID, o.Video, KindCaption, ObjectDropping).Delete(&Object{}).Error)
}
