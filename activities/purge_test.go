package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Why a store lets nothing be purged, and until when, goes into the history, and a lock is
// left to the workflow to wait for.
func TestFailuresOfPurgesTellWhy(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for reason, final := range map[string]bool{video.ReasonObjectLock: true, video.ReasonRefused: false, video.ReasonThrottled: false} {
		err := video.Errorf(video.Unavailable, "It keeps something.").At("backup-a").For(reason)
		err.RetryAt = until
		told, ok := errors.AsType[*temporal.ApplicationError](failure(err))
		var place, why string
		var at time.Time
		if !ok || told.Details(&place, &why, &at) != nil || place != "backup-a" || why != reason || !at.Equal(until) || told.NonRetryable() != final {
			t.Errorf("%s is told as %q %q %v, final: %v", reason, place, why, at, told.NonRetryable())
		}
	}
}

// A store that keeps something under a lock is not down: its row says until when it does,
// the other stores are purged, and once it is over the life ends.
func TestPurgeOfALockedReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(make([]byte, 3000), 1000)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	var locked atomic.Bool
	locked.Store(true)
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, _ string) error {
		if op != objectstest.Purge || !locked.Load() {
			return nil
		}
		err := video.Errorf(video.Unavailable, "Locked.").At("primary").For(video.ReasonObjectLock)
		err.RetryAt = until
		return err
	})
	r.must(r.DestroyKey(r.ctx, r.destroy(1, false)))
	purge := func(store string) error {
		return r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: store})
	}
	if err := purge("primary"); video.CodeOf(err) != video.Unavailable {
		t.Fatal(err)
	}
	if row := r.replica("primary"); row.State != catalog.ReplicaPurging || !row.LockedUntil.Equal(until) {
		t.Errorf("the row of a locked store: %+v", row)
	}
	r.must(purge("backup-a"))
	r.must(purge("backup-b"))
	if _, err := r.closeReceipt(r.ctx, r.destroy(1, false)); video.CodeOf(err) != video.Conflict {
		t.Errorf("closed all the same: %v", err)
	}
	locked.Store(false)
	r.must(purge("primary"))
	if row := r.replica("primary"); row.State != catalog.ReplicaEmpty || !row.LockedUntil.IsZero() {
		t.Errorf("the row of an empty store: %+v", row)
	}
	_, err := r.closeReceipt(r.ctx, r.destroy(1, false))
	r.must(err)
}

// manyObjects is how many objects of a video lie in all stores together.
func manyObjects() int {
	if os.Getenv("SOAK") != "" {
		return 100_000
	}
	return 5000
}

// fill puts n objects of the video into a store.
func (r *rig) fill(store objects.Store, n int) error {
	var group errgroup.Group
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			_, err := store.Put(r.ctx, fmt.Sprintf("%spiece/%d/%06d", r.id.Prefix(), i%8, i), []byte("x"), objects.PutOptions{})
			return err
		})
	}
	return group.Wait()
}

// withRealStores gives the rig three S3 stores, filled.
func (r *rig) withRealStores(stack *devstacktest.Stack, n int) {
	r.t.Helper()
	set, err := objects.OpenAll(stack.Stores[0].URL, []string{stack.Stores[1].URL, stack.Stores[2].URL})
	r.must(err)
	r.Stores = set
	var group errgroup.Group
	for i, store := range set.All() {
		group.Go(func() error { return r.fill(store, (n+i)/3) })
	}
	r.must(group.Wait())
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A video of many objects is purged from three stores side by side, one of which dies on the
// way and comes back. The receipt counts every object once, and what is held in memory
// doesn't grow with the number of objects.
func TestPurgeOfManyObjects(t *testing.T) {
	stack, r, n := devstacktest.Start(t, devstacktest.Stores), newRig(t), manyObjects()
	began := time.Now()
	r.withRealStores(stack, n)
	t.Logf("%d objects were put in %v", n, time.Since(began))
	before := map[string]objects.Inventory{}
	for _, store := range r.Stores.All() {
		before[store.Name()] = r.inventory(store)
	}
	r.must(r.DestroyKey(r.ctx, r.destroy(1, false)))

	began = time.Now()
	base, most := heap(), int64(0)
	var killed atomic.Bool
	set := r.Stores
	r.Stores.Backups = []objects.Store{watched{set.Backups[0], func(removed objects.Removed) {
		if removed.Versions > 0 && killed.CompareAndSwap(false, true) {
			stack.Kill(t, devstacktest.BackupA)
		}
	}}, set.Backups[1]}
	r.Stores.Primary = watched{set.Primary, func(objects.Removed) { most = max(most, heap()-base) }}
	purge := func(store string) error {
		return r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: store})
	}
	var group errgroup.Group
	for _, store := range []string{"primary", "backup-b"} {
		group.Go(func() error { return purge(store) })
	}
	if err := purge("backup-a"); video.CodeOf(err) != video.Unavailable {
		t.Errorf("of a store that died: %v", err)
	}
	if row := r.replica("backup-a"); row.State != catalog.ReplicaUnreachable {
		t.Errorf("its row: %+v", row)
	}
	r.must(group.Wait())
	stack.Restart(t, devstacktest.BackupA)
	r.must(purge("backup-a"))
	receipt, err := r.closeReceipt(r.ctx, r.destroy(1, false))
	r.must(err)
	t.Logf("%d objects were purged in %v, with %d KiB more in memory", n, time.Since(began), most>>10)
	for _, of := range receipt.Stores {
		if want := counts(before[of.Store]); of.Removed != want || !of.FoundAfter.Empty() {
			t.Errorf("%s: removed %+v of %+v", of.Store, of.Removed, want)
		}
	}
	if most > 16<<20 {
		t.Errorf("the purge of %d objects held %d bytes more in memory", n/3, most)
	}
}

// watched is a store whose purges are looked at on their way.
type watched struct {
	objects.Store
	removed func(objects.Removed)
}

func (w watched) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	told := watch.Removed
	watch.Removed = func(r objects.Removed) {
		if told != nil {
			told(r)
		}
		w.removed(r)
	}
	return w.Store.Purge(ctx, prefix, watch)
}

// What comes back of an erased video is recorded before it is erased again, and shown with
// its receipt. The store gets its copy of the ledger's record again, too.
func (r *auditRig) reappeared() {
	id := r.erased()
	record, _, err := r.Vault.Ledger(r.ctx, id.Hash())
	r.must(err)
	r.must(r.Catalog.Forget(r.ctx, id, video.Receipt{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt}))
	backup := r.Stores.Backups[0].(*objectstest.Memory)
	r.put(backup, id.Prefix()+"hls/0")
	r.put(backup, id.Prefix()+"hls/0")
	r.put(backup, id.Prefix()+"hls/1")
	r.Stores.Backups[0] = &diesWithAPurge{Store: backup}
	want := video.Reappearance{Store: "backup-a", Found: video.Counts{Objects: 2, Versions: 3}}
	r.reports(workflows.AuditReport{Unreachable: []string{"backup-a"}})
	r.tellsReappeared(id, want, false)
	r.put(backup, id.Prefix()+"hls/2")
	r.reports(workflows.AuditReport{Erased: 1})
	r.tellsReappeared(id, want, true)
	if r.holds(backup, id.Prefix()) || !r.holds(backup, id.LedgerKey()) {
		r.t.Error("the store holds what it shouldn't, or lacks the ledger's record")
	}
	r.put(r.primary, id.Prefix()+"hls/2")
	r.reports(workflows.AuditReport{Erased: 1})
	receipt, _, err := r.Catalog.Receipt(r.ctx, id.Hash())
	r.must(err)
	if len(receipt.Reappeared) != 2 || receipt.Reappeared[1].Store != "primary" {
		r.t.Errorf("the receipt tells of %+v", receipt.Reappeared)
	}
}

// diesWithAPurge is a store that goes down when its first purge has listed what there is.
type diesWithAPurge struct {
	objects.Store
	died bool
}

func (d *diesWithAPurge) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	if d.died {
		return d.Store.Purge(ctx, prefix, watch)
	}
	d.died = true
	found, err := d.Inventory(ctx, prefix, nil)
	if err == nil {
		err = watch.Found(found)
	}
	if err == nil {
		err = video.Errorf(video.Unavailable, "It is down.").At(d.Name())
	}
	return objects.Removed{}, err
}

func (r *auditRig) tellsReappeared(id video.ID, want video.Reappearance, erased bool) {
	r.t.Helper()
	receipt, _, err := r.Catalog.Receipt(r.ctx, id.Hash())
	r.must(err)
	if len(receipt.Reappeared) != 1 {
		r.t.Fatalf("the receipt tells of %+v", receipt.Reappeared)
	}
	got := receipt.Reappeared[0]
	if got.Store != want.Store || got.Found != want.Found || got.FoundAt.IsZero() || (got.ErasedAt != nil) != erased {
		r.t.Errorf("the receipt tells of %+v, want %+v, erased: %v", got, want, erased)
	}
}

// A worker that dies when it has erased what came back, and before it has said so, leaves a
// receipt that says it is there. The next walk through the store doesn't find it.
func (r *auditRig) reappearedUntold() {
	id := r.erased()
	record, _, err := r.Vault.Ledger(r.ctx, id.Hash())
	r.must(err)
	r.must(r.Catalog.Forget(r.ctx, id, video.Receipt{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt}))
	found := video.Counts{Objects: 1, Versions: 1}
	r.must(r.Catalog.Reappeared(r.ctx, id.Hash(), "backup-a", found)) // and all of it was removed
	r.reports(workflows.AuditReport{})
	r.tellsReappeared(id, video.Reappearance{Store: "backup-a", Found: found}, true)
}

// What came back under a lock doesn't keep the audit from the rest of the store.
func (r *auditRig) reappearedLocked() {
	first, second := r.erased(), r.erased()
	if second < first {
		first, second = second, first
	}
	r.put(r.primary, first.Prefix()+"a")
	r.put(r.primary, second.Prefix()+"a")
	r.Stores.Primary = objectstest.Faulty(r.primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Purge && strings.HasPrefix(key, first.Prefix()) {
			return video.Errorf(video.Unavailable, "Locked.").At("primary").For(video.ReasonObjectLock)
		}
		return nil
	})
	r.reports(workflows.AuditReport{Erased: 1, Failed: 1})
	if !r.holds(r.primary, first.Prefix()) || r.holds(r.primary, second.Prefix()) {
		r.t.Error("the audit has stopped at a lock")
	}
}
