package catalog

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Ledger is the content-free record of an erasure: it names nobody.
type Ledger struct {
	VideoSHA256    string `gorm:"column:video_sha256;primaryKey"` // hex
	Reason         video.Ending
	HiddenAt       time.Time `gorm:"serializer:instant"`
	KeyDestroyedAt time.Time `gorm:"serializer:instant"` // zero while only intended
}

// Known looks an erased video up by the hex SHA-256 of its id.
func (c *Catalog) Known(ctx context.Context, idHash string) (Ledger, bool, error) { panic("todo") }

// RecordLedger records an erasure. The first record stays; a time of the key's
// destruction is added when it had none.
func (c *Catalog) RecordLedger(ctx context.Context, l Ledger) error { panic("todo") }

// Forget ends a video: one transaction deletes every row of it in every table and
// keeps its ledger record and receipt. Repeating it is a success, and keeps the
// first receipt. It fails with Conflict when the life is not ending.
func (c *Catalog) Forget(ctx context.Context, id video.ID, r video.Receipt) error { panic("todo") }

// Receipt returns the receipt of an erased video by the hex SHA-256 of its id,
// and when it was closed; NotFound until then.
func (c *Catalog) Receipt(ctx context.Context, idHash string) (video.Receipt, time.Time, error) {
	panic("todo")
}
