// Package manifest is the one way in which bytes enter a store.
//
// Whatever is stored of a video is first recorded in the manifest as intended, then
// put into the store as an object of its own, then committed, all under the right of
// its writer: a leg of a workflow, or the lease of an upload. A writer whose right is
// over finds its commit refused (Conflict, Gone) and takes back what it put. Where
// the outcome of the commit is unknown, or the catalog doesn't know the video
// (NotFound), the object may count, and stays. If the process dies in between, the row
// stays as intended and the purge finds the object, because it lists the store.
//
// Writer.Put does so for a whole object. An Appender does it for an upload: its bytes
// are segments of at most SegmentSize, each gathered in memory, sealed and put, two
// at once, and committed in order, so that an upload has no gap. With each segment the
// state of the SHA-256 over all bytes so far is committed, sealed: it holds up to 63
// bytes of the file. So whoever takes the upload up goes on with the hash, too.
package manifest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// NewKey is a key of an object of the video that was never used: every put is an
// object of its own, so that a late writer can't overwrite what a later one wrote.
func NewKey(id video.ID, path, extension string) string {
	var random [8]byte
	rand.Read(random[:])
	return id.Prefix() + path + "-" + hex.EncodeToString(random[:]) + extension
}

// Writer puts objects into stores and into the manifest. All fields must be set. Its
// methods may be called from many goroutines.
type Writer struct {
	Catalog *catalog.Catalog
	Vault   vault.Vault
	Primary objects.Store
	Log     *slog.Logger
}

// Put writes an object of the leg's video to the primary store: o is what the
// manifest is to say of it, but for store, size and hash, and body are its sealed bytes. It
// fails as catalog.Commit does. That another attempt has stored the same already is a success.
func (w *Writer) Put(ctx context.Context, leg catalog.Leg, o catalog.Object, body []byte) error {
	o.Video = leg.Video
	return (&write{Writer: w, right: byLeg(leg), store: w.Primary, object: o}).run(ctx, body)
}

// PutSealed seals plain under the video's key and puts it.
func (w *Writer) PutSealed(ctx context.Context, leg catalog.Leg, o catalog.Object, plain []byte) error {
	loan, err := w.Vault.Lend(ctx, leg.Video)
	if err != nil {
		return vault.Missing(err)
	}
	sealed, err := loan.Key().Seal(o.Key, nil, plain)
	loan.Release()
	if err != nil {
		return err
	}
	o.PlainSize = int64(len(plain))
	return w.Put(ctx, leg, o, sealed)
}

// PutMerged seals plain, which several segments of the upload hold from offset on, and puts
// it as one segment in their place: they become dropping, in every store, and are the caller's to
// delete. Plain is at most SegmentSize bytes, and sealed in place if it has the room. It fails
// as catalog.CommitMerged does.
func (w *Writer) PutMerged(ctx context.Context, leg catalog.Leg, offset int64, plain []byte) error {
	o := catalog.Object{Video: leg.Video, Key: segmentKey(leg.Video, offset), Kind: catalog.KindSource, Offset: offset, PlainSize: int64(len(plain))}
	loan, err := w.Vault.Lend(ctx, leg.Video)
	if err != nil {
		return vault.Missing(err)
	}
	sealed, err := loan.Key().Seal(o.Key, plain[:0], plain)
	loan.Release()
	if err != nil {
		return err
	}
	return (&write{Writer: w, right: byMerger{byLeg(leg)}, store: w.Primary, object: o}).run(ctx, sealed)
}

func segmentKey(id video.ID, offset int64) string {
	return NewKey(id, fmt.Sprintf("source/%012d", offset), "")
}

// Copy writes an object of the primary store to another one, under the same key: o is
// its row, and body has been compared with the row's hash.
func (w *Writer) Copy(ctx context.Context, leg catalog.Leg, to objects.Store, o catalog.Object, body []byte) error {
	o.ID, o.Version = 0, ""
	return (&write{Writer: w, right: byLeg(leg), store: to, object: o, isCopy: true}).run(ctx, body)
}

// right is what allows a write: of a leg, or of a lease.
type right interface {
	intend(ctx context.Context, c *catalog.Catalog, o catalog.Object) (catalog.Object, error)
	commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) error
}

const (
	settleWait   = 10 * time.Second // for a commit or a deletion after a cancel
	commitTries  = 5                // of a segment
	commitPeriod = 200 * time.Millisecond
)

type byLeg catalog.Leg

func (r byLeg) intend(ctx context.Context, c *catalog.Catalog, o catalog.Object) (catalog.Object, error) {
	rows, err := c.Intend(ctx, catalog.Leg(r), []catalog.Object{o})
	if err != nil {
		return o, err
	}
	return rows[0], nil
}

func (r byLeg) commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) error {
	return settle(ctx, func(ctx context.Context) error { return c.Commit(ctx, catalog.Leg(r), o) })
}

// byMerger is the right of a leg to a segment in place of others.
type byMerger struct{ byLeg }

func (r byMerger) commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) error {
	return settle(ctx, func(ctx context.Context) error { return c.CommitMerged(ctx, catalog.Leg(r.byLeg), o) })
}

// settle finds out whether an object that lies in its store counts, also when the work
// is told to stop in the middle of it: else the object would stay until the purge.
func settle(ctx context.Context, commit func(context.Context) error) error {
	err := commit(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), settleWait)
	defer done()
	return commit(ctx)
}

type byLease struct {
	catalog.Lease
	hashState []byte // sealed
}

func (r byLease) intend(ctx context.Context, c *catalog.Catalog, o catalog.Object) (catalog.Object, error) {
	return c.IntendSegment(ctx, r.Lease, o)
}

// commit tries for a second: nobody but the sender would send the bytes again.
func (r byLease) commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) (err error) {
	for try := range commitTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(commitPeriod):
			}
		}
		if err = c.CommitSegment(ctx, r.Lease, o, r.hashState); err == nil || isRefused(err) {
			return err
		}
	}
	return err
}

// isRefused reports whether a commit's error means that the object will never count.
func isRefused(err error) bool {
	code := video.CodeOf(err)
	return err != nil && (code == video.Conflict || code == video.Gone)
}

// write is the writing of one object.
type write struct {
	*Writer
	right  right
	store  objects.Store
	object catalog.Object
	isCopy bool

	intended bool // so that it may be in the store
	answered bool // so that it is in the store, in the version that the row says

	cleanup     *sync.WaitGroup // in which it is taken back; nil to wait for that
	cleanupWait time.Duration   // how long that may take: zero is settleWait
}

func (w *write) run(ctx context.Context, body []byte) error {
	if err := w.put(ctx, body); err != nil {
		return err
	}
	err := w.commit(ctx)
	if errors.Is(err, catalog.ErrTwin) { // an attempt thought dead was faster
		w.takeBack(ctx, err)
		return nil
	}
	return err
}

// put records that the object is to be written, and writes it.
func (w *write) put(ctx context.Context, body []byte) (err error) {
	if len(w.object.SHA256) == 0 {
		sum := sha256.Sum256(body)
		w.object.SHA256 = sum[:]
	}
	w.object.Store, w.object.Size = w.store.Name(), int64(len(body))
	if w.object, err = w.right.intend(ctx, w.Catalog, w.object); err != nil {
		return err
	}
	w.intended = true
	w.object.Version, err = w.store.Put(ctx, w.object.Key, body, objects.PutOptions{})
	w.answered = err == nil
	return err
}

// commit makes the object count. Where that is refused the object is taken back.
func (w *write) commit(ctx context.Context) error {
	err := w.right.commit(ctx, w.Catalog, w.object)
	if isRefused(err) {
		w.takeBack(ctx, err)
	}
	return err
}

// takeBack deletes an object that doesn't count. Its row stays as intended, which says
// that nothing need be there. A copy has the key of its original: where a store keeps
// no versions it can't be told from the one that a later leg made, which is the same,
// byte for byte. So it stays while the video lives.
func (w *write) takeBack(ctx context.Context, why error) {
	if !w.intended || w.isCopy && w.object.Version == "" && video.CodeOf(why) != video.Gone {
		return
	}
	remove := func() {
		wait := w.cleanupWait
		if wait == 0 {
			wait = settleWait
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
		defer cancel()
		if err := Remove(ctx, w.store, w.object, w.answered); err != nil {
			w.Log.Warn("an object that doesn't count was left behind for the purge",
				"video", w.object.Video, "store", w.store.Name(), "key", w.object.Key, "error", err)
		}
	}
	if w.cleanup == nil {
		remove()
	} else {
		w.cleanup.Go(remove)
	}
}

// Remove deletes an object from a store. Where its version isn't known, because the answer to
// its put was lost, every version of its key goes.
func Remove(ctx context.Context, store objects.Store, o catalog.Object, versionKnown bool) error {
	err := store.Delete(ctx, o.Key, o.Version)
	if err != nil || versionKnown {
		return err
	}
	_, err = store.Inventory(ctx, o.Key, func(e objects.Entry) error {
		if e.Kind != objects.Version {
			return nil
		}
		return store.Delete(ctx, e.Key, e.Version)
	})
	return err
}
