package activities

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Hide makes a video invisible and says until when its grace runs.
func (a *Activities) Hide(ctx context.Context, in workflows.HideInput) (workflows.Hidden, error) {
	hidden := workflows.Hidden{HiddenAt: in.HiddenAt}
	err := a.leave(ctx, in.Leg, video.ByDeletion, func(v *catalog.Video) {
		if v.HiddenAt.IsZero() {
			v.HiddenAt = in.HiddenAt
		}
		hidden.HiddenAt = v.HiddenAt
		if v.Stage == video.Purging || v.Stage == video.Purged {
			return // another attempt has hidden it, and the purge goes on
		}
		v.Stage, v.PurgeAt, v.WaitingFor = video.PendingDeletion, v.HiddenAt.Add(in.Grace), ""
	})
	if is(err, video.NotFound) {
		err = a.mustBeMeant(ctx, in.ID, in.Asked, err)
	}
	hidden.PurgeAt = hidden.HiddenAt.Add(in.Grace)
	if err == nil {
		err = a.renewFacts(ctx, wayOut(in.Leg)) // so that no catalog is rebuilt with it as published
	}
	return hidden, err
}

// leave marks the life as ending in the control row, which fences every leg
// before this one. It is a success when the video has been erased, and NotFound
// when the catalog knows nothing of it.
func (a *Activities) leave(ctx context.Context, leg workflows.Leg, why video.Ending, project func(*catalog.Video)) error {
	row, err := a.Catalog.ControlOf(ctx, leg.ID)
	if err == nil {
		// A hold and the count of refusals stay as they are: only the workflow knows them.
		row.Epoch, row.Ending, row.Paused, row.Draft, row.KeepHold = leg.Epoch, why, false, false, true
		row, err = a.Catalog.Control(ctx, row, project)
	}
	if is(err, video.Gone) {
		return nil
	}
	if err == nil && row.Epoch > leg.Epoch {
		return video.Errorf(video.Conflict, "A later run of this workflow has gone further.")
	}
	return err
}

// mustBeMeant refuses with why to end a video that the catalog doesn't know, unless a
// person asked for it or the erasure has begun already: the catalog may be an older
// one, or not the right one.
func (a *Activities) mustBeMeant(ctx context.Context, id video.ID, asked bool, why error) error {
	if asked {
		return nil
	}
	_, begun, err := a.Vault.Ledger(ctx, id.Hash())
	if err == nil && !begun {
		err = why
	}
	return err
}

// DestroyKey commits the ledger's record of the erasure beside the vault's root,
// destroys the key, and gives the catalog its copy of the record. Each store gets
// its copy with its purge.
func (a *Activities) DestroyKey(ctx context.Context, in workflows.DestroyInput) error {
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	if err := a.mustNotBeHeld(ctx, in.ID); err != nil {
		return err
	}
	purged, err := a.replicasThatAre(ctx, in.ID, catalog.ReplicaEmpty) // some, if an attempt was thought dead
	if err != nil {
		return err
	}
	err = a.leave(ctx, in.Leg, in.Reason, func(v *catalog.Video) {
		v.Stage, v.WaitingFor = video.Purging, ""
		v.Unit, v.Done, v.Total = "replicas", purged, int64(len(a.Stores.All()))
		if v.HiddenAt.IsZero() {
			v.HiddenAt = in.HiddenAt
		}
	})
	if is(err, video.NotFound) {
		err = a.mustBeMeant(ctx, in.ID, in.Asked, err)
	}
	if err != nil {
		return err
	}
	// From here on nothing is written of it any more, also by an attempt thought dead.
	_, err = a.Catalog.EnterExclusive(ctx, wayOut(in.Leg), nil)
	if err != nil && !is(err, video.Gone, video.NotFound) {
		return err
	}
	u, err := a.Catalog.UploadOf(ctx, in.ID) // by its token, too, the video is known as erased
	if err != nil && !is(err, video.Gone, video.NotFound) {
		return err
	}
	record, err := a.Vault.Destroy(ctx, vault.Intent{ID: in.ID, TokenHash: u.TokenHash, Reason: string(in.Reason), HiddenAt: in.HiddenAt})
	if err != nil {
		return err
	}
	return a.Catalog.RecordLedger(ctx, catalog.Ledger{
		TokenHash: u.TokenHash, VideoSHA256: record.VideoSHA256, Reason: video.Ending(record.Reason),
		HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt,
	})
}

// mustNotBeHeld refuses to destroy the key of a video under a legal hold that the
// workflow has not heard of, as one that was restored with Temporal's database. Past the
// point of no return, which the ledger tells, no hold means anything.
func (a *Activities) mustNotBeHeld(ctx context.Context, id video.ID) error {
	row, err := a.Catalog.ControlOf(ctx, id)
	if is(err, video.Gone, video.NotFound) {
		return nil // what that means is decided elsewhere
	}
	if err != nil || !row.Held {
		return err
	}
	_, begun, err := a.Vault.Ledger(ctx, id.Hash())
	if err == nil && !begun {
		err = video.Errorf(video.Conflict, "The video is under a legal hold.")
	}
	return err
}

// erasure is the record in the vault's ledger of an erasure that is past the point of
// no return. Without one nothing may be removed: that a catalog doesn't know a video
// proves nothing.
func (a *Activities) erasure(ctx context.Context, id video.ID) (vault.Record, error) {
	record, found, err := a.Vault.Ledger(ctx, id.Hash())
	if err == nil && (!found || record.KeyDestroyedAt.IsZero()) {
		err = video.Errorf(video.Internal, "The vault's ledger has no complete record of this erasure, so nothing is removed.")
	}
	return record, err
}

// PurgeReplica gives a store its copy of the ledger's record, then erases
// everything of the video there. The catalog keeps exact books of what was
// removed over any number of attempts, as long as it knows the video.
func (a *Activities) PurgeReplica(ctx context.Context, in workflows.StoreInput) error {
	var removed atomic.Pointer[objects.Removed]
	defer heartWith(ctx, func() { activity.RecordHeartbeat(ctx, removed.Load()) })()
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	store, err := a.Stores.ByName(in.Store)
	if err != nil {
		return err
	}
	record, err := a.erasure(ctx, in.ID)
	if err != nil {
		return err
	}
	leg, watch := wayOut(in.Leg), objects.Watch{Removed: func(r objects.Removed) { removed.Store(&r) }}
	books, err := a.Catalog.BeginPurge(ctx, leg, in.Store)
	if is(err, video.Gone, video.NotFound) {
		return a.erase(ctx, record, leg.Video, store, watch)
	}
	if err != nil {
		return err
	}
	watch.Found = func(found objects.Inventory) error {
		return orForgotten(a.Catalog.Observed(ctx, books, counts(found)))
	}
	err = a.erase(ctx, record, leg.Video, store, watch)
	replica := catalog.Replica{Video: in.ID, Store: in.Store, State: catalog.ReplicaEmpty}
	if err != nil {
		return a.markPurging(ctx, leg, replica, err)
	}
	if err := a.Catalog.SetReplica(ctx, leg, replica); err != nil {
		return orForgotten(err)
	}
	return orForgotten(a.countReplicas(ctx, leg, catalog.ReplicaEmpty))
}

// orForgotten lets pass that the catalog has forgotten the video meanwhile: another
// attempt has closed the receipt.
func orForgotten(err error) error {
	if is(err, video.Gone) {
		return nil
	}
	return err
}

// markPurging shows readers why the purge of a store has stopped, and returns why. A store
// that answers is not unreachable, whatever it keeps.
func (a *Activities) markPurging(ctx context.Context, leg catalog.Leg, r catalog.Replica, why error) error {
	e, ok := errors.AsType[*video.Error](why)
	if !ok || e.Reason == "" || ctx.Err() != nil {
		return a.markUnreachable(ctx, leg, r, why)
	}
	r.State, r.LockedUntil = catalog.ReplicaPurging, e.RetryAt
	if err := a.Catalog.SetReplica(ctx, leg, r); err != nil {
		a.Log.Warn("could not show why a purge waits", "store", r.Store, "error", err)
	}
	return why
}

// erase gives a store its copy of the ledger's record and purges it.
func (a *Activities) erase(ctx context.Context, record vault.Record, id video.ID, store objects.Store, watch objects.Watch) error {
	if err := copyLedger(ctx, record, id, store); err != nil {
		return err
	}
	_, err := store.Purge(ctx, id.Prefix(), watch)
	return err
}

// copyLedger makes sure that a store has its copy of the ledger's record: a store
// restored from a backup is purged again by it.
func copyLedger(ctx context.Context, record vault.Record, id video.ID, store objects.Store) error {
	if _, err := store.Stat(ctx, id.LedgerKey(), ""); !is(err, video.NotFound) {
		return err
	}
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, id.LedgerKey(), body, objects.PutOptions{ContentType: "application/json"})
	return err
}

// CloseReceipt lists every store independently of what the purges said. Only
// when nothing is found anywhere does the catalog forget the video and keep the
// receipt; anything found fails with Conflict, and the stores are purged again. Of a
// video whose rows are gone, with an earlier attempt or with an older catalog, the
// receipt can't say how much was removed; the first one that was kept is returned, the same
// byte for byte. A validation that fails is told in the receipt and keeps it from nothing: what
// answers there may be another's.
func (a *Activities) CloseReceipt(ctx context.Context, in workflows.DestroyInput) (video.ReceiptSummary, error) {
	defer heart(ctx)()
	receipt, err := a.closeReceipt(ctx, in)
	return receipt.Summary(), err
}

func (a *Activities) closeReceipt(ctx context.Context, in workflows.DestroyInput) (video.Receipt, error) {
	if err := a.checkInstallation(ctx); err != nil {
		return video.Receipt{}, err
	}
	record, err := a.erasure(ctx, in.ID)
	if err != nil {
		return video.Receipt{}, err
	}
	stores, err := a.storesOf(in.Stores)
	if err != nil {
		return video.Receipt{}, err
	}
	verified := map[string]time.Time{}
	for _, store := range stores {
		if err := a.purgeAdded(ctx, in, store); err != nil {
			return video.Receipt{}, err
		}
		if err := a.verify(ctx, wayOut(in.Leg), record, store); err != nil {
			return video.Receipt{}, err
		}
		verified[store.Name()] = time.Now().UTC()
	}
	receipt, err := a.receipt(ctx, in, record, stores, verified)
	if err != nil {
		return video.Receipt{}, err
	}
	if err := a.Catalog.Forget(ctx, in.ID, receipt); err != nil {
		return video.Receipt{}, err
	}
	kept, _, err := a.Catalog.Receipt(ctx, in.ID.Hash())
	return kept, err
}

// purgeAdded purges a store that the life doesn't name, for it was added later: facts and captions
// were copied there since.
func (a *Activities) purgeAdded(ctx context.Context, in workflows.DestroyInput, store objects.Store) error {
	if len(in.Stores) == 0 || slices.Contains(in.Stores, store.Name()) { // runs of earlier releases name none
		return nil
	}
	left, err := store.Inventory(ctx, in.ID.Prefix(), nil)
	if err != nil || left.Empty() {
		return err
	}
	return a.PurgeReplica(ctx, workflows.StoreInput{Leg: in.Leg, Store: store.Name()})
}

// storesOf returns all stores of the settings, and those of the life: Unavailable when one
// of them is not configured here, for no receipt may leave it out.
func (a *Activities) storesOf(life []string) ([]objects.Store, error) {
	all := a.Stores.All()
	for _, name := range life {
		if slices.ContainsFunc(all, func(s objects.Store) bool { return s.Name() == name }) {
			continue
		}
		store, err := a.Stores.ByName(name)
		if err != nil {
			return nil, err
		}
		all = append(all, store)
	}
	return all, nil
}

// verify lists one store. The answer is written down before it is judged, where
// there is a row for it.
func (a *Activities) verify(ctx context.Context, leg catalog.Leg, record vault.Record, store objects.Store) error {
	if err := copyLedger(ctx, record, leg.Video, store); err != nil {
		return err
	}
	listed, err := store.Inventory(ctx, leg.Video.Prefix(), nil)
	if err != nil {
		return err
	}
	found := counts(listed)
	err = a.Catalog.FoundAfter(ctx, leg, store.Name(), found)
	if err != nil && !is(err, video.Gone, video.NotFound) {
		return err
	}
	if !found.Empty() {
		return video.Errorf(video.Conflict, "The store %q still holds something of the video.", store.Name()).At(store.Name())
	}
	return nil
}

func counts(i objects.Inventory) video.Counts {
	return video.Counts{Objects: i.Objects, Versions: i.Versions, DeleteMarkers: i.DeleteMarkers, Multiparts: i.Multiparts}
}
