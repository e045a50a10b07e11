package catalog

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/video"
)

// The kinds of objects.
const (
	KindSource  = "source"  // a sealed stretch of the upload
	KindPiece   = "piece"   // a sealed stretch of encoded video
	KindAudio   = "audio"   // the sealed audio, encoded whole
	KindSegment = "segment" // an encrypted HLS segment
	KindPoster  = "poster"
	KindPreview = "preview"
)

// The states of an object.
const (
	ObjectWriting = "writing" // meant to be written; it may lie in the store or not
	ObjectStored  = "stored"
)

// Object is one line of the manifest: an object in a store, recorded before it is written.
type Object struct {
	ID        int64 `gorm:"primaryKey;autoIncrement:false"` // random; given by Intend
	Video     video.ID
	Store     string // the store's name
	Key       string `gorm:"column:object_key"`
	Version   string // in versioned buckets
	Kind      string
	Rendition string
	Index     int     `gorm:"column:number"`
	Offset    int64   `gorm:"column:start"` // of its first byte in the whole, in plain bytes
	PlainSize int64   // bytes before sealing
	Size      int64   // bytes in the store
	SHA256    []byte  `gorm:"column:sha256"` // of the sealed bytes
	IV        []byte  `gorm:"column:iv"`
	Duration  float64 // seconds, of pieces and segments
	Epoch     int64   // of the leg or the lease that wrote it
	State     string
	CreatedAt time.Time `gorm:"serializer:instant;autoCreateTime:false"`
}

// Filter selects objects of a video. Empty fields don't restrict.
type Filter struct {
	Store     string
	Kind      string
	Rendition string
	Stored    bool // only what is known to lie in the store
}

// Intend records that objects are about to be written by a leg, all or none, and
// returns them with their ids. It fails as Project does; nothing may be written then.
func (c *Catalog) Intend(ctx context.Context, leg Leg, objects []Object) ([]Object, error) {
	panic("todo")
}

// Commit records that an object of the leg lies in its store, with its version,
// sizes and hash. Repeating it is a success, also when the leg is over by then.
// It fails with Conflict or Gone when the leg is no longer the present one: then,
// and only then, the writer deletes what it wrote.
func (c *Catalog) Commit(ctx context.Context, leg Leg, o Object) error { panic("todo") }

// Objects returns the manifest of a video ordered by kind, rendition, index and
// offset; empty when there is nothing or no such video.
func (c *Catalog) Objects(ctx context.Context, id video.ID, f Filter) ([]Object, error) {
	panic("todo")
}

// Drop removes the rows of objects that have been deleted from their store.
// It fails as Project does; ids that are not there are no error.
func (c *Catalog) Drop(ctx context.Context, leg Leg, ids []int64) error { panic("todo") }
