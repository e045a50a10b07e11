package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Admission is what has to be so for a video to be made. The zero value asks nothing.
type Admission struct {
	// Rivals are ids of which at most one may ever have been used: those that one
	// request, sent again, may make its video under.
	Rivals []video.ID

	Allowance Allowance
}

// Allowance is what one owner may have at once. Zero fields don't restrict.
type Allowance struct {
	Uploads int64 // under way
	Bytes   int64 // of all their videos, as uploaded, from the announcement to the purge

	// Unsized is what counts of an upload whose length is not known yet: as much
	// as it may become, or the allowance would be none.
	Unsized int64
}

// Excess is the cause of a RateLimited: when something is set free by itself, or
// the zero time when nothing will be.
type Excess struct{ Until time.Time }

// Error implements error.
func (e *Excess) Error() string { return "over the allowance until " + e.Until.String() }

// Admit is CreateVideo for a video that has to meet an admission, with no other
// creation for the same owner in between: of any number at once, by any number of
// gateways, none gets past. It fails as CreateVideo does, with Conflict when a
// rival is there, Gone when one was erased, and RateLimited, because of an
// Excess, when the owner has no more room.
func (c *Catalog) Admit(ctx context.Context, v Video, u Upload, a Admission) error {
	if v.ID == "" || v.ID != u.Video {
		return video.Errorf(video.Invalid, "The upload belongs to another video.")
	}
	if err := mustBeSealed(u.ExpectedSHA256); err != nil {
		return err
	}
	if v.CreatedAt.IsZero() {
		v.CreatedAt = time.Now()
	}
	v.Revision = 1
	return c.transact(ctx, func(tx *gorm.DB) error {
		if err := a.check(tx, v, u); err != nil {
			return err
		}
		return c.create(tx, v, u)
	})
}

func (a Admission) check(tx *gorm.DB, v Video, u Upload) error {
	if len(a.Rivals) == 0 && a.Allowance == (Allowance{}) {
		return nil
	}
	if err := lockOwner(tx, v.Owner); err != nil {
		return err
	}
	if len(a.Rivals) > 0 {
		switch _, err := oneOf(tx, a.Rivals); {
		case err == nil:
			return errExists()
		case video.CodeOf(codedError(err)) != video.NotFound:
			return err
		}
	}
	return a.Allowance.check(tx, v.Owner, u.Length)
}

// lockOwner makes creations for one owner come one after the other until the
// transaction ends. SQLite has but one writer at a time anyway.
func lockOwner(tx *gorm.DB, owner string) error {
	if tx.Name() != "postgres" {
		return nil
	}
	return tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", owner).Error
}

// OneOf returns the video that has one of these ids, Gone when one of them has
// been erased, or NotFound.
func (c *Catalog) OneOf(ctx context.Context, ids []video.ID) (Video, error) {
	v, err := oneOf(c.read.WithContext(ctx), ids)
	return v, codedError(err)
}

func oneOf(db *gorm.DB, ids []video.ID) (Video, error) {
	var rows []Video
	if err := db.Where("id IN ?", ids).Limit(1).Find(&rows).Error; err != nil {
		return Video{}, err
	}
	if len(rows) > 0 {
		return rows[0], nil
	}
	hashes := make([]string, len(ids))
	for i, id := range ids {
		hashes[i] = id.Hash()
	}
	var records int64
	if err := db.Model(&Ledger{}).Where("video_sha256 IN ?", hashes).Count(&records).Error; err != nil {
		return Video{}, err
	}
	if records > 0 {
		return Video{}, errErased()
	}
	return Video{}, video.Errorf(video.NotFound, "There is no such video.")
}

// HasRoom says whether an owner may begin one more upload of this many bytes, -1
// for not known: nil, or RateLimited because of an Excess. Only Admit is sure of it.
func (c *Catalog) HasRoom(ctx context.Context, owner string, length int64, a Allowance) error {
	return codedError(a.check(c.read.WithContext(ctx), owner, length))
}

func (a Allowance) check(db *gorm.DB, owner string, length int64) error {
	if err := a.checkUploads(db, owner); err != nil {
		return err
	}
	return a.checkBytes(db, owner, length)
}

// owned is every upload of an owner that is not purged, with its video.
func owned(db *gorm.DB, owner string) *gorm.DB {
	return db.Model(&Upload{}).Joins("JOIN videos ON videos.id = uploads.video").Where("videos.owner = ?", owner)
}

// dropped is what becomes no more than it is: its life is ending, or a person has
// deleted or canceled it, whatever its workflow knows. Nothing can be added to either.
const dropped = "(videos.ending <> '' OR videos.hidden_at IS NOT NULL OR videos.cancel_asked_at IS NOT NULL AND NOT videos.cancel_keeps)"

// underWay are the uploads that go on. One that is to be kept as a draft doesn't.
func underWay(db *gorm.DB, owner string) *gorm.DB {
	return owned(db, owner).Where("videos.stage = ? AND NOT "+dropped+" AND videos.cancel_asked_at IS NULL", video.Uploading)
}

func (a Allowance) checkUploads(db *gorm.DB, owner string) error {
	if a.Uploads == 0 {
		return nil
	}
	var open int64
	if err := underWay(db, owner).Count(&open).Error; err != nil || open < a.Uploads {
		return err
	}
	until, err := earliest(underWay(db, owner), "uploads.expires_at")
	if err != nil {
		return err
	}
	return video.Errorf(video.RateLimited, "You have %d uploads under way, and %d is the limit. Finish or cancel one; %s.",
		open, a.Uploads, expiry("the next one to expire does so", until)).Because(&Excess{until})
}

func (a Allowance) checkBytes(db *gorm.DB, owner string, length int64) error {
	if a.Bytes == 0 {
		return nil
	}
	if length < 0 {
		length = a.Unsized
	}
	var used int64
	// An upload counts as what it is to become, so that all of them fit in the end.
	sum := gorm.Expr("COALESCE(SUM(CASE WHEN "+dropped+" THEN uploads.received "+
		"WHEN uploads.length >= 0 THEN uploads.length ELSE ? END), 0)", a.Unsized)
	if err := owned(db, owner).Select("CAST(? AS BIGINT)", sum).Scan(&used).Error; err != nil {
		return err
	}
	if length <= a.Bytes-used {
		return nil
	}
	until, err := earliest(owned(db, owner).Where("videos.ending <> ''"), "videos.purge_at")
	if err != nil {
		return err
	}
	return video.Errorf(video.RateLimited, "Your videos have %d bytes, this one needs up to %d, and %d is the limit. Delete a video; %s.",
		used, length, a.Bytes, expiry("the next one to be erased is so", until)).Because(&Excess{until})
}

// earliest is the first time to come in a column, or the zero time.
func earliest(rows *gorm.DB, column string) (time.Time, error) {
	var times []time.Time
	err := rows.Where(column+" > ?", time.Now().UTC()).Order(column).Limit(1).Pluck(column, &times).Error
	if err != nil || len(times) == 0 {
		return time.Time{}, err
	}
	return times[0].UTC(), nil
}

func expiry(what string, at time.Time) string {
	if at.IsZero() {
		return "nothing is set free by itself"
	}
	return what + " at " + at.Format("2006-01-02 15:04 MST")
}
