package catalog

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/reelflow/reelflow/video"
)

// The states of a replica, as the wire contract spells them.
const (
	ReplicaPending     = "pending"
	ReplicaCopying     = "copying"
	ReplicaComplete    = "complete"
	ReplicaBehind      = "behind"
	ReplicaPurging     = "purging"
	ReplicaEmpty       = "empty"
	ReplicaUnreachable = "unreachable"
)

// Replica is what one store has of a video.
type Replica struct {
	Video      video.ID `gorm:"primaryKey"`
	Store      string   `gorm:"primaryKey"`
	State      string
	Objects    int
	Bytes      int64
	VerifiedAt time.Time `gorm:"serializer:instant"`
	// LockedUntil is until when the store keeps something of the video under an Object Lock.
	LockedUntil time.Time `gorm:"serializer:instant"`

	// The books of the purge; only BeginPurge, Observed and FoundAfter write them.
	Purger     int64        // the latest attempt at it; see Purge
	Listed     video.Counts `gorm:"embedded;embeddedPrefix:listed_"`      // by the last listing
	Removed    video.Counts `gorm:"embedded;embeddedPrefix:removed_"`     // so far
	FoundAfter video.Counts `gorm:"embedded;embeddedPrefix:found_after_"` // by the independent listing at the end
}

// Replicas returns the replicas of a video by the name of their store.
func (c *Catalog) Replicas(ctx context.Context, id video.ID) ([]Replica, error) {
	replicas, err := c.ReplicasOf(ctx, []video.ID{id})
	return replicas[id], err
}

// SetReplica records the state, objects, bytes, time of verification and lock of a
// replica; the books of the purge stay as they are. It fails as Project does.
func (c *Catalog) SetReplica(ctx context.Context, leg Leg, r Replica) error {
	return c.book(ctx, leg, r.Store, func(row *Replica) {
		row.State, row.Objects, row.Bytes, row.VerifiedAt, row.LockedUntil = r.State, r.Objects, r.Bytes, r.VerifiedAt, r.LockedUntil
	})
}

// Purge is one attempt at the purge of a store. Attempts may delete side by side, but
// only the latest keeps the books: a listing of an earlier one, recorded late, would
// count anew what has been removed since.
type Purge struct {
	leg    Leg
	store  string
	purger int64
}

// BeginPurge shows that the purge of a store is under way, and takes over its books.
// It fails as Project does.
func (c *Catalog) BeginPurge(ctx context.Context, leg Leg, store string) (Purge, error) {
	p := Purge{leg: leg, store: store}
	err := c.book(ctx, leg, store, func(row *Replica) {
		row.State, row.Objects, row.Bytes, row.VerifiedAt = ReplicaPurging, 0, 0, time.Time{}
		row.Purger++
		p.purger = row.Purger
	})
	return p, err
}

// Observed enters a listing made by the purge into its books: what was listed
// before and is not found now has been removed. So a pass that died between
// deleting and recording is still counted, once. List and call it before the
// first deletion and after each; repeating it changes nothing. It fails as
// Project does, and with Conflict once a later attempt has begun.
func (c *Catalog) Observed(ctx context.Context, p Purge, found video.Counts) error {
	var overtaken error
	err := c.book(ctx, p.leg, p.store, func(row *Replica) {
		if row.Purger != p.purger {
			overtaken = video.Errorf(video.Conflict, "A later attempt at this purge has begun.")
			return
		}
		add := func(removed *int, listed, found int) { *removed += max(listed-found, 0) }
		add(&row.Removed.Objects, row.Listed.Objects, found.Objects)
		add(&row.Removed.Versions, row.Listed.Versions, found.Versions)
		add(&row.Removed.DeleteMarkers, row.Listed.DeleteMarkers, found.DeleteMarkers)
		add(&row.Removed.Multiparts, row.Listed.Multiparts, found.Multiparts)
		row.Listed = found
	})
	if err == nil {
		err = overtaken
	}
	return err
}

// FoundAfter records the independent listing at the end of a purge; nothing
// found makes the replica empty. It fails as Project does.
func (c *Catalog) FoundAfter(ctx context.Context, leg Leg, store string, found video.Counts) error {
	return c.book(ctx, leg, store, func(row *Replica) {
		row.FoundAfter = found
		if found.Empty() {
			row.State, row.Objects, row.Bytes = ReplicaEmpty, 0, 0
		}
	})
}

// book changes the row of a replica, which it makes if it is not there.
func (c *Catalog) book(ctx context.Context, leg Leg, store string, change func(*Replica)) error {
	return c.fenced(ctx, leg, func(tx *gorm.DB, _ Control) error {
		row := Replica{Video: leg.Video, Store: store, State: ReplicaPending}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return err
		}
		if err := tx.Where("video = ? AND store = ?", leg.Video, store).Take(&row).Error; err != nil {
			return err
		}
		change(&row)
		if err := tx.Select("*").Updates(&row).Error; err != nil {
			return err
		}
		return bumpRevision(tx, leg.Video)
	})
}
