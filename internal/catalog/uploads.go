package catalog

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Upload is how far the bytes of a video have come.
type Upload struct {
	Video          video.ID `gorm:"primaryKey"`
	TokenHash      []byte   // SHA-256 of the token at the end of the upload's URL
	Length         int64    // bytes; -1 while the client has not said
	Offset         int64    `gorm:"column:received"` // bytes stored, without a gap
	HashState      []byte   // of a SHA-256 over the first Offset bytes (encoding.BinaryMarshaler)
	SHA256         []byte   `gorm:"column:sha256"` // of the whole, once finished
	ExpectedSHA256 []byte   `gorm:"column:expected_sha256"`
	Sealed         []byte   // the client's metadata, under the video's key

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

	// Read together with the row, never written with it.
	Paused bool         `gorm:"->"`
	Ending video.Ending `gorm:"->"`
	Draft  bool         `gorm:"->"`
	Stage  video.Stage  `gorm:"->"`
}

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

// UploadByToken returns the upload whose URL ends in the token with this SHA-256, or NotFound.
func (c *Catalog) UploadByToken(ctx context.Context, tokenHash []byte) (Upload, error) {
	panic("todo")
}

// UploadOf returns the upload of a video, or NotFound or Gone.
func (c *Catalog) UploadOf(ctx context.Context, id video.ID) (Upload, error) { panic("todo") }

// Acquire takes the lease of an upload for a time when it is free or has expired,
// and returns its epoch. ok is false while somebody else holds it: then Want it
// and try again. It fails with Conflict when the video is paused, a draft or its
// upload is finished, and Gone when it is ending or gone. Every call that
// succeeds begins a new lease.
func (c *Catalog) Acquire(ctx context.Context, id video.ID, holder string, ttl time.Duration) (epoch int64, ok bool, err error) {
	panic("todo")
}

// Want asks the present holder to let go. Without a holder it does nothing.
func (c *Catalog) Want(ctx context.Context, id video.ID) error { panic("todo") }

// Beat renews all leases of a holder for a time, in one statement, and returns
// them with what has been asked of them. A lease that is missing was lost.
func (c *Catalog) Beat(ctx context.Context, holder string, ttl time.Duration) ([]Held, error) {
	panic("todo")
}

// Unlease gives a lease back. One that was lost already is no error.
func (c *Catalog) Unlease(ctx context.Context, id video.ID, holder string, leaseEpoch int64) error {
	panic("todo")
}

// Leased reports whether somebody holds an unexpired lease of the upload.
func (c *Catalog) Leased(ctx context.Context, id video.ID) (bool, error) { panic("todo") }

// IntendSegment records that a segment of the upload is about to be written. It
// fails with Conflict when the lease was lost or the video is paused, a draft, or
// finished, and Gone when it is ending or gone; nothing may be written then.
func (c *Catalog) IntendSegment(ctx context.Context, lease Lease, o Object) (Object, error) {
	panic("todo")
}

// CommitSegment records that the segment lies in its store and moves the offset
// over it, if it begins there, in one transaction; hashState is the state after
// it. Repeating it is a success. It fails as IntendSegment does, and with
// Conflict when the segment does not begin at the offset: then, and only then,
// the writer deletes what it wrote.
func (c *Catalog) CommitSegment(ctx context.Context, lease Lease, o Object, hashState []byte) error {
	panic("todo")
}

// DeclareLength sets the length of an upload that deferred it. Repeating it is a
// success; another length than declared before is Conflict, one below what is
// stored already is Invalid.
func (c *Catalog) DeclareLength(ctx context.Context, lease Lease, n int64) error { panic("todo") }

// FinishUpload records that all bytes are stored; a nil sha256 is worked out from
// the hash state. Repeating it is a success. It fails with Conflict while bytes
// are missing or the video is paused, and Gone when it is ending or gone.
func (c *Catalog) FinishUpload(ctx context.Context, id video.ID, sha256 []byte) error {
	panic("todo")
}

// MarkStalled records whether bytes have stopped coming. Any later segment clears it.
func (c *Catalog) MarkStalled(ctx context.Context, id video.ID, stalled bool) error { panic("todo") }

// Unannounced returns videos whose bytes are all stored while their workflow was
// not told: their gateway died. FinishUpload those, tell, and MarkAnnounced.
func (c *Catalog) Unannounced(ctx context.Context, limit int) ([]video.ID, error) { panic("todo") }

// MarkAnnounced records that the workflow was told. Repeating it is a success.
func (c *Catalog) MarkAnnounced(ctx context.Context, id video.ID) error { panic("todo") }
