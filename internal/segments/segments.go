// Package segments turns a stream of bytes into stored segments of an upload, for
// whatever gets its bytes from elsewhere than a client of the gateway.
//
// A segment is a stretch of at most Size bytes: gathered in memory, sealed, put
// into the primary store as an object of its own, and committed to the manifest
// in order, under the lease of the upload. What is committed stays until the
// purge. What is not - the process died, the lease was lost - is in the manifest
// as intended, is withdrawn where that is possible, and is otherwise found by the
// purge, which lists.
//
// With each segment the state of the SHA-256 over all bytes so far is committed,
// sealed: it holds up to 63 bytes of the file. So whoever takes the upload up goes
// on with the hash, too.
package segments

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Size is the most that a segment holds, in bytes.
const Size = 8 << 20

// Key is a name for the segment at an offset that no other attempt at the same
// bytes has.
func Key(id video.ID, offset int64) string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%ssource/%012d-%s", id.Prefix(), offset, hex.EncodeToString(b[:]))
}

// Writer adds to an upload. All fields must be set.
type Writer struct {
	Catalog *catalog.Catalog
	Vault   vault.Vault
	Store   objects.Store
	Lease   catalog.Lease
	Log     *slog.Logger

	Digest hash.Hash // of all bytes up to Offset; goes on with what is gathered
	Offset int64     // of the next byte to be gathered

	FlushAfter time.Duration // bytes from a slow source wait no longer than this for more
}

// segment is one stretch on its way into the store.
type segment struct {
	plain  []byte // with room to be sealed in place
	offset int64
	state  []byte // of the hash after it; sealed before it leaves

	object catalog.Object
	ready  chan struct{} // closed when it lies in the store, or err says why not
	err    error
}

// write seals a segment, records that it is to be written, and puts it. If the
// process dies in here the purge finds what was put, by listing.
func (w *Writer) write(ctx context.Context, seg *segment) error {
	sealed, err := w.seal(ctx, seg)
	if err != nil {
		return err
	}
	if seg.object, err = w.Catalog.IntendSegment(ctx, w.Lease, seg.object); err != nil {
		seg.object.Key = ""
		return err
	}
	seg.object.Version, err = w.Store.Put(ctx, seg.object.Key, sealed, objects.PutOptions{})
	return err
}

// seal borrows the key for as long as it takes, some milliseconds.
func (w *Writer) seal(ctx context.Context, seg *segment) ([]byte, error) {
	id := w.Lease.Video
	loan, err := w.Vault.Lend(ctx, id)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	if seg.state, err = loan.Key().SealColumn(HashColumn(id), seg.state); err != nil {
		return nil, err
	}
	key, size := Key(id, seg.offset), len(seg.plain)
	sealed, err := loan.Key().Seal(key, seg.plain[:0], seg.plain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(sealed)
	seg.object = catalog.Object{
		Video: id, Store: w.Store.Name(), Key: key, Kind: catalog.KindSource, Epoch: w.Lease.Epoch,
		Offset: seg.offset, PlainSize: int64(size), Size: int64(len(sealed)), SHA256: sum[:],
	}
	return sealed, nil
}

const (
	commitTries  = 5
	commitEvery  = 200 * time.Millisecond
	withdrawWait = 2 * time.Second
)

// commit moves the upload's offset over a segment. Where that is refused the
// segment is withdrawn; where the answer is lost it may count already, and stays.
func (w *Writer) commit(ctx context.Context, seg *segment) error {
	for try := 1; ; try++ {
		err := w.Catalog.CommitSegment(ctx, w.Lease, seg.object, seg.state)
		switch code := video.CodeOf(err); {
		case err == nil:
			return nil
		case code == video.Conflict || code == video.Gone:
			w.withdraw(ctx, seg)
			return err
		case try == commitTries:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(commitEvery):
		}
	}
}

// withdraw deletes a segment that does not count. Its row stays as intended, which
// says that nothing need be there.
func (w *Writer) withdraw(ctx context.Context, seg *segment) {
	if seg.object.Key == "" {
		return // never announced, so never put
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawWait)
	defer cancel()
	if err := Erase(ctx, w.Store, seg.object); err != nil {
		w.Log.Warn("a segment that doesn't count was left behind for the purge", "video", w.Lease.Video, "key", seg.object.Key, "error", err)
	}
}

// Erase deletes an object in every version. When the answer to its put was lost
// nobody knows the version, so it is looked for.
func Erase(ctx context.Context, store objects.Store, o catalog.Object) error {
	if err := store.Delete(ctx, o.Key, o.Version); err != nil || o.Version != "" {
		return err
	}
	_, err := store.Inventory(ctx, o.Key, func(e objects.Entry) error {
		if e.Kind != objects.Version {
			return nil
		}
		return store.Delete(ctx, e.Key, e.Version)
	})
	return err
}
