package activities

import (
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/facts"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// published takes a clip to its publication, in legs up to 6.
func (r *rig) published() {
	r.t.Helper()
	r.processed()
	for _, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(5), Store: store}))
	}
	r.must(r.publish(6))
}

// factsIn are the keys of the facts that lie in a store.
func (r *rig) factsIn(store objects.Store) (keys []string) {
	r.t.Helper()
	_, err := store.Inventory(r.ctx, r.id.Prefix()+"facts/", func(e objects.Entry) error {
		if e.Kind == objects.Object {
			keys = append(keys, e.Key)
		}
		return nil
	})
	r.must(err)
	return keys
}

// sameFacts checks that every store has one object with facts, the same, and returns its key.
func (r *rig) sameFacts() string {
	r.t.Helper()
	want := r.factsIn(r.Stores.Primary)
	for _, store := range r.Stores.All() {
		if have := r.factsIn(store); len(have) != 1 || !reflect.DeepEqual(have, want) {
			r.t.Fatalf("%s has the facts %v, the primary %v", store.Name(), have, want)
		}
	}
	return want[0]
}

// rebuilt loses the catalog and returns what is made of the video in an empty one.
func (r *rig) rebuilt(run facts.Run) (*catalog.Catalog, facts.Result) {
	r.t.Helper()
	rows, made := catalogtest.New(r.t), facts.Result{}
	rebuilder := facts.Rebuilder{
		Catalog: rows, Vault: r.Vault, Stores: r.Stores, Tell: func(result facts.Result) { made = result },
		Runs: func(context.Context, video.ID) (facts.Run, error) { return run, nil },
	}
	r.must(rebuilder.Run(r.ctx))
	return rows, made
}

// A published video comes back from the stores alone as it was, and its replicas count the
// facts. Hidden, it comes back hidden; erased, nothing of it is left, the facts included.
func TestFactsOfALife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published()
	before := r.sameFacts()
	for _, store := range r.Stores.All() {
		if row, found := r.replica(store.Name()), r.inventory(store); row.Objects != found.Objects || row.Bytes != found.Bytes {
			t.Errorf("the row of %s says %d objects and %d bytes, and %+v are there", store.Name(), row.Objects, row.Bytes, found)
		}
	}
	rows, made := r.rebuilt(facts.Run{})
	if made.Outcome != facts.Made || made.Notes != nil {
		t.Fatalf("%+v", made)
	}
	want, err := r.Catalog.Video(r.ctx, r.id)
	r.must(err)
	got, err := rows.Video(r.ctx, r.id)
	r.must(err)
	if got.Revision = want.Revision; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, store := range r.Stores.All() { // what playlists and segments are made of
		want, err := r.Catalog.Packaged(r.ctx, r.id, store.Name())
		r.must(err)
		if got, err := rows.Packaged(r.ctx, r.id, store.Name()); err != nil || !reflect.DeepEqual(got, want) || len(got) == 0 {
			t.Errorf("%s: got %+v, %v; want %+v", store.Name(), got, err, want)
		}
	}

	_, err = r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(7), HiddenAt: time.Now(), Grace: time.Hour})
	r.must(err)
	if hidden := r.sameFacts(); hidden <= before {
		t.Errorf("hidden, the facts are %s, and before %s", hidden, before)
	}
	rows, _ = r.rebuilt(facts.Run{})
	if v, err := rows.Video(r.ctx, r.id); err != nil || v.Stage != video.PendingDeletion || v.Ending != video.ByDeletion || v.PurgeAt.IsZero() {
		t.Errorf("hidden, it comes back as %+v, %v", v, err)
	}
	r.must(r.DestroyKey(r.ctx, r.destroy(7, false)))
	_, made = r.rebuilt(facts.Run{})
	if made.Outcome != facts.Erased {
		t.Errorf("erased: %+v", made)
	}
	removed := map[string]objects.Inventory{}
	for _, store := range r.Stores.All() {
		removed[store.Name()] = r.inventory(store)
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(7), Store: store.Name()}))
		if left := r.inventory(store); !left.Empty() {
			t.Errorf("%s keeps %+v", store.Name(), left)
		}
	}
	receipt, err := r.closeReceipt(r.ctx, r.destroy(7, false))
	r.must(err)
	for _, of := range receipt.Stores {
		if of.Removed.Versions != removed[of.Store].Versions {
			t.Errorf("the receipt counts %+v of %s, and there were %+v", of.Removed, of.Store, removed[of.Store])
		}
	}
}

// Nothing becomes visible before its facts lie in every store; a store that was down gets
// them with the next attempt.
func TestPublicationWaitsForFacts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var down atomic.Bool
	r.Stores.Backups[1] = objectstest.Faulty(r.Stores.Backups[1], func(op objectstest.Op, key string) error {
		if op == objectstest.Put && down.Load() {
			return video.Errorf(video.Unavailable, "down").At("backup-b")
		}
		return nil
	})
	r.processed()
	for _, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(5), Store: store}))
	}
	down.Store(true)
	if err := r.publish(6); video.CodeOf(err) != video.Unavailable {
		t.Fatalf("published with %v", err)
	}
	if v, err := r.Catalog.Video(r.ctx, r.id); err != nil || v.Stage == video.Published {
		t.Errorf("it is %s, %v", v.Stage, err)
	}
	down.Store(false)
	r.must(r.publish(6))
	r.sameFacts()
}

// Who deletes waits for no store. What one lacks then counts no more where it is older, and
// the audit's way of writing facts brings the present ones; a legal hold is in them.
func TestFactsAfterAStoreWasDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var down atomic.Bool
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Put && down.Load() && strings.Contains(key, "/facts/") {
			return video.Errorf(video.Unavailable, "down").At("primary")
		}
		return nil
	})
	r.published()
	lacking := func() int {
		t.Helper()
		ids, err := r.Catalog.WithoutFacts(r.ctx, []video.ID{r.id}, len(r.Stores.All()))
		r.must(err)
		return len(ids)
	}
	if lacking() != 0 {
		t.Error("a published video lacks facts")
	}
	hold := workflows.ControlInput{Leg: r.leg(7), Fences: true, HoldSaid: true, State: video.State{Stage: video.Published, Held: true}}
	_, err := r.Control(r.ctx, hold)
	r.must(err)
	r.sameFacts()
	rows, _ := r.rebuilt(facts.Run{})
	if row, err := rows.ControlOf(r.ctx, r.id); err != nil || !row.Held {
		t.Errorf("the hold is lost: %+v, %v", row, err)
	}

	down.Store(true)
	_, err = r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(8), HiddenAt: time.Now(), Grace: time.Hour})
	r.must(err)
	if lacking() != 1 {
		t.Error("facts of before the deletion still count")
	}
	down.Store(false)
	audit := &audit{Activities: r.Activities}
	r.must(audit.renewFacts(r.ctx, []catalog.Audited{{ID: r.id, Epoch: 8, Ending: video.ByDeletion}}))
	if audit.Report.Facts != 1 || lacking() != 0 {
		t.Errorf("the audit has written %d, and %d lack facts", audit.Report.Facts, lacking())
	}
	r.sameFacts()
	rows, _ = r.rebuilt(facts.Run{})
	if v, err := rows.Video(r.ctx, r.id); err != nil || v.Stage != video.PendingDeletion {
		t.Errorf("it comes back as %+v, %v", v, err)
	}
}

// Where not even the facts that there are can be read, those of before a change count no more.
func TestFactsThatCanNotBeReadCountNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var down atomic.Bool
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Get && down.Load() {
			return video.Errorf(video.Unavailable, "down").At("primary")
		}
		return nil
	})
	r.published()
	down.Store(true)
	_, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(8), HiddenAt: time.Now(), Grace: time.Hour})
	r.must(err)
	if left := r.stored(catalog.KindFacts); len(left) != 0 {
		t.Errorf("facts of before the deletion count: %+v", left)
	}
}

// A store that was added since a life began is purged with it: facts were written there.
func TestAStoreThatWasAddedIsPurged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published()
	life := r.destroy(7, false)
	life.Stores = append([]string{r.Stores.Primary.Name()}, r.backups()...)
	r.Stores.Backups = append(r.Stores.Backups, objectstest.NewMemory("backup-c"))
	r.must(r.keepFactsOfRow(r.ctx, catalog.Leg{Video: r.id, Epoch: 6}))
	added := r.Stores.Backups[2]
	if r.inventory(added).Empty() {
		t.Fatal("the audit writes no facts there")
	}
	_, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(7), HiddenAt: time.Now()})
	r.must(err)
	r.must(r.DestroyKey(r.ctx, life))
	for _, store := range life.Stores {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(7), Store: store}))
	}
	receipt, err := r.closeReceipt(r.ctx, life)
	r.must(err)
	if left := r.inventory(added); !left.Empty() || len(receipt.Stores) != 4 || receipt.Stores[3].Removed.Objects == 0 {
		t.Errorf("it keeps %+v, and the receipt says %+v", left, receipt.Stores)
	}
}

// An attempt at hiding that was thought dead puts nothing once the key is destroyed.
func TestLateFactsAreTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.published()
	var late atomic.Bool
	primary := r.Stores.Primary
	r.Stores.Primary = objectstest.Faulty(primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Put && strings.Contains(key, "/facts/") && late.CompareAndSwap(true, false) {
			return r.DestroyKey(r.ctx, r.destroy(7, false)) // while the attempt is on its way to the store
		}
		return nil
	})
	late.Store(true)
	_, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(7), HiddenAt: time.Now(), Grace: time.Hour})
	r.must(err)
	for _, store := range r.Stores.All() {
		if have := r.factsIn(store); len(have) > 1 {
			t.Errorf("%s has %v", store.Name(), have)
		}
	}
	if late.Load() {
		t.Error("no facts were put")
	}
}

// Facts tell of the captions, which authors change at any time: those of before a change count
// no more, also when it comes while facts are being put.
func TestFactsTellOfCaptions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	meanwhile := ""
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, key string) error {
		if text := meanwhile; op == objectstest.Put && strings.Contains(key, "/facts/") && text != "" {
			meanwhile = ""
			r.captions(text)
		}
		return nil
	})
	inRebuilt := func() []catalog.Object {
		t.Helper()
		rows, _ := r.rebuilt(facts.Run{})
		found, err := rows.CaptionsOf(r.ctx, []video.ID{r.id})
		r.must(err)
		return found[r.id]
	}
	lacking := func() []video.ID {
		t.Helper()
		ids, err := r.Catalog.WithoutFacts(r.ctx, []video.ID{r.id}, len(r.Stores.All()))
		r.must(err)
		return ids
	}
	r.processed()
	for _, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(5), Store: store}))
	}
	meanwhile = "first"
	if err := r.publish(6); video.CodeOf(err) != video.Unavailable {
		t.Errorf("published with facts that lack captions: %v", err)
	}
	r.must(r.publish(6))
	if got := inRebuilt(); len(got) != 1 || got[0].Key != r.primary(catalog.KindCaption)[0].Key {
		t.Errorf("published, %+v", got)
	}
	r.captions("second")
	if len(lacking()) != 1 {
		t.Error("facts of before the captions were replaced still count")
	}
	audit := &audit{Activities: r.Activities}
	r.must(audit.renewFacts(r.ctx, []catalog.Audited{{ID: r.id, Epoch: 6}}))
	if got := inRebuilt(); len(lacking()) != 0 || len(got) != 1 || got[0].Key != r.primary(catalog.KindCaption)[0].Key {
		t.Errorf("after the audit, %+v", got)
	}
}
