package activities

import (
	"context"
	"encoding/json"

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
		v.Stage, v.PurgeAt, v.WaitingFor = video.PendingDeletion, v.HiddenAt.Add(in.Grace), ""
	})
	hidden.PurgeAt = hidden.HiddenAt.Add(in.Grace)
	return hidden, err
}

// leave marks the life as ending in the control row, which fences every leg
// before this one. It is a success when the catalog has forgotten the video
// already.
func (a *Activities) leave(ctx context.Context, leg workflows.Leg, why video.Ending, project func(*catalog.Video)) error {
	row, err := a.Catalog.ControlOf(ctx, leg.ID)
	if err == nil {
		// A hold and the count of refusals stay as they are: only the workflow knows them.
		row.Epoch, row.Ending, row.Paused, row.Draft = leg.Epoch, why, false, false
		row, err = a.Catalog.Control(ctx, row, project)
	}
	if forgotten(err) {
		return nil
	}
	if err == nil && row.Epoch > leg.Epoch {
		return video.Errorf(video.Conflict, "A later run of this workflow has gone further.")
	}
	return err
}

func forgotten(err error) bool {
	code := video.CodeOf(err)
	return err != nil && (code == video.Gone || code == video.NotFound)
}

// DestroyKey commits the ledger's record of the erasure beside the vault's root,
// destroys the key, and gives the catalog and every store within reach a copy
// of the record. A store that is down gets its copy with its purge.
func (a *Activities) DestroyKey(ctx context.Context, in workflows.DestroyInput) error {
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	err := a.leave(ctx, in.Leg, in.Reason, func(v *catalog.Video) {
		v.Stage, v.WaitingFor = video.Purging, ""
		v.Unit, v.Done, v.Total = "replicas", 0, int64(len(a.Stores.All()))
		if v.HiddenAt.IsZero() {
			v.HiddenAt = in.HiddenAt
		}
	})
	if err != nil {
		return err
	}
	u, err := a.Catalog.UploadOf(ctx, in.ID) // by its token, too, the video is known as erased
	if err != nil && !forgotten(err) {
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

// PurgeReplica gives a store its copy of the ledger's record, then erases
// everything of the video there. The catalog keeps exact books of what was
// removed over any number of attempts.
func (a *Activities) PurgeReplica(ctx context.Context, in workflows.StoreInput) error {
	defer heart(ctx)()
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	store, err := a.Stores.ByName(in.Store)
	if err != nil {
		return err
	}
	leg := wayOut(in.Leg)
	replica := catalog.Replica{Video: in.ID, Store: in.Store, State: catalog.ReplicaPurging}
	err = a.Catalog.SetReplica(ctx, leg, replica)
	if err != nil && !forgotten(err) {
		return err
	}
	known := err == nil
	if err := a.erase(ctx, leg, store, known); err != nil {
		if known {
			return a.unreachable(ctx, leg, replica, err)
		}
		return err
	}
	if !known {
		return nil
	}
	replica.State = catalog.ReplicaEmpty
	if err := a.Catalog.SetReplica(ctx, leg, replica); err != nil {
		return err
	}
	return a.Catalog.Project(ctx, leg, func(v *catalog.Video) { v.Done = min(v.Done+1, v.Total) })
}

func (a *Activities) erase(ctx context.Context, leg catalog.Leg, store objects.Store, known bool) error {
	if err := a.copyLedger(ctx, leg.Video, store); err != nil {
		return err
	}
	_, err := store.Purge(ctx, leg.Video.Prefix(), objects.Watch{
		Found: func(found objects.Inventory) error {
			if !known {
				return nil
			}
			return a.Catalog.Observed(ctx, leg, store.Name(), counts(found))
		},
	})
	return err
}

// copyLedger makes sure that a store has its copy of the ledger's record: a store
// restored from a backup is purged again by it.
func (a *Activities) copyLedger(ctx context.Context, id video.ID, store objects.Store) error {
	if _, err := store.Stat(ctx, id.LedgerKey(), ""); err == nil || video.CodeOf(err) != video.NotFound {
		return err
	}
	record, found, err := a.Vault.Ledger(ctx, id.Hash())
	if err != nil {
		return err
	}
	if !found {
		return video.Errorf(video.Internal, "The ledger has no record of this erasure.")
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
// receipt; anything found fails with Conflict, and the stores are purged again.
func (a *Activities) CloseReceipt(ctx context.Context, in workflows.DestroyInput) (video.Receipt, error) {
	defer heart(ctx)()
	if err := a.checkInstallation(ctx); err != nil {
		return video.Receipt{}, err
	}
	leg := wayOut(in.Leg)
	_, err := a.Catalog.Video(ctx, in.ID)
	known := err == nil
	if err != nil && !forgotten(err) {
		return video.Receipt{}, err
	}
	for _, store := range a.Stores.All() {
		if err := a.verify(ctx, leg, store, known); err != nil {
			return video.Receipt{}, err
		}
	}
	if !known {
		receipt, _, err := a.Catalog.Receipt(ctx, in.ID.Hash())
		return receipt, err
	}
	receipt, err := a.receipt(ctx, in.ID)
	if err != nil {
		return video.Receipt{}, err
	}
	return receipt, a.Catalog.Forget(ctx, in.ID, receipt)
}

// verify lists one store. The answer is written down before it is judged.
func (a *Activities) verify(ctx context.Context, leg catalog.Leg, store objects.Store, known bool) error {
	if err := a.copyLedger(ctx, leg.Video, store); err != nil {
		return err
	}
	listed, err := store.Inventory(ctx, leg.Video.Prefix(), nil)
	if err != nil {
		return err
	}
	found := counts(listed)
	if known {
		if err := a.Catalog.FoundAfter(ctx, leg, store.Name(), found); err != nil {
			return err
		}
	}
	if !found.Empty() {
		return video.Errorf(video.Conflict, "The store %q still holds something of the video.", store.Name())
	}
	return nil
}

func (a *Activities) receipt(ctx context.Context, id video.ID) (video.Receipt, error) {
	record, found, err := a.Vault.Ledger(ctx, id.Hash())
	if err != nil {
		return video.Receipt{}, err
	}
	if !found || record.KeyDestroyedAt.IsZero() {
		return video.Receipt{}, video.Errorf(video.Internal, "The ledger has no complete record of this erasure.")
	}
	replicas, err := a.Catalog.Replicas(ctx, id)
	if err != nil {
		return video.Receipt{}, err
	}
	receipt := video.Receipt{
		VideoSHA256: record.VideoSHA256, Reason: video.Ending(record.Reason),
		HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt,
	}
	for _, store := range a.Stores.All() {
		for _, r := range replicas {
			if r.Store == store.Name() {
				receipt.Stores = append(receipt.Stores, video.StoreReceipt{Store: r.Store, Removed: r.Removed, FoundAfter: r.FoundAfter})
			}
		}
	}
	return receipt, nil
}

func counts(i objects.Inventory) video.Counts {
	return video.Counts{Objects: i.Objects, Versions: i.Versions, DeleteMarkers: i.DeleteMarkers, Multiparts: i.Multiparts}
}
