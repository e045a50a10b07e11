package catalog

import (
	"context"
	"time"

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

	// The books of the purge; only Observed and FoundAfter write them.
	Listed     video.Counts `gorm:"embedded;embeddedPrefix:listed_"`      // by the last listing
	Removed    video.Counts `gorm:"embedded;embeddedPrefix:removed_"`     // so far
	FoundAfter video.Counts `gorm:"embedded;embeddedPrefix:found_after_"` // by the independent listing at the end
}

// Replicas returns the replicas of a video by the name of their store.
func (c *Catalog) Replicas(ctx context.Context, id video.ID) ([]Replica, error) { panic("todo") }

// SetReplica records the state, objects, bytes and time of verification of a
// replica; the books of the purge stay as they are. It fails as Project does.
func (c *Catalog) SetReplica(ctx context.Context, leg Leg, r Replica) error { panic("todo") }

// Observed enters a listing made by the purge into its books: what was listed
// before and is not found now has been removed. So a pass that died between
// deleting and recording is still counted, once. List and call it before the
// first deletion and after each; repeating it changes nothing. It fails as
// Project does.
func (c *Catalog) Observed(ctx context.Context, leg Leg, store string, found video.Counts) error {
	panic("todo")
}

// FoundAfter records the independent listing at the end of a purge; nothing
// found makes the replica empty. It fails as Project does.
func (c *Catalog) FoundAfter(ctx context.Context, leg Leg, store string, found video.Counts) error {
	panic("todo")
}
