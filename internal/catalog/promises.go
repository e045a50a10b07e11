package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// What a person asks for is on record here before any workflow is told: a deletion by
// Video.HiddenAt, a cancel by Video.CancelAskedAt. Until a row shows that the workflow
// has taken it up it is a promise, which Promised lists, so that whoever gave it may
// die: another tells the workflow.

// Hide hides a video for good and returns its row: the first thing that a deletion
// does, and the only one that its author waits for. Repeating it is a success that
// changes nothing. It fails with Gone when the video has been erased and NotFound when
// it was never there.
func (c *Catalog) Hide(ctx context.Context, id video.ID) (Video, error) {
	return c.HideFor(ctx, id, "")
}

// HideFor is Hide, and notes in which role that was asked for.
func (c *Catalog) HideFor(ctx context.Context, id video.ID, by string) (Video, error) {
	err := c.write.WithContext(ctx).Model(&Video{}).
		Where("id = ? AND hidden_at IS NULL AND stage <> ?", id, video.Purged).
		Updates(map[string]any{"hidden_at": c.clock(0), "asked_by": by, "revision": gorm.Expr("revision + 1")}).Error
	if err != nil {
		return Video{}, codedError(err)
	}
	v, err := c.Video(ctx, id)
	if err == nil && v.Stage == video.Purged {
		return Video{}, errErased()
	}
	return v, err
}

// AskCancel puts a cancel on record, which closes the gate of the upload, and returns
// the row as it is then. asked reports that the row has changed by it: it has not when
// the same was on record already, when the life is ending, or its stage takes no cancel.
// A cancel that keeps no draft stands above one that does. It fails as Hide does.
func (c *Catalog) AskCancel(ctx context.Context, id video.ID, keep bool) (v Video, asked bool, err error) {
	return c.AskCancelFor(ctx, id, keep, "")
}

// AskCancelFor is AskCancel, and notes in which role that was asked for.
func (c *Catalog) AskCancelFor(ctx context.Context, id video.ID, keep bool, by string) (v Video, asked bool, err error) {
	changed := c.write.WithContext(ctx).Model(&Video{}).
		Where("id = ? AND ending = '' AND hidden_at IS NULL", id).
		Where("stage IN ?", append([]video.Stage{video.Draft}, video.BeforePublication...)).
		Where("cancel_asked_at IS NULL OR cancel_keeps AND NOT ?", keep).
		Updates(map[string]any{
			"cancel_asked_at": gorm.Expr("COALESCE(cancel_asked_at, ?)", c.clock(0)), "cancel_keeps": keep,
			"asked_by": by, "revision": gorm.Expr("revision + 1"),
		})
	if changed.Error != nil {
		return Video{}, false, codedError(changed.Error)
	}
	v, err = c.Video(ctx, id)
	if err == nil && v.Stage == video.Purged {
		err = errErased()
	}
	return v, changed.RowsAffected == 1, err
}

// SettleCancel takes the cancel that v shows off the record: the workflow has answered
// it. One that was asked for later stays. Repeating it is a success.
func (c *Catalog) SettleCancel(ctx context.Context, v Video) error {
	return codedError(c.write.WithContext(ctx).Model(&Video{}).
		Where("id = ? AND cancel_asked_at = ?", v.ID, v.CancelAskedAt.UTC()).
		Updates(map[string]any{"cancel_asked_at": nil, "cancel_keeps": false, "revision": gorm.Expr("revision + 1")}).Error)
}

// Promised returns videos in the order of their ids, those after a given one ("" for
// the first page), with a deletion, or with a cancel, that was asked for before a time
// and that no workflow has taken up yet. These are few.
func (c *Catalog) Promised(ctx context.Context, what video.Command, before time.Time, after video.ID, limit int) ([]Video, error) {
	rows := c.read.WithContext(ctx).Where("id > ?", after).Order("id").Limit(limit)
	before = before.UTC().Truncate(time.Microsecond)
	// SQLite uses a partial index when its condition is spelled out.
	if what == video.Delete {
		rows = rows.Where("hidden_at IS NOT NULL AND ending <> 'deleted'").
			Where("hidden_at < ? AND stage NOT IN ?", before, []video.Stage{video.Purging, video.Purged})
	} else {
		rows = rows.Where("cancel_asked_at IS NOT NULL").Where("cancel_asked_at < ?", before)
	}
	var page []Video
	err := rows.Find(&page).Error
	return page, codedError(err)
}

// DeletionAsked reports whether a person has deleted the video and its workflow has not
// taken that up yet.
func (v Video) DeletionAsked() bool {
	return !v.HiddenAt.IsZero() && v.Ending != video.ByDeletion && v.Stage != video.Purging && v.Stage != video.Purged
}

// CancelSettled reports whether the row shows that the cancel on record needs no
// workflow any more: it was taken up, or can't be.
func (v Video) CancelSettled() bool {
	s := v.State()
	return s.Repeats(video.Cancel) || s.Check(video.Cancel) != nil || s.Stage == video.Draft && v.CancelKeeps
}

// keepWishes undoes what a projection has made of what a person asked for, and takes a
// cancel off the record that the row shows as settled.
func (v *Video) keepWishes(before Video) {
	if !before.HiddenAt.IsZero() {
		v.HiddenAt = before.HiddenAt
	}
	v.CancelAskedAt, v.CancelKeeps = before.CancelAskedAt, before.CancelKeeps
	if !v.CancelAskedAt.IsZero() && v.CancelSettled() {
		v.CancelAskedAt, v.CancelKeeps = time.Time{}, false
	}
}

// lockWishes returns the row with what was asked for, which stays so until the
// transaction ends.
func lockWishes(tx *gorm.DB, id video.ID) (Video, error) {
	return oneRow[Video](tx.Clauses(forUpdate).Select("id", "hidden_at", "cancel_asked_at").Where("id = ?", id), tx, id)
}

// checkWishes says why nothing may be added to the upload of a video any more, although
// its workflow may not know yet, or nil: Gone once it was deleted, Conflict once it is
// to be canceled, which the workflow may still refuse.
func checkWishes(tx *gorm.DB, id video.ID) error {
	v, err := oneRow[Video](tx.Select("id", "hidden_at", "cancel_asked_at").Where("id = ?", id), tx, id)
	switch {
	case err != nil:
		return err
	case !v.HiddenAt.IsZero():
		return video.Errorf(video.Gone, "The video was deleted.")
	case !v.CancelAskedAt.IsZero():
		return video.Errorf(video.Conflict, "The video is to be canceled.")
	}
	return nil
}
