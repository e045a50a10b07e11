package activities

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// newKey is a key that was never used: every put is an object of its own, so
// that a late writer can't overwrite what a later leg wrote.
func newKey(id video.ID, path, extension string) string {
	var random [6]byte
	rand.Read(random[:])
	return fmt.Sprintf("%s%s-%s%s", id.Prefix(), path, hex.EncodeToString(random[:]), extension)
}

// put writes an object: first into the manifest, then into the store, then it is
// committed, all under the leg. When the commit is refused the object is taken
// back; when its outcome is unknown, or the catalog doesn't know the video, it stays
// for the purge to find.
func (a *Activities) put(ctx context.Context, leg catalog.Leg, store objects.Store, o catalog.Object, body []byte) error {
	if len(o.SHA256) == 0 { // a copy has been compared with its hash already
		sum := sha256.Sum256(body)
		o.SHA256 = sum[:]
	}
	o.Video, o.Store, o.Epoch = leg.Video, store.Name(), leg.Epoch
	o.Size, o.State = int64(len(body)), catalog.ObjectWriting
	rows, err := a.Catalog.Intend(ctx, leg, []catalog.Object{o})
	if err != nil {
		return err
	}
	o = rows[0]
	if o.Version, err = store.Put(ctx, o.Key, body, objects.PutOptions{}); err != nil {
		return err
	}
	err = a.commit(ctx, leg, o)
	switch {
	case errors.Is(err, catalog.ErrTwin): // an attempt thought dead was faster
		return a.takeBack(ctx, store, o, nil)
	case is(err, video.Conflict, video.Gone):
		return a.takeBack(ctx, store, o, err)
	}
	return err
}

// commit settles whether an object that lies in its store counts, also when the work
// is told to stop in the middle of it: else the object would stay until the purge.
func (a *Activities) commit(ctx context.Context, leg catalog.Leg, o catalog.Object) error {
	err := a.Catalog.Commit(ctx, leg, o)
	if err == nil || ctx.Err() == nil {
		return err
	}
	ctx, done := detached(ctx)
	defer done()
	return a.Catalog.Commit(ctx, leg, o)
}

// takeBack removes what a late writer wrote, and returns why. A copy has the key
// of its original: where a store keeps no versions it can't be told from the one
// that a later leg made, which is the same, byte for byte. So it stays while the
// video lives.
func (a *Activities) takeBack(ctx context.Context, store objects.Store, o catalog.Object, why error) error {
	if o.Version == "" && store != a.Stores.Primary && !is(why, video.Gone) {
		return why
	}
	ctx, done := detached(ctx)
	defer done()
	if err := store.Delete(ctx, o.Key, o.Version); err != nil {
		a.Log.Error("could not take back what was written too late; the purge will find it", "key", o.Key, "store", store.Name(), "error", err)
	}
	return why
}

// putSealed seals plain under the video's key and puts it.
func (a *Activities) putSealed(ctx context.Context, leg catalog.Leg, o catalog.Object, plain []byte) error {
	var sealed []byte
	err := a.withKey(ctx, leg.Video, func(k vault.Key) (err error) {
		sealed, err = k.Seal(o.Key, nil, plain)
		return err
	})
	if err != nil {
		return err
	}
	o.PlainSize = int64(len(plain))
	return a.put(ctx, leg, a.Stores.Primary, o, sealed)
}

// withKey borrows the key for one short piece of work.
func (a *Activities) withKey(ctx context.Context, id video.ID, use func(vault.Key) error) error {
	loan, err := a.Vault.Lend(ctx, id)
	if err != nil {
		return err
	}
	defer loan.Release()
	return use(loan.Key())
}

// get reads a whole object and checks it against the manifest. That a store lacks it
// is a fault of ours or the store's: NotFound would say that there is no such video.
func (a *Activities) get(ctx context.Context, store objects.Store, o catalog.Object) ([]byte, error) {
	body, err := store.Get(ctx, o.Key, o.Version, 0, -1)
	if is(err, video.NotFound, video.Invalid) {
		return nil, video.Errorf(video.Internal, "The store %q lacks an object of the video.", store.Name()).At(store.Name()).Because(err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data := make([]byte, o.Size)
	_, err = io.ReadFull(body, data)
	_, told := errors.AsType[*video.Error](err)
	if told || ctx.Err() != nil { // else it has ended early
		return nil, video.Errorf(video.Unavailable, "The store %q broke off.", store.Name()).At(store.Name()).Because(err)
	}
	if sum := sha256.Sum256(data); err != nil || string(sum[:]) != string(o.SHA256) {
		return nil, video.Errorf(video.Internal, "An object in the store %q is not what was stored there.", store.Name()).At(store.Name())
	}
	return data, nil
}

// getSealed reads a whole sealed object of the primary store.
func (a *Activities) getSealed(ctx context.Context, o catalog.Object) ([]byte, error) {
	sealed, err := a.get(ctx, a.Stores.Primary, o)
	if err != nil {
		return nil, err
	}
	var plain []byte
	err = a.withKey(ctx, o.Video, func(k vault.Key) (err error) {
		plain, err = k.Open(o.Key, sealed)
		return err
	})
	return plain, err
}

// discard removes objects that are no longer needed from the primary store. First
// nobody counts on them any more, all or none; then they are deleted; then their rows
// go. An attempt that dies in between leaves rows in the state "dropping", with which
// the next one goes on, and the purge at last.
func (a *Activities) discard(ctx context.Context, leg catalog.Leg, old []catalog.Object) error {
	if len(old) == 0 {
		return nil
	}
	ids := make([]int64, len(old))
	for i, o := range old {
		ids[i] = o.ID
	}
	if err := a.Catalog.BeginDrop(ctx, leg, ids); err != nil {
		return err
	}
	for _, o := range old {
		if err := a.Stores.Primary.Delete(ctx, o.Key, o.Version); err != nil {
			return err
		}
	}
	return a.Catalog.Drop(ctx, leg, ids)
}
