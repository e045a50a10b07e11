package activities

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// writer is how anything of a video is written.
func (a *Activities) writer() *manifest.Writer {
	return &manifest.Writer{Catalog: a.Catalog, Vault: a.Vault, Primary: a.Stores.Primary, Log: a.Log}
}

// withKey borrows the key for one short piece of work.
func (a *Activities) withKey(ctx context.Context, id video.ID, use func(vault.Key) error) error {
	loan, err := a.Vault.Lend(ctx, id)
	if err != nil {
		return vault.Missing(err)
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
