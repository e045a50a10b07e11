package activities

import (
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/workflows"
)

func (r *rig) captions(text string) {
	r.t.Helper()
	_, err := r.writer().PutCaption(r.ctx, r.id, "en", []byte("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n"+text+"\n"))
	r.must(err)
}

// Captions that are there are copied with the rest. Those that come, or are replaced, between
// the copies and the publication hold it up in no way: a gateway copies them.
func TestCaptionsHoldUpNoPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed()
	r.captions("first")
	for i, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(int64(5 + i)), Store: store}))
	}
	of := func() int { return len(r.stored(catalog.KindCaption)) }
	if of() != 3 {
		t.Errorf("%d captions in three stores", of())
	}
	old := r.primary(catalog.KindCaption)[0]
	r.captions("second")
	r.must(r.Stores.Primary.Delete(r.ctx, old.Key, old.Version)) // as the gateway does
	r.must(r.publish(7))
	if of() != 1 {
		t.Errorf("%d captions count, one was replaced in all stores", of())
	}
	for _, store := range r.backups() {
		if found := r.replica(store); found.State != catalog.ReplicaComplete {
			t.Errorf("%+v", found)
		}
	}
}

// Captions that are replaced while a leg copies them don't keep it from the rest.
func TestCaptionsReplacedInACopy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.captions("first")
	old, replaced := r.primary(catalog.KindCaption)[0], false
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Get && key == old.Key && !replaced {
			replaced = true
			r.captions("second")
			r.must(r.Stores.Primary.Delete(r.ctx, old.Key, old.Version))
		}
		return nil
	})
	r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: "backup-a"}))
	if !replaced || r.replica("backup-a").State != catalog.ReplicaComplete {
		t.Errorf("%+v", r.replica("backup-a"))
	}
}

// stored is what counts of a kind, in all stores.
func (r *rig) stored(kind string) []catalog.Object {
	r.t.Helper()
	all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{Kind: kind, Stored: true})
	r.must(err)
	return all
}
