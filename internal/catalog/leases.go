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

// heldBy says that a lease was lost, or nil. One that has expired is good until
// somebody else takes the upload: then its epoch is over.
func (u Upload) heldBy(lease Lease) error {
	if lease.Holder == "" || u.Holder != lease.Holder || u.LeaseEpoch != lease.Epoch {
		return video.Errorf(video.Conflict, "The upload has been taken up elsewhere.")
	}
	return nil
}

// Acquire takes the lease of an upload for a time when it is free or has expired,
// and returns its epoch. ok is false while somebody holds it, the same holder
// included: then Want it and try again. It fails with Conflict when the video is
// paused, a draft or its upload complete, and Gone when it is ending or gone.
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
	return fault(c.write.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND holder <> '' AND NOT wanted", id).Update("wanted", true).Error)
}

// Beat renews all leases of a holder for a time, in one statement, and returns
// them with what has been asked of them. A lease that is missing was lost. One
// that the holder has not heard of in two beats is of an Acquire whose answer was
// lost: Unlease it.
func (c *Catalog) Beat(ctx context.Context, holder string, ttl time.Duration) ([]Held, error) {
	// SQLite can return nothing of a joined table, but what a subquery finds.
	const renew = `UPDATE uploads SET lease_until = ? WHERE holder = ? RETURNING video, lease_epoch, wanted,
		(SELECT paused FROM controls WHERE controls.video = uploads.video) AS paused,
		(SELECT ending FROM controls WHERE controls.video = uploads.video) AS ending,
		(SELECT draft FROM controls WHERE controls.video = uploads.video) AS draft`
	var held []Held
	err := c.write.WithContext(ctx).Raw(renew, c.clock(ttl), holder).Scan(&held).Error
	return held, fault(err)
}

// Unlease gives a lease back. One that was lost already is no error.
func (c *Catalog) Unlease(ctx context.Context, id video.ID, holder string, leaseEpoch int64) error {
	return fault(c.write.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND holder = ? AND lease_epoch = ?", id, holder, leaseEpoch).
		Updates(map[string]any{"holder": "", "lease_until": nil, "wanted": false}).Error)
}

// Leased reports whether somebody holds an unexpired lease of the upload.
func (c *Catalog) Leased(ctx context.Context, id video.ID) (bool, error) {
	var leases int64
	err := c.read.WithContext(ctx).Model(&Upload{}).
		Where("video = ? AND holder <> '' AND lease_until >= ?", id, c.clock(0)).Count(&leases).Error
	return leases > 0, fault(err)
}
