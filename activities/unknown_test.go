package activities

import (
	"reflect"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// wrongCatalog is an empty one, as a worker with a mistake in its settings has it.
func (r *rig) wrongCatalog() *catalog.Catalog {
	r.t.Helper()
	return catalogtest.New(r.t)
}

func (r *rig) destroy(epoch int64, asked bool) workflows.DestroyInput {
	return workflows.DestroyInput{Leg: r.leg(epoch), Reason: video.ByDeletion, HiddenAt: time.Now(), Asked: asked}
}

// intact checks that the key is lent and that the stores hold as much as before.
func (r *rig) intact(what string, before []objects.Inventory) {
	r.t.Helper()
	for i, store := range r.Stores.All() {
		if now := r.inventory(store); now != before[i] {
			r.t.Errorf("%s: %s holds %+v, before %+v", what, store.Name(), now, before[i])
		}
	}
	if _, found, err := r.Vault.Ledger(r.ctx, r.id.Hash()); found || err != nil {
		r.t.Errorf("%s: there is a record of an erasure, or %v", what, err)
	}
	loan, err := r.Vault.Lend(r.ctx, r.id)
	r.must(err)
	loan.Release()
}

func (r *rig) inventories() (all []objects.Inventory) {
	for _, store := range r.Stores.All() {
		all = append(all, r.inventory(store))
	}
	return all
}

// A catalog that knows nothing of a video, and whose ledger knows nothing either, is
// no reason to end it: nothing is destroyed, removed or taken back, and with the right
// one the life goes on.
func TestAnUnknownVideoIsNotEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}))
	right, before := r.Catalog, r.inventories()
	r.Catalog = r.wrongCatalog()

	store := workflows.StoreInput{Leg: r.leg(2), Store: "backup-a"}
	for name, c := range map[string]struct {
		code video.Code
		run  func() error
	}{
		"CheckUpload":  {video.NotFound, func() error { _, err := r.CheckUpload(r.ctx, workflows.CheckInput{Leg: r.leg(2)}); return err }},
		"Import":       {video.NotFound, func() error { _, err := r.Import(r.ctx, r.leg(2)); return err }},
		"CopyAhead":    {video.NotFound, func() error { return r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(2), Whole: true}) }},
		"SealUpload":   {video.NotFound, func() error { _, err := r.SealUpload(r.ctx, r.leg(2)); return err }},
		"MergeUpload":  {video.NotFound, func() error { return r.MergeUpload(r.ctx, r.leg(2)) }},
		"Probe":        {video.NotFound, func() error { _, err := r.Probe(r.ctx, r.leg(2)); return err }},
		"EncodePiece":  {video.NotFound, func() error { _, err := r.EncodePiece(r.ctx, workflows.PieceInput{Leg: r.leg(2)}); return err }},
		"EncodeAudio":  {video.NotFound, func() error { _, err := r.EncodeAudio(r.ctx, r.leg(2)); return err }},
		"Package":      {video.NotFound, func() error { _, err := r.Package(r.ctx, r.leg(2)); return err }},
		"CopyReplica":  {video.NotFound, func() error { return r.CopyReplica(r.ctx, store) }},
		"Publish":      {video.NotFound, func() error { return r.publish(2) }},
		"Hide":         {video.NotFound, func() error { _, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(2)}); return err }},
		"DestroyKey":   {video.NotFound, func() error { return r.DestroyKey(r.ctx, r.destroy(2, false)) }},
		"PurgeReplica": {video.Internal, func() error { return r.PurgeReplica(r.ctx, store) }},
		"CloseReceipt": {video.Internal, func() error { _, err := r.closeReceipt(r.ctx, r.destroy(2, true)); return err }},
	} {
		if err := c.run(); !is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
		r.intact(name, before)
	}
	want := workflows.ControlRow{Epoch: 3, Unknown: true}
	if row, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(3), State: video.State{Stage: video.Processing}}); err != nil || row != want {
		t.Errorf("the control row: %+v, %v; want %+v", row, err, want)
	}
	if row, err := r.ReadControl(r.ctx, r.leg(3)); err != nil || row != want {
		t.Errorf("the control row, read: %+v, %v; want %+v", row, err, want)
	}

	r.Catalog = right
	if _, err := r.SealUpload(r.ctx, r.leg(3)); err != nil {
		t.Errorf("with the right catalog: %v", err)
	}
}

// A key that the vault lacks is no sign that there is no such video: the work is tried
// again, as with whatever else is lost, and goes on with the right vault.
func TestALostKeyEndsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	right := r.Vault
	r.Vault = vaulttest.New(t)
	if _, err := r.Probe(r.ctx, r.leg(2)); !is(err, video.Internal) {
		t.Errorf("probed with %v", err)
	}
	sound := catalog.Object{Key: r.id.Prefix() + "audio/whole.mp4", Kind: catalog.KindAudio}
	if err := r.writer().PutSealed(r.ctx, fence(r.leg(2)), sound, []byte("sound")); !is(err, video.Internal) {
		t.Errorf("sealed with %v", err)
	}
	r.Vault = right
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
}

// A writer whose commit finds no row leaves what it wrote: the row may be there.
func TestAWriterLeavesWhatAnUnknownCatalogDoesNotKnow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	_, err := r.Probe(r.ctx, r.leg(1))
	r.must(err)
	before := r.inventory(r.Stores.Primary)
	wrong := r.wrongCatalog()
	var writer *manifest.Writer
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, _ string) error {
		if op == objectstest.Put { // the database fails over to one that is behind
			writer.Catalog = wrong
		}
		return nil
	})
	writer = r.writer()
	sound := catalog.Object{Key: r.id.Prefix() + "audio/whole.mp4", Kind: catalog.KindAudio}
	if err := writer.PutSealed(r.ctx, catalog.Leg{Video: r.id, Epoch: 1}, sound, []byte("sound")); !is(err, video.NotFound) {
		t.Errorf("the commit ends with %v", err)
	}
	if after := r.inventory(r.Stores.Primary); after.Objects != before.Objects+1 {
		t.Errorf("the store holds %+v, before %+v", after, before)
	}
}

// What a person asked for needs no catalog; the receipt says what can be known.
func TestAPersonsDeleteNeedsNoCatalog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}))
	r.Catalog = r.wrongCatalog()
	now := time.Now()
	hidden, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(2), HiddenAt: now, Grace: time.Hour, Asked: true})
	if err != nil || !hidden.HiddenAt.Equal(now) || !hidden.PurgeAt.Equal(now.Add(time.Hour)) {
		t.Errorf("hidden: %+v, %v", hidden, err)
	}
	r.must(r.DestroyKey(r.ctx, r.destroy(3, true)))
	if err := r.DestroyKey(r.ctx, r.destroy(3, false)); err != nil { // it is on record
		t.Errorf("again: %v", err)
	}
	for _, store := range r.Stores.All() {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(3), Store: store.Name()}))
	}
	for range 2 {
		receipt, err := r.closeReceipt(r.ctx, r.destroy(3, true))
		if err != nil || receipt.VideoSHA256 != r.id.Hash() || receipt.KeyDestroyedAt.IsZero() || len(receipt.Stores) != 3 {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		for _, of := range receipt.Stores {
			if of.Removed != (video.Counts{}) || !of.FoundAfter.Empty() {
				t.Errorf("of what no row counted the receipt says %+v", of)
			}
		}
	}
}

// The row went with a restore while the ledger has the erasure: the receipt is closed
// all the same, once nothing is found.
func TestReceiptOfAnErasureWhoseRowIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.must(r.DestroyKey(r.ctx, r.destroy(1, false)))
	r.Catalog = r.wrongCatalog()
	row, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(2)})
	r.must(err)
	read, err := r.ReadControl(r.ctx, r.leg(2))
	if err != nil || !row.Erased || row.Ending != video.ByDeletion || read != row {
		t.Errorf("what only the vault's ledger knows: %+v, read %+v, %v", row, read, err)
	}
	if _, err := r.closeReceipt(r.ctx, r.destroy(1, false)); !is(err, video.Conflict) || video.PlaceOf(err) != "primary" {
		t.Errorf("while something is there: %v of %q", err, video.PlaceOf(err))
	}
	for _, store := range r.Stores.All() {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: store.Name()}))
	}
	if _, err := r.closeReceipt(r.ctx, r.destroy(1, false)); err != nil {
		t.Errorf("the receipt: %v", err)
	}
}

// Before the key is destroyed no purge begins, whatever the catalog says.
func TestNothingIsPurgedBeforeTheKeyIsDestroyed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	before := r.inventories()
	_, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(1), HiddenAt: time.Now()})
	r.must(err)
	if err := r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: "primary"}); !is(err, video.Internal) {
		t.Errorf("the purge: %v", err)
	}
	if _, err := r.closeReceipt(r.ctx, r.destroy(1, true)); !is(err, video.Internal) {
		t.Errorf("the receipt: %v", err)
	}
	r.intact("before the key is destroyed", before)
}

// A run that is behind its row learns where the life stands.
func TestControlSaysHowMuchFurtherTheRowIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed()
	held := video.State{Stage: video.Reviewing, Paused: true, Held: true}
	_, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(9), State: held, HoldSaid: true, Refused: 3})
	r.must(err)
	row, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(2), State: video.State{Stage: video.Uploading}})
	r.must(err)
	if f := row.Further; row.Epoch != 9 || f == nil || f.Epoch != 9 || f.Stage != held.Stage || !f.Paused || !f.Held || f.Refused != 3 || !f.Uploaded || f.Plan.Pieces != 1 || !f.Plan.Audio {
		t.Errorf("%+v, further %+v", row, row.Further)
	}
	read, err := r.ReadControl(r.ctx, r.leg(2))
	if err != nil || !reflect.DeepEqual(read, row) {
		t.Errorf("read: %+v, %v; want %+v", read, err, row)
	}
	before, err := r.Catalog.Video(r.ctx, r.id)
	r.must(err)
	if read, err = r.ReadControl(r.ctx, r.leg(10)); err != nil || read.Further != nil || read.Epoch != 9 {
		t.Errorf("read by a run that is further itself: %+v, %v", read, err)
	}
	if after, err := r.Catalog.Video(r.ctx, r.id); err != nil || after.Revision != before.Revision {
		t.Errorf("reading has changed the row: %+v, %v", after, err)
	}
	if row, err = r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(9), State: held, HoldSaid: true, Refused: 3}); err != nil || row.Further != nil {
		t.Errorf("at the same epoch: %+v, %v", row, err)
	}
}

// Nor is it published when its cancel is taken back, if it was a draft before.
func TestRowsKnowThatACanceledVideoWasADraft(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	canceled := workflows.ControlInput{Leg: r.leg(9), State: video.State{Stage: video.Canceled, Ending: video.ByCancellation}, WasDraft: true, DecidedBy: "somebody"}
	_, err := r.Control(r.ctx, canceled)
	r.must(err)
	behind, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(2), State: video.State{Stage: video.Draft}})
	r.must(err)
	a := &audit{Activities: r.Activities}
	begun, _, err := a.inputOf(r.ctx, missing{ID: r.id})
	r.must(err)
	for what, c := range map[string]*video.Carried{"a run that is behind": behind.Further, "one that is begun again": begun.Carried} {
		if c == nil || c.Stage != video.Canceled || !c.WasDraft || c.DecidedBy != "somebody" {
			t.Errorf("%s goes on with %+v", what, c)
		}
	}
	canceled.Leg, canceled.State, canceled.WasDraft = r.leg(10), video.State{Stage: video.Draft}, false
	_, err = r.Control(r.ctx, canceled)
	r.must(err)
	if v, err := r.Catalog.Video(r.ctx, r.id); err != nil || v.WasDraft {
		t.Errorf("restored: %+v, %v", v, err)
	}
}

// What the workflow says of a life is what readers see; what it doesn't speak of stays.
func TestControlProjects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	r.must(r.Catalog.Enter(r.ctx, fence(r.leg(1)), func(v *catalog.Video) { v.PublishAt = at }))
	why := &video.Rejection{Code: "reviewer", Message: "Too loud."}
	for _, step := range []struct {
		in    workflows.ControlInput
		check func(v catalog.Video) bool
	}{
		{workflows.ControlInput{State: video.State{Stage: video.Uploading, Paused: true}}, func(v catalog.Video) bool { return v.PublishAt.Equal(at) }},
		{workflows.ControlInput{State: video.State{Stage: video.Processing}, Trouble: true, Stray: true}, func(v catalog.Video) bool { return v.PublishAt.Equal(at) && v.Trouble && v.Stray }},
		{workflows.ControlInput{State: video.State{Stage: video.Rejected}, Rejection: why}, func(v catalog.Video) bool {
			return v.PublishAt.Equal(at) && !v.Trouble && !v.Stray && v.Failure != nil && *v.Failure == *why
		}},
		{workflows.ControlInput{State: video.State{Stage: video.Scheduled}, PublishAt: at.Add(time.Hour)}, func(v catalog.Video) bool { return v.PublishAt.Equal(at.Add(time.Hour)) && v.Failure == nil }},
		{workflows.ControlInput{State: video.State{Stage: video.Publishing}}, func(v catalog.Video) bool { return v.PublishAt.IsZero() }},
	} {
		step.in.Leg = r.leg(2)
		_, err := r.Control(r.ctx, step.in)
		r.must(err)
		if v, err := r.Catalog.Video(r.ctx, r.id); err != nil || !step.check(v) {
			t.Errorf("after %+v: %+v, %v", step.in, v, err)
		}
	}
}
