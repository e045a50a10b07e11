package facts_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/facts"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
)

// bench is an installation with real rows and a real vault, one of whose stores keeps
// no versions.
type bench struct {
	t      *testing.T
	rows   *catalog.Catalog
	vault  vault.Vault
	stores objects.Set
	runs   map[video.ID]facts.Run
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, rows: catalogtest.New(t), vault: vaulttest.New(t), runs: map[video.ID]facts.Run{}, stores: objects.Set{
		Primary: objectstest.NewMemory("primary"),
		Backups: []objects.Store{objectstest.NewMemory("backup-a"), objectstest.NewMemoryUnversioned("backup-b")},
	}}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// published makes a published video with two segments and its facts, in every store. Its run
// goes on.
func (b *bench) published() video.ID {
	b.t.Helper()
	ctx, id, token := b.t.Context(), video.NewID(), make([]byte, 32)
	rand.Read(token)
	b.must(b.vault.Make(ctx, id))
	delay := 3 * time.Second
	b.must(b.rows.CreateVideo(ctx, catalog.Video{
		ID: id, Owner: "0f", Sealed: []byte("words"), Visibility: "unlisted", AllowDownload: true, Review: true, PublishDelay: &delay,
		Stage: video.Published, Decisions: []video.Command{video.Approve}, DecidedBy: "0e", Media: []byte(`{"a": 1}`), Renditions: []byte(`[ ]`),
		Warnings: []string{"w"}, Held: true, PublishedAt: time.Now(),
	}, catalog.Upload{Video: id, TokenHash: token, Length: 0, Sealed: []byte("name"), Idle: time.Hour}))
	b.must(b.rows.FinishUpload(ctx, id, make([]byte, 96))) // a sealed hash is as long
	leg := catalog.Leg{Video: id, Epoch: 7}
	b.must(b.rows.Enter(ctx, leg, nil))
	for n := range 2 {
		key, body := manifest.NewKey(id, fmt.Sprint("hls/480p/", n), ".ts"), []byte(strings.Repeat("x", n+1))
		b.put(leg, catalog.Object{Key: key, Kind: catalog.KindSegment, Rendition: "480p", Index: n, IV: []byte("iv"), Duration: 3.96}, body)
	}
	b.factsOf(leg, b.stores.All()...)
	b.runs[id] = facts.Run{Known: true, Open: true, Stage: video.Published}
	return id
}

// put puts an object into stores and manifest: into all, unless some are named.
func (b *bench) put(leg catalog.Leg, o catalog.Object, body []byte, stores ...objects.Store) {
	b.t.Helper()
	if len(stores) == 0 {
		stores = b.stores.All()
	}
	for _, store := range stores {
		o.Store = store.Name()
		rows, err := b.rows.Intend(b.t.Context(), leg, []catalog.Object{o})
		b.must(err)
		row, sum := rows[0], sha256.Sum256(body)
		row.Version, err = store.Put(b.t.Context(), o.Key, body, objects.PutOptions{})
		b.must(err)
		row.Size, row.SHA256 = int64(len(body)), sum[:]
		b.must(b.rows.Commit(b.t.Context(), leg, row))
	}
}

// factsOf puts the present facts into some stores, and returns their key.
func (b *bench) factsOf(leg catalog.Leg, stores ...objects.Store) string {
	b.t.Helper()
	ctx := b.t.Context()
	v, err := b.rows.Video(ctx, leg.Video)
	b.must(err)
	u, err := b.rows.UploadOf(ctx, leg.Video)
	b.must(err)
	stored, err := b.rows.Objects(ctx, leg.Video, catalog.Filter{Store: "primary", Stored: true})
	b.must(err)
	f := facts.Of(v, leg.Epoch, u, stored)
	f.Generation = v.Revision
	plain, err := f.Encode()
	b.must(err)
	key := manifest.NewKey(leg.Video, facts.Path(f.Generation), "")
	b.put(leg, catalog.Object{Key: key, Kind: catalog.KindFacts, Index: int(f.Generation), PlainSize: int64(len(plain))}, b.seal(leg.Video, key, plain), stores...)
	return key
}

func (b *bench) seal(id video.ID, key string, plain []byte) []byte {
	b.t.Helper()
	loan, err := b.vault.Lend(b.t.Context(), id)
	b.must(err)
	defer loan.Release()
	sealed, err := loan.Key().Seal(key, nil, plain)
	b.must(err)
	return sealed
}

// lost is the bench with an empty catalog.
func (b *bench) lost() *bench {
	other := *b
	other.rows = catalogtest.New(b.t)
	return &other
}

// rebuild returns what became of each video.
func (b *bench) rebuild(dryRun bool) map[video.ID]facts.Result {
	b.t.Helper()
	results := map[video.ID]facts.Result{}
	r := facts.Rebuilder{
		Catalog: b.rows, Vault: b.vault, Stores: b.stores, DryRun: dryRun,
		Runs: func(_ context.Context, id video.ID) (facts.Run, error) { return b.runs[id], nil },
		Tell: func(r facts.Result) { results[r.ID] = r },
	}
	b.must(r.Run(b.t.Context()))
	return results
}

// all is what a catalog knows of a video, but for what is given anew.
func (b *bench) all(id video.ID) (rows catalog.Rebuilt) {
	b.t.Helper()
	ctx := b.t.Context()
	var err error
	rows.Video, err = b.rows.Video(ctx, id)
	b.must(err)
	rows.Video.Revision = 0
	rows.Upload, err = b.rows.UploadOf(ctx, id)
	b.must(err)
	rows.Upload.Announced = true
	control, err := b.rows.ControlOf(ctx, id)
	b.must(err)
	rows.Epoch = control.Epoch
	rows.Objects, err = b.rows.Objects(ctx, id, catalog.Filter{})
	b.must(err)
	for i := range rows.Objects {
		o := &rows.Objects[i]
		o.ID = 0
		if o.Kind == catalog.KindFacts || o.Store != "primary" {
			o.CreatedAt = time.Time{} // of a copy: as of its original
		}
	}
	slices.SortStableFunc(rows.Objects, func(x, y catalog.Object) int { return strings.Compare(x.Store+x.Key, y.Store+y.Key) })
	return rows
}

func (b *bench) wantOutcome(results map[video.ID]facts.Result, id video.ID, want facts.Outcome, note string) {
	b.t.Helper()
	got := results[id]
	if got.Outcome != want || !strings.Contains(strings.Join(got.Notes, "\n"), note) || note == "" && got.Notes != nil {
		b.t.Errorf("got %+v, want %s and %q", got, want, note)
	}
}

// What a lost catalog knew of a video is there again, in full, and running it twice changes
// nothing; a dry run makes nothing.
func TestRowsComeBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ids := []video.ID{b.published(), b.published(), b.published()}
	lost := b.lost()
	dry := lost.rebuild(true)
	for _, id := range ids {
		lost.wantOutcome(dry, id, facts.Made, "")
		if _, err := lost.rows.Video(t.Context(), id); video.CodeOf(err) != video.NotFound {
			t.Fatalf("a dry run has made it: %v", err)
		}
	}
	made := lost.rebuild(false)
	for _, id := range ids {
		lost.wantOutcome(made, id, facts.Made, "")
		if got, want := lost.all(id), b.all(id); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		replicas, err := lost.rows.Replicas(t.Context(), id)
		b.must(err)
		for _, r := range replicas {
			if r.State != catalog.ReplicaComplete || r.Objects != 3 || r.VerifiedAt.IsZero() {
				t.Errorf("%+v", r)
			}
		}
		if len(replicas) != 3 {
			t.Errorf("%d replicas", len(replicas))
		}
	}
	again := lost.rebuild(false)
	for _, id := range ids {
		lost.wantOutcome(again, id, facts.There, "")
	}
}

// What was erased, or begun to be, is never made again.
func TestErasedStaysErased(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	begun, restored := b.published(), b.published()
	_, err := b.vault.Destroy(t.Context(), vault.Intent{ID: begun, Reason: "deleted"})
	b.must(err)
	// Of this one a store knows that it was erased, and the vault is from before that.
	_, err = b.stores.Backups[1].Put(t.Context(), restored.LedgerKey(), []byte("{}"), objects.PutOptions{})
	b.must(err)
	lost := b.lost()
	b.must(lost.rows.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: begun.Hash(), Reason: video.ByDeletion}))
	results := lost.rebuild(false)
	b.wantOutcome(results, begun, facts.Erased, "")
	b.wantOutcome(results, restored, facts.Failed, "the vault is older")
	for _, id := range []video.ID{begun, restored} {
		if _, err := lost.rows.Video(t.Context(), id); err == nil {
			t.Errorf("%s is there", id)
		}
	}
	onlyVault := b.lost() // the catalog's ledger is lost, too
	b.wantOutcome(onlyVault.rebuild(false), begun, facts.Erased, "")
}

// Facts of an older state don't beat newer ones in another store, and what is damaged or
// not ours is reported and does no harm.
func TestWhichFactsCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	spoil := func(store objects.Store, key string, body []byte) {
		t.Helper()
		_, err := store.Put(t.Context(), key, body, objects.PutOptions{})
		b.must(err)
	}
	// renewed changes a video and has the facts of that in some stores alone.
	renewed := func(id video.ID, stores ...objects.Store) string {
		t.Helper()
		leg := catalog.Leg{Video: id, Epoch: 7}
		b.must(b.rows.Project(t.Context(), leg, func(v *catalog.Video) { v.Visibility = "private" }))
		return b.factsOf(leg, stores...)
	}
	inOne, damaged, overtaken, foreign := b.published(), b.published(), b.published(), b.published()
	renewed(inOne, b.stores.Backups[0])
	spoil(b.stores.Primary, renewed(damaged, b.stores.All()...), []byte("noise"))
	alone := renewed(overtaken, b.stores.Backups[0])
	spoil(b.stores.Backups[0], alone, []byte("noise"))
	// Facts of another video, of a high generation, copied below this one.
	key := manifest.NewKey(foreign, facts.Path(1<<40), "")
	spoil(b.stores.Primary, key, b.seal(inOne, key, []byte("{}")))
	delete(b.runs, overtaken) // nobody tells whether the older ones still hold

	lost := b.lost()
	results := lost.rebuild(false)
	lost.wantOutcome(results, inOne, facts.Made, `the store "primary" lacks 1 of 3 objects`) // the newer facts
	lost.wantOutcome(results, damaged, facts.Made, `the store "primary" has facts that can't be used`)
	lost.wantOutcome(results, overtaken, facts.Failed, "no workflow tells")
	lost.wantOutcome(results, foreign, facts.Made, `the store "primary" has facts that can't be used`)
	for id, want := range map[video.ID]string{inOne: "private", damaged: "private", foreign: "unlisted"} {
		if v, err := lost.rows.Video(t.Context(), id); err != nil || v.Visibility != want {
			t.Errorf("%s is %q, %v; want %q", id, v.Visibility, err, want)
		}
	}
}

// The run decides whether a video is published, and the facts where there is none.
func TestTheRunKnowsTheStage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, c := range map[string]struct {
		run     facts.Run
		outcome facts.Outcome
		stage   video.Stage
		ending  video.Ending
	}{
		"it goes on":                 {facts.Run{Known: true, Open: true, Stage: video.Published}, facts.Made, video.Published, ""},
		"there is none":              {facts.Run{}, facts.Made, video.Published, ""},
		"terminated":                 {facts.Run{Known: true, Stage: video.Published}, facts.Made, video.Published, ""},
		"deleted meanwhile":          {facts.Run{Known: true, Open: true, Stage: video.PendingDeletion}, facts.Made, video.PendingDeletion, video.ByDeletion},
		"its publication taken back": {facts.Run{Known: true, Open: true, Stage: video.Draft}, facts.Unpublished, "", ""},
		"being purged":               {facts.Run{Known: true, Open: true, Stage: video.Purging}, facts.Unpublished, "", ""},
		"terminated in its grace":    {facts.Run{Known: true, Stage: video.PendingDeletion}, facts.Made, video.PendingDeletion, video.ByDeletion},
		"terminated when canceled":   {facts.Run{Known: true, Stage: video.Draft}, facts.Failed, "", ""},
		"it has ended":               {facts.Run{Known: true, Completed: true, Stage: video.Purged}, facts.Failed, "", ""},
	} {
		id := b.published()
		b.runs[id] = c.run
		lost := b.lost()
		if got := lost.rebuild(false)[id]; got.Outcome != c.outcome {
			t.Errorf("%s: %+v", name, got)
		}
		v, err := lost.rows.Video(t.Context(), id)
		if v.Stage != c.stage || v.Ending != c.ending || (err == nil) != (c.stage != "") || v.HiddenAt.IsZero() != (c.ending == "") {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// Where a store can't be asked nothing is concluded, and the next time goes on.
func TestAStoreIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id, lost := b.published(), b.lost()
	down := true
	lost.stores.Backups = []objects.Store{b.stores.Backups[0], objectstest.Faulty(b.stores.Backups[1], func(op objectstest.Op, _ string) error {
		if down && op == objectstest.Inventory {
			return video.Errorf(video.Unavailable, "down").At("backup-b")
		}
		return nil
	})}
	r := facts.Rebuilder{Catalog: lost.rows, Vault: b.vault, Stores: lost.stores, Tell: func(r facts.Result) { t.Errorf("told %+v", r) },
		Runs: func(context.Context, video.ID) (facts.Run, error) { return facts.Run{}, nil }}
	if err := r.Run(t.Context()); video.CodeOf(err) != video.Unavailable || video.PlaceOf(err) != "backup-b" {
		t.Errorf("got %v", err)
	}
	down = false
	lost.wantOutcome(lost.rebuild(false), id, facts.Made, "")
}

// Nothing of a video is read in its facts by one who has the store: they are noise, and the
// key's destruction takes them along.
func TestFactsAreSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.published()
	_, err := b.stores.Primary.Inventory(t.Context(), id.Prefix()+"facts/", func(e objects.Entry) error {
		body, err := b.stores.Primary.Get(t.Context(), e.Key, e.Version, 0, -1)
		b.must(err)
		defer body.Close()
		sealed := make([]byte, e.Size)
		_, err = body.Read(sealed)
		b.must(err)
		for _, plain := range []string{"owner", "unlisted", "hls/", string(id)} {
			if strings.Contains(string(sealed), plain) {
				t.Errorf("%q can be read", plain)
			}
		}
		return nil
	})
	b.must(err)
}
