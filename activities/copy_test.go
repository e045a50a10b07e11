package activities

import (
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// replica is what readers are told of a store.
func (r *rig) replica(store string) catalog.Replica {
	r.t.Helper()
	all, err := r.Catalog.Replicas(r.ctx, r.id)
	r.must(err)
	for _, replica := range all {
		if replica.Store == store {
			return replica
		}
	}
	r.t.Fatalf("nothing is known of %s: %+v", store, all)
	return catalog.Replica{}
}

func down(objectstest.Op, string) error {
	return video.Errorf(video.Unavailable, "The store is down.").At("backup-b")
}

// The backups follow an upload; one that is down stays behind alone, and
// publication finds only the rest to do.
func TestCopyAheadOfPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	stored := r.inventory(r.Stores.Primary)
	works := r.Stores.Backups[1]
	r.Stores.Backups[1] = objectstest.Faulty(works, down)

	if err := r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}); video.CodeOf(err) != video.Unavailable {
		t.Errorf("with a store down: %v", err)
	}
	if found := r.inventory(r.Stores.Backups[0]); found != stored || stored.Objects < 2 {
		t.Errorf("the backup that is up holds %+v of %+v", found, stored)
	}
	if a, b := r.replica("backup-a"), r.replica("backup-b"); a.State != catalog.ReplicaBehind || a.Objects != stored.Objects || b.State != catalog.ReplicaUnreachable {
		t.Errorf("shown as %+v and %+v", a, b)
	}

	r.Stores.Backups[1] = works
	puts := 0
	r.Stores.Backups[0] = objectstest.Faulty(r.Stores.Backups[0], func(op objectstest.Op, _ string) error {
		if op == objectstest.Put {
			puts++
		}
		return nil
	})
	for epoch, store := range []string{"backup-a", "backup-b"} {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(int64(2 + epoch)), Store: store}))
		if found := r.inventory(r.Stores.Backups[epoch]); found != stored {
			t.Errorf("%s holds %+v of %+v", store, found, stored)
		}
	}
	if puts != 0 {
		t.Errorf("%d objects were copied again", puts)
	}
}

func TestCopyAheadRestsInAPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	_, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(2), State: video.State{Stage: video.Uploading, Paused: true}})
	r.must(err)
	if err := r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}); video.CodeOf(err) != video.Conflict {
		t.Errorf("while paused: %v", err)
	}
	if found := r.inventory(r.Stores.Backups[0]); found != (objects.Inventory{}) {
		t.Errorf("copied %+v in a pause", found)
	}
}

// Where a store keeps no versions, a copier that was frozen and wakes up late
// must not take away what a later leg copied under the same key.
func TestLateCopierLeavesTheCopyOfALaterLeg(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 8<<20) // one segment
	plain := objectstest.NewMemoryUnversioned("backup-a")
	overtaken := false
	r.Stores.Backups = []objects.Store{objectstest.Faulty(plain, func(op objectstest.Op, _ string) error {
		if op != objectstest.Put || overtaken {
			return nil
		}
		overtaken = true
		return r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(2), Store: "backup-a"})
	})}
	if err := r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}); video.CodeOf(err) != video.Conflict {
		t.Errorf("the late one ends with %v", err)
	}
	want := r.inventory(r.Stores.Primary)
	if found := r.inventory(plain); found.Objects != want.Objects || r.replica("backup-a").State != catalog.ReplicaComplete {
		t.Errorf("the backup holds %+v of %+v; shown as %+v", found, want, r.replica("backup-a"))
	}
}
