package catalog

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/reelflow/reelflow/video"
)

// Leg is one stretch of a workflow's work. Every durable write of the work is
// fenced by it: once a later leg has begun, or the video was paused or is
// ending, nothing of an earlier one is written any more, however late a frozen
// worker wakes up.
type Leg struct {
	Video video.ID `json:"video"`
	Epoch int64    `json:"epoch"`
	// Ending marks work of the way out: allowed only while the life is ending,
	// and also while paused.
	Ending bool `json:"ending,omitempty"`
	// Writer is the number of an attempt at exclusive work, as EnterExclusive gave it:
	// once a later attempt has entered, nothing of this one is written any more. Zero
	// for work that attempts may share.
	Writer int64 `json:"writer,omitempty"`
}

// Control is the row that fences the work on a video and tells every gateway of
// a pause or an end.
type Control struct {
	Video   video.ID `gorm:"primaryKey"`
	Epoch   int64
	Paused  bool
	Ending  video.Ending
	Held    bool
	Draft   bool  // kept to be taken up again although it was canceled
	Refused int   // signals that were refused
	Writer  int64 // the latest attempt at exclusive work; see Leg.Writer

	// Fences, of what is wanted, says that its epoch is new: a row that has it already was
	// written by another run, unless it says the same.
	Fences bool `gorm:"-"`
	// KeepHold, of what is wanted, leaves Held as the row has it.
	KeepHold bool `gorm:"-"`
	// Behind, of what Control returns, says that the row is further than what was wanted,
	// and was left as it is.
	Behind bool `gorm:"-"`
}

// Enter begins a leg: it claims the epoch and applies the projection in one
// transaction; without one (nil) the video's row stays as it is. It fails with
// Conflict when a later leg has begun or the video is paused, Gone when it is ending
// or erased, and NotFound when neither this catalog nor its ledger knows it.
// Entering the same leg again is a success.
func (c *Catalog) Enter(ctx context.Context, leg Leg, project func(*Video)) error {
	_, err := c.enter(ctx, leg, project, 0)
	return err
}

// EnterExclusive is Enter for work that attempts must not share, because it deletes
// before it writes. It returns the leg with the number of this attempt: with it
// nothing of an earlier attempt is written any more, and nothing of this one once a
// later attempt has entered.
func (c *Catalog) EnterExclusive(ctx context.Context, leg Leg, project func(*Video)) (Leg, error) {
	row, err := c.enter(ctx, leg, project, 1)
	leg.Writer = row.Writer
	return leg, err
}

func (c *Catalog) enter(ctx context.Context, leg Leg, project func(*Video), writers int64) (row Control, err error) {
	err = c.transact(ctx, func(tx *gorm.DB) error {
		if row, err = lockControl(tx, leg.Video); err != nil {
			return err
		}
		if err := row.mustAdmit(tx, leg); err != nil {
			return err
		}
		if row.Epoch != leg.Epoch || writers > 0 {
			row.Epoch, row.Writer = leg.Epoch, row.Writer+writers
			if err := tx.Model(&row).Select("epoch", "writer").Updates(&row).Error; err != nil {
				return err
			}
		}
		if project == nil {
			return nil
		}
		return row.project(tx, project)
	})
	return row, err
}

// Project changes the video's row in the course of a leg that was entered:
// progress, findings, the next stage. It fails as Enter does, and with Conflict
// when the leg is not the present one.
func (c *Catalog) Project(ctx context.Context, leg Leg, project func(*Video)) error {
	return c.fenced(ctx, leg, func(tx *gorm.DB, row Control) error {
		return row.project(tx, project)
	})
}

// fenced runs work in a transaction in which the leg is the present one and stays
// so: no interruption can come between the check and the commit.
func (c *Catalog) fenced(ctx context.Context, leg Leg, work func(tx *gorm.DB, row Control) error) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, leg.Video)
		if err != nil {
			return err
		}
		if err := row.mustBeCurrent(tx, leg); err != nil {
			return err
		}
		return work(tx, row)
	})
}

// mustAdmit says why a leg can't begin, or nil.
func (row Control) mustAdmit(tx *gorm.DB, leg Leg) error {
	if leg.Ending {
		if row.Ending == "" {
			return video.Errorf(video.Conflict, "The video is not on its way out.")
		}
	} else if err := row.mustBeLive(tx); err != nil {
		return err
	}
	if leg.Epoch < row.Epoch {
		return errFenced()
	}
	return nil
}

// mustBeCurrent says why a leg may not write, or nil.
func (row Control) mustBeCurrent(tx *gorm.DB, leg Leg) error {
	if err := row.mustAdmit(tx, leg); err != nil {
		return err
	}
	if leg.Epoch != row.Epoch {
		return video.Errorf(video.Conflict, "This step of the work has not begun.")
	}
	if leg.Writer != 0 && leg.Writer != row.Writer {
		return video.Errorf(video.Conflict, "A later attempt at this step of the work has begun.")
	}
	return nil
}

// mustBeLive says why no work but that of the way out may go on, or nil.
func (row Control) mustBeLive(tx *gorm.DB) error {
	if err := row.mustNotEnd(tx); err != nil {
		return err
	}
	if row.Paused {
		return video.Errorf(video.Conflict, "The video is paused.")
	}
	return nil
}

// mustNotEnd is mustBeLive, but for a pause. The ledger is asked too: rows restored from a
// backup don't remember that they were ending.
func (row Control) mustNotEnd(tx *gorm.DB) error {
	known, err := inLedger(tx, row.Video)
	switch {
	case err != nil:
		return err
	case known:
		return errErased()
	case row.Ending != "":
		return video.Errorf(video.Gone, "The video is on its way out (%s).", row.Ending)
	case row.Draft:
		return video.Errorf(video.Conflict, "The video is a draft; resume it first.")
	}
	return nil
}

func errFenced() *video.Error {
	return video.Errorf(video.Conflict, "A later step of the work has begun.")
}

// forUpdate locks the rows that are read until the transaction ends. SQLite has
// no such clause and needs none: its transactions hold the write lock from the start.
var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

func lockControl(tx *gorm.DB, id video.ID) (Control, error) {
	return oneRow[Control](tx.Clauses(forUpdate).Where("video = ?", id), tx, id)
}

// project applies a projection to the video's row. What mirrors the control row,
// names the video, counts its changes or was asked by a person is not the
// projection's to change: a video stays hidden, and a cancel stays on record until
// the row shows that it was taken up.
func (row Control) project(tx *gorm.DB, project func(*Video)) error {
	before, err := oneRow[Video](tx.Clauses(forUpdate).Where("id = ?", row.Video), tx, row.Video)
	if err != nil {
		return err
	}
	v := before
	if project != nil {
		project(&v)
	}
	v.ID, v.Owner, v.CreatedAt = before.ID, before.Owner, before.CreatedAt
	if before.Stage == video.Purged {
		v.Stage = video.Purged // it is erased once more after a restore; see ApplyLedger
	}
	v.Paused, v.Ending, v.Held = row.Paused, row.Ending, row.Held
	v.keepWishes(before)
	if v.Ending == "" && v.CancelAskedAt.IsZero() && v.HiddenAt.IsZero() {
		v.AskedBy = "" // what was asked for was taken back, or has left a draft
	}
	v.Revision = before.Revision + 1
	return tx.Select("*").Updates(&v).Error
}

// bumpRevision tells everyone who follows the video that it has changed.
func bumpRevision(tx *gorm.DB, id video.ID) error {
	return tx.Model(&Video{}).Where("id = ?", id).Update("revision", gorm.Expr("revision + 1")).Error
}

// Control writes the control row, and with it the projection (nil for none). It
// returns the row as it stands afterwards. An epoch lower than the row's changes
// nothing, nor does a new one that the row has already: a workflow that was reset, or
// restored with Temporal's database, learns from the answer that it is Behind. So does a
// command that comes late, if each takes a higher epoch than the one before. An ending "deleted", or any ending once the ledger has the video,
// stays. So does a person's deletion: the life of a video that was hidden ends by it,
// whatever is wanted, and a workflow that has not heard of it learns so from the
// answer. It fails with NotFound or Gone when there is no such video.
func (c *Catalog) Control(ctx context.Context, want Control, project func(*Video)) (Control, error) {
	now := want
	err := c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, want.Video)
		if err != nil {
			return err
		}
		now, err = row.become(tx, want)
		if err != nil {
			return err
		}
		behind, err := row.isFurther(tx, now, project)
		if err != nil {
			return err
		}
		if behind {
			now = row
			now.Behind = true
			return nil
		}
		if err := tx.Select("*").Updates(&now).Error; err != nil {
			return err
		}
		return now.project(tx, project)
	})
	return now, err
}

// isFurther reports whether the row is further than a run that wants it so: its epoch is
// higher, or the same although that was to be a new one, and the row says something else.
func (row Control) isFurther(tx *gorm.DB, want Control, project func(*Video)) (bool, error) {
	if want.Epoch != row.Epoch || !want.Fences {
		return want.Epoch < row.Epoch, nil
	}
	if want.Paused != row.Paused || want.Ending != row.Ending || want.Held != row.Held || want.Draft != row.Draft {
		return true, nil
	}
	v, err := oneRow[Video](tx.Where("id = ?", row.Video), tx, row.Video)
	stage := v.Stage
	if project != nil {
		project(&v)
	}
	return v.Stage != stage, err
}

// become returns what is wanted, but for an end that can't be taken back.
func (row Control) become(tx *gorm.DB, want Control) (Control, error) {
	want.Writer = row.Writer
	if want.KeepHold {
		want.Held = row.Held
	}
	if row.Ending == "" || want.Ending == "" {
		v, err := lockWishes(tx, row.Video)
		if err != nil {
			return want, err
		}
		if !v.HiddenAt.IsZero() {
			want.Ending, want.Draft = video.ByDeletion, false
			return want, nil
		}
	}
	if row.Ending == "" || want.Ending == row.Ending {
		return want, nil
	}
	known, err := inLedger(tx, row.Video)
	if row.Ending == video.ByDeletion || known {
		want.Ending, want.Draft = row.Ending, false
	}
	return want, err
}

// ControlOf returns the control row, or NotFound or Gone.
func (c *Catalog) ControlOf(ctx context.Context, id video.ID) (Control, error) {
	db := c.read.WithContext(ctx)
	row, err := oneRow[Control](db.Where("video = ?", id), db, id)
	return row, codedError(err)
}
