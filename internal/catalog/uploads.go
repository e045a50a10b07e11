package catalog

import (
	"context"
	"crypto/sha256"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Upload is how far the bytes of a video have come.
type Upload struct {
	Video     video.ID `gorm:"primaryKey"`
	TokenHash []byte   // SHA-256 of the token at the end of the upload's URL
	Length    int64    // bytes; -1 while the client has not said
	Offset    int64    `gorm:"column:received"` // bytes stored, without a gap

	// Sealed under the video's key, the hashes too: by them whoever has the same
	// file could tell that somebody sent it.
	Sealed         []byte // the client's metadata, or where an import comes from
	HashState      []byte // of a SHA-256 over the first Offset bytes (encoding.BinaryMarshaler)
	SHA256         []byte `gorm:"column:sha256"`          // of the whole, once finished
	ExpectedSHA256 []byte `gorm:"column:expected_sha256"` // as its author announced it; empty if not

	// Idle is how long the upload may go without a byte before it expires. It
	// is fixed when the upload is made.
	Idle       time.Duration
	LastByteAt time.Time `gorm:"serializer:instant"`
	ExpiresAt  time.Time `gorm:"serializer:instant"`
	FinishedAt time.Time `gorm:"serializer:instant"`
	Announced  bool      // the workflow knows that it is finished
	Stalled    bool

	Holder     string    // the gateway that holds the lease
	LeaseEpoch int64     // grows with every change of holder
	LeaseUntil time.Time `gorm:"serializer:instant"`
	Wanted     bool      // another gateway asks the holder to let go

	// Read together with the row, never written with it. Ending and Draft are as a
	// person has asked, also before the workflow has taken it up.
	Paused bool         `gorm:"->"`
	Ending video.Ending `gorm:"->"`
	Draft  bool         `gorm:"->"`
	Stage  video.Stage  `gorm:"->"`
}

// UploadByToken returns the upload whose URL ends in the token with this SHA-256,
// or Gone when its video has been erased, and NotFound for a token that was never
// given out.
func (c *Catalog) UploadByToken(ctx context.Context, tokenHash []byte) (Upload, error) {
	db := c.read.WithContext(ctx)
	var found []Upload
	if err := withControl(db).Where("uploads.token_hash = ?", tokenHash).Find(&found).Error; err != nil {
		return Upload{}, codedError(err)
	}
	if len(found) > 0 {
		return found[0], nil
	}
	// In this order: a video forgotten in between is in the ledger.
	var erasures int64
	if err := db.Model(&Ledger{}).Where("token_hash = ?", tokenHash).Count(&erasures).Error; err != nil {
		return Upload{}, codedError(err)
	}
	if erasures > 0 {
		return Upload{}, errErased()
	}
	return Upload{}, video.Errorf(video.NotFound, "There is no such upload.")
}

// UploadOf returns the upload of a video, or NotFound or Gone.
func (c *Catalog) UploadOf(ctx context.Context, id video.ID) (Upload, error) {
	db := c.read.WithContext(ctx)
	u, err := oneRow[Upload](withControl(db).Where("uploads.video = ?", id), db, id)
	return u, codedError(err)
}

func withControl(db *gorm.DB) *gorm.DB {
	const ending = `CASE WHEN controls.ending <> '' THEN controls.ending
		WHEN videos.hidden_at IS NOT NULL THEN 'deleted'
		WHEN videos.cancel_asked_at IS NOT NULL AND NOT videos.cancel_keeps THEN 'canceled' ELSE '' END AS ending`
	const draft = `videos.hidden_at IS NULL AND CASE WHEN videos.cancel_asked_at IS NULL
		THEN controls.draft AND controls.ending = '' ELSE videos.cancel_keeps END AS draft`
	return db.Select("uploads.*, controls.paused, videos.stage, " + ending + ", " + draft).
		Joins("JOIN controls ON controls.video = uploads.video").
		Joins("JOIN videos ON videos.id = uploads.video")
}

func lockUpload(tx *gorm.DB, id video.ID) (Upload, error) {
	return oneRow[Upload](tx.Clauses(forUpdate).Where("video = ?", id), tx, id)
}

// receiving runs work in a transaction in which the upload may take bytes and
// stays so.
func (c *Catalog) receiving(ctx context.Context, id video.ID, work func(tx *gorm.DB, u Upload) error) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, id)
		if err != nil {
			return err
		}
		if err := row.mustBeLive(tx); err != nil {
			return err
		}
		if err := checkWishes(tx, id); err != nil {
			return err
		}
		u, err := lockUnfinished(tx, id)
		if err != nil {
			return err
		}
		return work(tx, u)
	})
}

func lockUnfinished(tx *gorm.DB, id video.ID) (Upload, error) {
	u, err := lockUpload(tx, id)
	if err == nil && !u.FinishedAt.IsZero() {
		err = video.Errorf(video.Conflict, "The upload is complete.")
	}
	return u, err
}

// lockHeldUpload locks the control row and the upload, and says why the holder of
// a lease may not add to it, or nil. A pause, as a cancel that is on record, lets the
// holder store what has come to it already, for as long as the lease lasts: nobody
// renews it any more, and the pause is answered after its end.
func (c *Catalog) lockHeldUpload(tx *gorm.DB, lease Lease) (Upload, error) {
	row, err := lockControl(tx, lease.Video)
	if err != nil {
		return Upload{}, err
	}
	if err := row.mustNotEnd(tx); err != nil {
		return Upload{}, err
	}
	stopped := checkWishes(tx, lease.Video)
	if ignore(stopped, video.Conflict) != nil {
		return Upload{}, stopped
	}
	if row.Paused {
		stopped = video.Errorf(video.Conflict, "The video is paused.")
	}
	u, err := lockUnfinished(tx, lease.Video)
	if err != nil {
		return Upload{}, err
	}
	if err := u.mustBeHeldBy(lease); err != nil || stopped == nil {
		return u, err
	}
	running, err := c.unexpired(tx, lease.Video)
	if err == nil && !running {
		err = stopped
	}
	return u, err
}

// IntendSegment records that a segment of the upload is about to be written. It
// fails with Conflict when the lease was lost, the video is a draft, its upload
// complete, or it is paused and the lease has expired, and Gone when it is ending
// or gone; nothing may be written then.
func (c *Catalog) IntendSegment(ctx context.Context, lease Lease, o Object) (Object, error) {
	o = o.intended(lease.Video, lease.Epoch)
	o.Kind = KindSource
	err := c.transact(ctx, func(tx *gorm.DB) error {
		u, err := c.lockHeldUpload(tx, lease)
		if err != nil {
			return err
		}
		if err := tx.Model(&u).Updates(c.bytesArrived(u)).Error; err != nil {
			return err
		}
		return tx.Create(&o).Error
	})
	return o, err
}

// bytesArrived is what changes in the row when bytes come.
func (c *Catalog) bytesArrived(u Upload) map[string]any {
	return map[string]any{"stalled": false, "last_byte_at": c.clock(0), "expires_at": c.clock(u.Idle)}
}

// CommitSegment records that the segment lies in its store and moves the offset
// over it, if it begins there, in one transaction: o is what IntendSegment
// returned, completed as for Commit, and hashState is the state after it.
// Repeating it is a success, also when the lease was lost by then. It fails as
// IntendSegment does, and with Conflict when the segment does not begin at the
// offset or goes beyond the length: then the writer deletes what it wrote. After
// Unavailable it must not, because the row may have been written.
func (c *Catalog) CommitSegment(ctx context.Context, lease Lease, o Object, hashState []byte) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		if _, err := lockControl(tx, lease.Video); err != nil {
			return err
		}
		intent, err := intentOf(tx, lease.Video, o.ID)
		if err != nil {
			return err
		}
		if intent.isStoredAs(o) {
			return nil
		}
		u, err := c.lockHeldUpload(tx, lease)
		if err != nil {
			return err
		}
		intent.PlainSize = o.PlainSize
		if err := u.checkNext(intent); err != nil {
			return err
		}
		if err := intent.store(tx, o); err != nil {
			return err
		}
		return c.advance(tx, u, intent.Offset+intent.PlainSize, hashState)
	})
}

// checkNext says why a segment can't be the next one, or nil.
func (u Upload) checkNext(o Object) error {
	switch {
	case o.PlainSize <= 0:
		return video.Errorf(video.Invalid, "A segment holds at least one byte.")
	case o.Epoch != u.LeaseEpoch:
		return errFenced()
	case o.Offset != u.Offset:
		return video.Errorf(video.Conflict, "The upload stands at byte %d, not at %d.", u.Offset, o.Offset)
	case u.Length >= 0 && o.Offset+o.PlainSize > u.Length:
		return video.Errorf(video.Conflict, "The upload is %d bytes long, and this goes beyond.", u.Length)
	}
	return nil
}

// advance moves the offset of the upload, and what is shown of it.
func (c *Catalog) advance(tx *gorm.DB, u Upload, offset int64, hashState []byte) error {
	changes := c.bytesArrived(u)
	changes["received"], changes["hash_state"] = offset, hashState
	if err := tx.Model(&u).Updates(changes).Error; err != nil {
		return err
	}
	return showBytes(tx, u.Video, offset, u.Length)
}

// showBytes puts the progress of the upload into the video's row.
func showBytes(tx *gorm.DB, id video.ID, offset, length int64) error {
	shown := map[string]any{"unit": "bytes", "done": offset, "total": max(length, 0), "revision": gorm.Expr("revision + 1")}
	return tx.Model(&Video{}).Where("id = ?", id).Updates(shown).Error
}

// DeclareLength sets the length of an upload that deferred it. Repeating it is a
// success; another length than declared before is Conflict, one below what is
// stored already is Invalid. Otherwise it fails as IntendSegment does, and with
// Conflict whenever the video is paused.
func (c *Catalog) DeclareLength(ctx context.Context, lease Lease, n int64) error {
	return c.receiving(ctx, lease.Video, func(tx *gorm.DB, u Upload) error {
		switch {
		case u.Length == n:
			return nil
		case u.Length >= 0:
			return video.Errorf(video.Conflict, "The upload's length has been declared as %d bytes.", u.Length)
		case n < u.Offset:
			return video.Errorf(video.Invalid, "%d bytes are stored already.", u.Offset)
		}
		if err := u.mustBeHeldBy(lease); err != nil {
			return err
		}
		if err := tx.Model(&u).Update("length", n).Error; err != nil {
			return err
		}
		return showBytes(tx, u.Video, u.Offset, n)
	})
}

// Describe keeps the client's metadata of an upload, sealed, unless there is some
// already. Without such an upload it does nothing.
func (c *Catalog) Describe(ctx context.Context, id video.ID, sealed []byte) error {
	// SQLite's driver stores nothing as empty, not as NULL.
	return codedError(c.write.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND COALESCE(length(sealed), 0) = 0", id).Update("sealed", sealed).Error)
}

// FinishUpload records that all bytes are stored, with the SHA-256 of the whole,
// sealed. Repeating it is a success and keeps the first. It fails with Conflict
// while bytes are missing or the video is paused, and Gone when it is ending or gone.
func (c *Catalog) FinishUpload(ctx context.Context, id video.ID, sealedSHA256 []byte) error {
	if err := mustBeSealed(sealedSHA256); err != nil {
		return err
	}
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, id)
		if err != nil {
			return err
		}
		u, err := lockUpload(tx, id)
		if err != nil || !u.FinishedAt.IsZero() {
			return err
		}
		if err := row.mustBeLive(tx); err != nil {
			return err
		}
		if u.Length < 0 || u.Offset != u.Length {
			return video.Errorf(video.Conflict, "%d bytes of the upload are stored, and more are to come.", u.Offset)
		}
		finished := map[string]any{"finished_at": c.clock(0), "sha256": sealedSHA256, "stalled": false}
		if err := tx.Model(&u).Updates(finished).Error; err != nil {
			return err
		}
		return bumpRevision(tx, id)
	})
}

// mustBeSealed refuses a hash of people's bytes as it is.
func mustBeSealed(hash []byte) error {
	if len(hash) == sha256.Size {
		return video.Errorf(video.Internal, "A hash was to be recorded without a seal.")
	}
	return nil
}

// SegmentCount is how many segments of an upload lie in a store. Without such an upload it is 0.
func (c *Catalog) SegmentCount(ctx context.Context, id video.ID, store string) (n int64, err error) {
	err = c.read.WithContext(ctx).Model(&Object{}).
		Where("video = ? AND store = ? AND kind = ? AND state = ?", id, store, KindSource, ObjectStored).Count(&n).Error
	return n, codedError(err)
}

// MarkStalled records whether bytes have stopped coming. Any later segment clears
// it. Without such an upload it does nothing.
func (c *Catalog) MarkStalled(ctx context.Context, id video.ID, stalled bool) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		if _, err := lockControl(tx, id); err != nil {
			return ignore(err, video.NotFound, video.Gone)
		}
		changed := tx.Model(&Upload{}).Where("video = ? AND stalled <> ?", id, stalled).Update("stalled", stalled)
		if changed.Error != nil || changed.RowsAffected == 0 {
			return changed.Error
		}
		return bumpRevision(tx, id)
	})
}

// Unannounced returns videos whose bytes are all stored while their workflow was
// not told, because their gateway died. FinishUpload those, tell, and MarkAnnounced.
func (c *Catalog) Unannounced(ctx context.Context, limit int) ([]video.ID, error) {
	var ids []video.ID
	err := c.read.WithContext(ctx).Model(&Upload{}).
		Joins("JOIN controls ON controls.video = uploads.video").
		Where("NOT uploads.announced AND uploads.received = uploads.length").
		Joins("JOIN videos ON videos.id = uploads.video AND videos.hidden_at IS NULL").
		Where("NOT controls.paused AND NOT controls.draft AND controls.ending = ''").
		Where("uploads.finished_at IS NOT NULL OR uploads.holder = '' OR uploads.lease_until < ?", c.clock(0)).
		Order("uploads.video").Limit(limit).Pluck("uploads.video", &ids).Error
	return ids, codedError(err)
}

// MarkAnnounced records that the workflow was told. Repeating it is a success.
func (c *Catalog) MarkAnnounced(ctx context.Context, id video.ID) error {
	return codedError(c.write.WithContext(ctx).Model(&Upload{}).Where("video = ?", id).Update("announced", true).Error)
}
