package catalog

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"

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
	KindCaption = "caption" // sealed captions; Rendition is their language
	KindFacts   = "facts"   // sealed: what a lost catalog is rebuilt from; Index is its generation
)

// The states of an object.
const (
	ObjectWriting  = "writing" // meant to be written; it may lie in the store or not
	ObjectStored   = "stored"
	ObjectDropping = "dropping" // no longer counted; to be deleted from the store, or deleted already
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

// ErrTwin is the cause of a Commit's failure when another attempt at the same work
// has stored it already. The code is Unavailable, so that an attempt made again
// finds the twin in the manifest; a writer that knows ErrTwin may as well delete
// what it wrote and go on.
var ErrTwin = errors.New("another attempt has stored this already")

// Intend records that objects are about to be written by a leg, all or none, and
// returns them with their ids. It fails as Project does; nothing may be written
// then. When its answer is lost, rows of objects that nobody writes are left.
func (c *Catalog) Intend(ctx context.Context, leg Leg, objects []Object) ([]Object, error) {
	intended := make([]Object, len(objects))
	for i, o := range objects {
		intended[i] = o.intended(leg.Video, leg.Epoch)
	}
	err := c.fenced(ctx, leg, func(tx *gorm.DB, _ Control) error {
		if len(intended) == 0 {
			return nil
		}
		if slices.ContainsFunc(intended, func(o Object) bool { return o.Kind == KindCaption }) {
			if err := c.queueCaptions(tx, leg.Video, CaptionWriteTime); err != nil {
				return err
			}
		}
		return tx.CreateInBatches(intended, 500).Error
	})
	if err != nil {
		return nil, err
	}
	return intended, nil
}

func (o Object) intended(id video.ID, epoch int64) Object {
	o.ID, o.Video, o.Epoch = rand.Int64(), id, epoch
	o.State, o.CreatedAt = ObjectWriting, time.Now().UTC().Truncate(time.Microsecond)
	return o
}

// Commit records that an object of the leg lies in its store: o is what Intend
// returned, completed with version, sizes, hash, IV and duration. Repeating it is a success, also when the leg is over by then.
// It fails with Conflict or Gone when the leg is no longer the present one: then
// the writer deletes what it wrote. After any other error but ErrTwin it must
// not, because the row may have been written: after NotFound, too, which an older
// or another catalog answers. Captions fail with Conflict, too, unless they are a copy.
func (c *Catalog) Commit(ctx context.Context, leg Leg, o Object) error {
	return c.commit(ctx, leg, o, func(tx *gorm.DB, intent Object) error { return intent.mustHaveOriginal(tx) })
}

// CommitMerged is Commit for a segment of an upload in place of those that hold its bytes
// by now: in the same transaction they, and their copies in other stores, become
// dropping. So at any moment the stored segments hold every byte once. It fails as Commit
// does, and with Conflict unless it holds exactly what whole segments of its store hold.
func (c *Catalog) CommitMerged(ctx context.Context, leg Leg, o Object) error {
	return c.commit(ctx, leg, o, func(tx *gorm.DB, intent Object) error {
		intent.PlainSize = o.PlainSize
		return intent.dropCovered(tx)
	})
}

// commit stores the object if the leg may, after what else is to happen in the transaction.
func (c *Catalog) commit(ctx context.Context, leg Leg, o Object, first func(tx *gorm.DB, intent Object) error) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		row, err := lockControl(tx, leg.Video)
		if err != nil {
			return err
		}
		intent, err := intentOf(tx, leg.Video, o.ID)
		if err != nil {
			return err
		}
		if intent.isStoredAs(o) {
			return nil
		}
		if err := row.mustBeCurrent(tx, leg); err != nil {
			return err
		}
		if intent.Epoch != leg.Epoch {
			return errFenced()
		}
		if err := first(tx, intent); err != nil {
			return err
		}
		return intent.store(tx, o)
	})
}

// dropCovered makes dropping what is stored, in any store, of the stretch of the upload that o
// covers. Stored segments have no gap, so by the sum of their sizes they end where o ends.
func (o Object) dropCovered(tx *gorm.DB) error {
	rows := func() *gorm.DB {
		return tx.Model(&Object{}).Where("video = ? AND kind = ? AND state = ? AND start >= ? AND start < ?",
			o.Video, KindSource, ObjectStored, o.Offset, o.Offset+o.PlainSize)
	}
	var covered struct{ First, Bytes int64 }
	err := rows().Where("store = ?", o.Store).
		Select("COALESCE(MIN(start), -1) AS first, CAST(COALESCE(SUM(plain_size), 0) AS BIGINT) AS bytes").Scan(&covered).Error
	if err != nil {
		return err
	}
	if o.Kind != KindSource || covered.First != o.Offset || covered.Bytes != o.PlainSize {
		return video.Errorf(video.Conflict, "The upload is not stored in segments that this one covers.")
	}
	return rows().Update("state", ObjectDropping).Error
}

// intentOf finds an object's row; without one, whatever was written must go.
func intentOf(tx *gorm.DB, id video.ID, object int64) (Object, error) {
	var rows []Object
	if err := tx.Where("id = ? AND video = ?", object, id).Limit(1).Find(&rows).Error; err != nil {
		return Object{}, err
	}
	if len(rows) == 0 {
		return Object{}, video.Errorf(video.Conflict, "This object was never announced, or has been dropped.")
	}
	return rows[0], nil
}

// isStoredAs reports whether o was committed before, so that an answer was lost.
func (intent Object) isStoredAs(o Object) bool {
	return intent.State == ObjectStored && intent.Version == o.Version &&
		intent.Size == o.Size && bytes.Equal(intent.SHA256, o.SHA256)
}

// store turns the intent into a stored object with what the write has shown. The
// caller holds the lock of the control row, so no twin can come in between.
func (intent Object) store(tx *gorm.DB, o Object) error {
	switch intent.State {
	case ObjectStored:
		return video.Errorf(video.Conflict, "This object has been stored with other content.")
	case ObjectDropping:
		return video.Errorf(video.Conflict, "This object is being dropped.")
	}
	var twins int64
	place := map[string]any{
		"video": intent.Video, "store": intent.Store, "kind": intent.Kind,
		"rendition": intent.Rendition, "number": intent.Index, "start": intent.Offset,
		"state": ObjectStored,
	}
	if err := tx.Model(&Object{}).Where(place).Count(&twins).Error; err != nil {
		return err
	}
	if twins > 0 {
		return video.Errorf(video.Unavailable, "Another attempt has stored this already.").Because(ErrTwin)
	}
	intent.State = ObjectStored
	intent.Version, intent.Size, intent.PlainSize = o.Version, o.Size, o.PlainSize
	intent.SHA256, intent.IV, intent.Duration = o.SHA256, o.IV, o.Duration
	return tx.Select("*").Updates(&intent).Error
}

// Objects returns the manifest of a video ordered by kind, rendition, index and
// offset. It fails with NotFound or Gone when there is no such video: that nothing is
// known of it doesn't mean that it has nothing.
func (c *Catalog) Objects(ctx context.Context, id video.ID, f Filter) ([]Object, error) {
	db := c.read.WithContext(ctx)
	rows := db.Where("video = ?", id).
		Where(&Object{Store: f.Store, Kind: f.Kind, Rendition: f.Rendition}) // empty fields are left out
	if f.Stored {
		rows = rows.Where("state = ?", ObjectStored)
	}
	var objects []Object
	err := rows.Order("kind, rendition, number, start, id").Find(&objects).Error
	if err == nil && len(objects) == 0 {
		_, err = oneRow[Control](db.Where("video = ?", id), db, id)
	}
	return objects, codedError(err)
}

// BeginDrop takes objects out of what is stored, before they are deleted from their
// store: from then on nobody counts on them, so that a writer that is fenced off
// between the two deletes nothing that counts. It fails as Project does; ids that are
// not there, or not stored, are no error.
func (c *Catalog) BeginDrop(ctx context.Context, leg Leg, ids []int64) error {
	return c.eachChunk(ctx, leg, ids, func(rows *gorm.DB) error {
		return rows.Model(&Object{}).Where("state = ?", ObjectStored).Update("state", ObjectDropping).Error
	})
}

// Drop removes the rows of objects that have been deleted from their store, or were
// never put there. What is stored stays: BeginDrop first. It fails as Project does;
// ids that are not there are no error.
func (c *Catalog) Drop(ctx context.Context, leg Leg, ids []int64) error {
	return c.eachChunk(ctx, leg, ids, func(rows *gorm.DB) error {
		return rows.Where("state <> ?", ObjectStored).Delete(&Object{}).Error
	})
}

// eachChunk changes rows of the manifest in one transaction, under the fence.
func (c *Catalog) eachChunk(ctx context.Context, leg Leg, ids []int64, change func(rows *gorm.DB) error) error {
	return c.fenced(ctx, leg, func(tx *gorm.DB, _ Control) error {
		// Databases limit the parameters of a statement.
		for chunk := range slices.Chunk(ids, 500) {
			if err := change(tx.Where("video = ? AND id IN ?", leg.Video, chunk)); err != nil {
				return err
			}
		}
		return nil
	})
}
