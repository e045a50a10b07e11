package captioning

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// desk is a Keeper on a real catalog and vault, with a primary that keeps versions and two
// backups, one of which keeps none, in memory. Any of them fails as faults says.
type desk struct {
	*Keeper
	t    *testing.T
	rows *catalog.Catalog

	mu     sync.Mutex
	faults map[string]func(op objectstest.Op) error // by store
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalogtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, rows: c, faults: map[string]func(objectstest.Op) error{}}
	stores := objects.Set{Primary: d.faulty(objectstest.NewMemory("primary")), Backups: []objects.Store{
		d.faulty(objectstest.NewMemory("a")), d.faulty(objectstest.NewMemoryUnversioned("b")),
	}}
	d.Keeper = New(c, v, stores, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return d
}

func (d *desk) faulty(s objects.Store) objects.Store {
	return objectstest.Faulty(s, func(op objectstest.Op, _ string) error {
		d.mu.Lock()
		fault := d.faults[s.Name()]
		d.mu.Unlock()
		if fault == nil {
			return nil
		}
		return fault(op)
	})
}

func (d *desk) fails(store string, fault func(objectstest.Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[store] = fault
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// video is a new one.
func (d *desk) video() video.ID {
	d.t.Helper()
	id := video.NewID()
	d.must(d.writer.Vault.Make(d.t.Context(), id))
	hash := sha256.Sum256([]byte(id))
	d.must(d.rows.CreateVideo(d.t.Context(), catalog.Video{ID: id, Owner: "owner", Stage: video.Uploading}, catalog.Upload{Video: id, TokenHash: hash[:], Length: 1}))
	return id
}

func file(text string) []byte {
	return []byte("WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n" + text + "\n")
}

// put puts captions and says whether they are new.
func (d *desk) put(id video.ID, language, text string) bool {
	d.t.Helper()
	isNew, err := d.Put(d.t.Context(), id, language, file(text))
	d.must(err)
	return isNew
}

// settled does what is due, and fails the test unless that works.
func (d *desk) settled() {
	d.t.Helper()
	d.must(d.settleDue(d.t.Context()))
}

// holds checks that every store has these captions, by language, and nothing else: no other
// object, version or marker. Each can be opened and says what it should.
func (d *desk) holds(id video.ID, want map[string]string) {
	d.t.Helper()
	ctx := d.t.Context()
	rows, err := d.rows.Objects(ctx, id, catalog.Filter{Kind: catalog.KindCaption})
	d.must(err)
	for _, store := range d.stores.All() {
		found := map[string]string{}
		for _, o := range rows {
			if o.Store == store.Name() && o.State == catalog.ObjectStored {
				found[o.Rendition] = d.read(store, o)
			}
		}
		if len(found) != len(want) {
			d.t.Errorf("%s has captions in %v, want %v", store.Name(), found, want)
		}
		for language, text := range want {
			if found[language] != string(file(text)) {
				d.t.Errorf("%s has %q in %q, want %q", store.Name(), found[language], language, text)
			}
		}
		listed, err := store.Inventory(ctx, id.Prefix(), nil)
		d.must(err)
		if listed.Objects != len(want) || listed.Versions > len(want) || listed.DeleteMarkers != 0 {
			d.t.Errorf("%s holds %+v, want %d objects", store.Name(), listed, len(want))
		}
	}
	if len(rows) != len(want)*len(d.stores.All()) {
		d.t.Errorf("%d rows of %d captions", len(rows), len(want))
	}
}

func (d *desk) read(store objects.Store, o catalog.Object) string {
	d.t.Helper()
	body, err := store.Get(d.t.Context(), o.Key, o.Version, 0, -1)
	d.must(err)
	defer body.Close()
	sealed, err := io.ReadAll(body)
	d.must(err)
	var plain []byte
	d.must(vault.WithKey(d.t.Context(), d.writer.Vault, o.Video, func(k vault.Key) (err error) {
		plain, err = k.Open(o.Key, sealed)
		return err
	}))
	if bytes.Contains(sealed, []byte("WEBVTT")) {
		d.t.Errorf("%s holds captions without a seal", store.Name())
	}
	return string(plain)
}

func down(objectstest.Op) error { return video.Errorf(video.Unavailable, "The store is down.") }

func TestCaptionsComeToEveryStore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, other := d.video(), d.video()
	if !d.put(id, "en", "Hello") || !d.put(id, "de", "Hallo") || !d.put(other, "en", "Else") {
		t.Error("new captions are said to replace others")
	}
	d.settled()
	d.holds(id, map[string]string{"en": "Hello", "de": "Hallo"})
	if d.put(id, "en", "Hello again") {
		t.Error("captions that replace others are said to be new")
	}
	d.settled()
	d.holds(id, map[string]string{"en": "Hello again", "de": "Hallo"})
	for range 2 {
		d.must(d.Remove(t.Context(), id, "de"))
		d.settled()
		d.holds(id, map[string]string{"en": "Hello again"})
	}
	d.holds(other, map[string]string{"en": "Else"})
	tasks, err := d.rows.ClaimCaptions(t.Context(), 10, 0)
	if err != nil || len(tasks) != 0 {
		t.Errorf("%v are left to do, %v", tasks, err)
	}
}

// A backup that is down holds nobody up, and gets its copy, and loses what was replaced,
// once it is back: by whichever gateway.
func TestBackupThatIsDown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, ctx := d.video(), t.Context()
	d.put(id, "en", "first")
	d.settled()
	d.fails("a", down)
	d.put(id, "en", "second")
	tasks, err := d.rows.ClaimCaptions(ctx, 10, 0)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	if err := d.settle(ctx, tasks[0], map[string]bool{}); video.CodeOf(err) != video.Unavailable || err == nil {
		t.Fatalf("with a store that is down: %v", err)
	}
	rows, err := d.rows.CaptionsOf(ctx, []video.ID{id})
	if d.must(err); len(rows[id]) != 2 {
		t.Errorf("the other backup has not got its copy: %+v", rows[id])
	}
	d.fails("a", nil)
	another := New(d.rows, d.writer.Vault, d.stores, d.log)
	d.must(another.settle(ctx, tasks[0], map[string]bool{}))
	d.holds(id, map[string]string{"en": "second"})
}

// A gateway that dies at any step leaves nothing for good: neither in a store, nor a language
// that shows what isn't there.
func TestGatewayThatDies(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(d *desk, ctx context.Context, stop func()){
		"before the object is there": func(d *desk, _ context.Context, stop func()) {
			d.fails("primary", func(op objectstest.Op) error { stop(); return context.Canceled })
		},
		"before its answer": func(d *desk, _ context.Context, stop func()) {
			d.fails("primary", func(op objectstest.Op) error { stop(); return objectstest.AnswerLost(context.Canceled) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			id := d.video()
			d.put(id, "en", "first")
			ctx, stop := context.WithCancel(t.Context())
			die(d, ctx, stop)
			if _, err := d.Put(ctx, id, "en", file("second")); err == nil {
				t.Fatal("it has not died")
			}
			d.fails("primary", nil)
			d.giveUp = -time.Minute // as if that were long ago
			tasks, err := d.rows.ClaimCaptions(t.Context(), 10, 0)
			if err != nil || len(tasks) != 1 {
				t.Fatal(tasks, err)
			}
			d.must(d.settle(t.Context(), tasks[0], map[string]bool{}))
			d.holds(id, map[string]string{"en": "first"})
		})
	}
}

// Captions that are replaced while they are copied don't come back: neither a backup that
// keeps versions nor one that keeps none has the old ones in the end.
func TestReplacedWhileTheyAreCopied(t *testing.T) {
	t.Parallel()
	for _, backup := range []string{"a", "b"} {
		t.Run(backup, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			id, ctx := d.video(), t.Context()
			d.put(id, "en", "first")
			var once sync.Once
			d.fails(backup, func(op objectstest.Op) error {
				if op == objectstest.Put {
					once.Do(func() { d.put(id, "en", "second") })
				}
				return nil
			})
			d.settled()
			d.giveUp = -time.Minute
			tasks, err := d.rows.ClaimCaptions(ctx, 10, 0)
			if err != nil || len(tasks) != 1 {
				t.Fatal(tasks, err)
			}
			d.must(d.settle(ctx, tasks[0], map[string]bool{}))
			d.holds(id, map[string]string{"en": "second"})
		})
	}
}

// From the moment in which a video is deleted its captions can't be changed, and one that
// was under way meanwhile is taken back.
func TestNoneOnceDeletionBegan(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, ctx := d.video(), t.Context()
	d.put(id, "en", "first")
	var once sync.Once
	d.fails("primary", func(objectstest.Op) error {
		once.Do(func() {
			_, err := d.rows.Hide(ctx, id)
			d.must(err)
		})
		return nil
	})
	refusals := map[string]error{"under way": nil, "later": nil, "removal": d.rows.DropCaption(ctx, video.NewID(), "en")}
	_, refusals["under way"] = d.Put(ctx, id, "en", file("second"))
	_, refusals["later"] = d.Put(ctx, id, "de", file("third"))
	if err := d.Remove(ctx, id, "en"); video.CodeOf(err) != video.Gone {
		t.Errorf("a removal: %v", err)
	}
	for name, err := range refusals {
		if code := video.CodeOf(err); err == nil || code != video.Gone && name != "removal" || name == "removal" && code != video.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	listed, err := d.stores.Primary.Inventory(ctx, id.Prefix(), nil)
	if err != nil || listed.Versions != 1 {
		t.Errorf("%+v, %v", listed, err)
	}
}

func TestSoManyLanguages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.video()
	for i := range catalog.MaxCaptions {
		d.put(id, string(rune('a'+i/26))+string(rune('a'+i%26)), "text")
	}
	if _, err := d.Put(t.Context(), id, "zz", file("text")); video.CodeOf(err) != video.Conflict {
		t.Errorf("one more: %v", err)
	}
	d.put(id, "aa", "other text")
}

// The legs of the workflow copy captions, too, and may read them before they are replaced.
func TestALegCopiesNoneThatWereReplaced(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id, ctx := d.video(), t.Context()
	d.put(id, "en", "first")
	leg := catalog.Leg{Video: id, Epoch: 1}
	d.must(d.rows.Enter(ctx, leg, nil))
	rows, err := d.rows.Objects(ctx, id, catalog.Filter{Kind: catalog.KindCaption})
	d.must(err)
	body, err := d.Keeper.settlingOf(rows, nil).read(ctx, rows[0])
	d.must(err)
	d.must(d.writer.Copy(ctx, leg, d.stores.Backups[0], rows[0], body))
	d.put(id, "en", "second")
	if err := d.writer.Copy(ctx, leg, d.stores.Backups[1], rows[0], body); video.CodeOf(err) != video.Conflict {
		t.Errorf("a copy of what was replaced: %v", err)
	}
	d.giveUp = -time.Minute
	d.settled()
	d.holds(id, map[string]string{"en": "second"})
}
