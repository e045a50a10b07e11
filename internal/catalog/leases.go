package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Lease is the right to add to an upload. A later lease fences off an earlier one.
type Lease struct {
	Video  video.ID
	Holder string
	Epoch  int64
}

// Held is a lease as Beat found it, with what its holder must know.
type Held struct {
	Video      video.ID
	LeaseEpoch int64
	Wanted     bool // let go as soon as possible
	Paused     bool
	Ending     video.Ending
	Draft      bool
}

// mustBeHeldBy says that a lease was lost, or nil. One that has expired is good until
// somebody else takes the upload, and its epoch is over, or the video is paused.
func (u Upload) mustBeHeldBy(lease Lease) error {
	if lease.Holder == "" || u.Holder != lease.Holder || u.LeaseEpoch != lease.Epoch {
		return video.Errorf(video.Conflict, "The upload has been taken up elsewhere.")
	}
	return nil
}

// Acquire takes the lease of an upload for a time when it is free or has expired,
// and returns its epoch. ok is false while somebody holds it, the same holder
// included: then Want it and try again. It fails with Conflict when the video is
// paused, a draft, to be canceled or its upload complete, and Gone when it is hidden,
// ending or gone.
// Every call that succeeds begins a new lease. A holder's name must be of one run
// of its process, so that a gateway that was restarted does not hold what it
// knows nothing of.
func (c *Catalog) Acquire(ctx context.Context, id video.ID, holder string, ttl time.Duration) (epoch int64, ok bool, err error) {
	err = c.receiving(ctx, id, func(tx *gorm.DB, u Upload) error {
		epoch = u.LeaseEpoch + 1
		taken := tx.Model(&Upload{}).
			Where("video = ?", id).Where("holder = '' OR lease_until < ?", c.clock(0)).
			Updates(map[string]any{"holder": holder, "lease_epoch": epoch, "lease_until": c.clock(ttl), "wanted": false})
		ok = taken.RowsAffected == 1
		return taken.Error
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return epoch, true, nil
}

// Want asks the present holder to let go. Without a holder it does nothing.
func (c *Catalog) Want(ctx context.Context, id video.ID) error {
	return codedError(c.write.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND holder <> '' AND NOT wanted", id).Update("wanted", true).Error)
}

// Beat renews the leases of a holder for a time, in one statement, and returns
// them with what has been asked of them: a cancel that is on record counts as a pause
// until the workflow has taken it up, a deletion as an ending. It renews none of a
// video that is paused, a draft or ending, nor one that has expired: so a lease that Leased no longer
// finds does not come back when its holder does. One that is missing from the
// answer was lost. One that the holder has not heard of in two beats is of an
// Acquire whose answer was lost: Unlease it.
func (c *Catalog) Beat(ctx context.Context, holder string, ttl time.Duration) ([]Held, error) {
	// SQLite can return nothing of a joined table, but what a subquery finds.
	const (
		from  = ` FROM controls JOIN videos ON videos.id = controls.video WHERE controls.video = uploads.video`
		renew = `UPDATE uploads SET lease_until = CASE
			WHEN EXISTS (SELECT 1` + from + ` AND NOT controls.paused AND NOT controls.draft AND controls.ending = ''
				AND videos.hidden_at IS NULL AND videos.cancel_asked_at IS NULL)
			THEN ? ELSE lease_until END
		WHERE holder = ? AND lease_until >= ?
		RETURNING video, lease_epoch, wanted,
		(SELECT controls.paused OR videos.cancel_asked_at IS NOT NULL` + from + `) AS paused,
		(SELECT CASE WHEN controls.ending = '' AND videos.hidden_at IS NOT NULL THEN 'deleted' ELSE controls.ending END` + from + `) AS ending,
		(SELECT controls.draft` + from + `) AS draft`
	)
	var held []Held
	err := c.write.WithContext(ctx).Raw(renew, c.clock(ttl), holder, c.clock(0)).Scan(&held).Error
	return held, codedError(err)
}

// Unlease gives a lease back. One that was lost already is no error.
func (c *Catalog) Unlease(ctx context.Context, id video.ID, holder string, leaseEpoch int64) error {
	return codedError(c.write.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND holder = ? AND lease_epoch = ?", id, holder, leaseEpoch).
		Updates(map[string]any{"holder": "", "lease_until": nil, "wanted": false}).Error)
}

// Leased reports whether somebody holds an unexpired lease of the upload. Once it
// is false of a video that is paused, a draft or ending, no byte is added any more
// until that is over: it waits for whoever is adding one just now, and what
// expired is not renewed.
func (c *Catalog) Leased(ctx context.Context, id video.ID) (held bool, err error) {
	err = c.transact(ctx, func(tx *gorm.DB) error {
		if _, err := lockControl(tx, id); err != nil {
			return ignore(err, video.NotFound, video.Gone)
		}
		u, err := lockUpload(tx, id)
		if err != nil || u.Holder == "" {
			return ignore(err, video.NotFound, video.Gone)
		}
		held, err = c.unexpired(tx, id)
		return err
	})
	return held, err
}

// unexpired reports whether the time of the upload's lease is still running.
func (c *Catalog) unexpired(tx *gorm.DB, id video.ID) (bool, error) {
	var running int64
	err := tx.Model(&Upload{}).Where("video = ? AND lease_until >= ?", id, c.clock(0)).Count(&running).Error
	return running > 0, err
}
