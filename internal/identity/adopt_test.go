package identity

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// adopt does as `starter adopt` does.
func (r *rig) adopt(name string) Adopted {
	r.t.Helper()
	done, err := r.worker().Adopt(r.t.Context(), name)
	if err != nil {
		r.t.Errorf("adopt %s: %v", name, err)
	}
	return done
}

// Whatever place was exchanged: an operator's word, on record, makes it this
// installation's, and programs start again.
func TestAdopt(t *testing.T) {
	server := serverOf(t)
	for _, k := range kinds {
		for what, before := range map[string]string{"lacks the id": "", "has another": string(video.NewID())} {
			t.Run(k.name+" "+what, func(t *testing.T) {
				r := newRig(t, server)
				id := r.found()
				k.empty(r)
				if before != "" {
					k.give(r, before)
				} else {
					k.fill(r)
				}
				r.refusesToStart(id)
				done := r.adopt(k.name)
				if done.ID != id || done.Replaced != before || !strings.Contains(done.Place, k.title) {
					t.Errorf("it says %+v, want %s in place of %q", done, id, before)
				}
				r.mustBeFounded()
				r.ok(r.worker().Compare(t.Context()))
				r.mustBeOnRecord(k.name, before)
				if again := r.adopt(k.name); again.ID != id || again.Replaced != id {
					t.Errorf("again: %+v", again)
				}
				if k.name != "catalog" {
					r.mustBeOnRecord(k.name, id) // a person's word counts each time
				}
			})
		}
	}
}

func (r *rig) mustBeOnRecord(place, replaced string) {
	r.t.Helper()
	all, err := r.rows.Adoptions(r.t.Context())
	r.ok(err)
	if last := all[len(all)-1]; last.Place != place || last.Replaced != replaced || last.AdoptedAt.IsZero() {
		r.t.Errorf("the last on record is %+v", last)
	}
}

// What an earlier release has filled is adopted place by place.
func TestUpgrade(t *testing.T) {
	r := newRig(t, serverOf(t))
	for _, k := range kinds {
		k.fill(r)
	}
	r.refusesToStart("No place knows of an installation")
	_, err := r.worker().Adopt(t.Context(), "vault")
	if video.CodeOf(err) != video.Conflict {
		t.Errorf("before the catalog: %v", err)
	}
	fresh := r.adopt("catalog")
	r.refusesToStart(fresh.ID, "is in use already", "starter adopt vault", "starter adopt temporal")
	if again := r.adopt("catalog"); again.ID != fresh.ID {
		t.Errorf("again: %+v, at first %+v", again, fresh)
	}
	for _, name := range []string{"vault", "backup", "temporal"} { // the primary is empty: it is given the id
		r.adopt(name)
	}
	r.ok(r.worker().Compare(t.Context()))
	if id := r.mustBeFounded(); id != fresh.ID {
		t.Errorf("founded %s", id)
	}
	_, schedule, err := r.place().describe(t.Context())
	if err != nil || schedule.GetSchedule().GetAction().GetStartWorkflow().GetTaskQueue().GetName() != "nobody" {
		t.Errorf("the schedule did not stay as it was: %v, %v", schedule, err)
	}
}

// A new catalog adopts an id only when it is clear which.
func TestCatalogAdoptsWhatIsClear(t *testing.T) {
	server := serverOf(t)
	refused := func(t *testing.T, r *rig, name string, code video.Code) {
		t.Helper()
		if _, err := r.worker().Adopt(t.Context(), name); video.CodeOf(err) != code {
			t.Errorf("adopt %s: %v", name, err)
		}
	}
	t.Run("the vault's before others", func(t *testing.T) {
		r := newRig(t, server)
		id := string(video.NewID())
		r.ok(r.keys.SetInstallation(t.Context(), id, ""))
		kinds[2].give(r, string(video.NewID()))
		if done := r.adopt("catalog"); done.ID != id {
			t.Errorf("adopted %+v", done)
		}
		r.refusesToStart(id, `the store "backup"`)
	})
	t.Run("others that differ", func(t *testing.T) {
		r := newRig(t, server)
		kinds[2].give(r, string(video.NewID()))
		kinds[3].give(r, string(video.NewID()))
		refused(t, r, "catalog", video.Conflict)
		r.unchanged("catalog", "")
	})
	t.Run("one that is down", func(t *testing.T) {
		r := newRig(t, server)
		defer kinds[2].down(r)()
		refused(t, r, "catalog", video.Unavailable)
		r.unchanged("catalog", "")
	})
	t.Run("no such place", func(t *testing.T) {
		refused(t, newRig(t, server), "backup-c", video.Invalid)
	})
}

// A store that is added later is not taken for ours by itself.
func TestAnAddedStore(t *testing.T) {
	r := newRig(t, serverOf(t))
	r.found()
	r.backup = objectstest.NewMemory("backup-c")
	r.refusesToStart(`the store "backup-c" knows of none`, "starter adopt backup-c")
	r.adopt("backup-c")
	r.ok(r.worker().Compare(t.Context()))
}

// A vault that is lost for good is replaced by an empty one, or by what a backup has of it,
// when an operator says so: what was erased stays erased, and programs start again.
func TestAdoptInPlaceOfALostVault(t *testing.T) {
	r := newRig(t, serverOf(t))
	id := r.found()
	copied, begun, again := video.NewID(), video.NewID(), video.NewID()
	for _, gone := range []video.ID{copied, again} {
		record, err := r.keys.Destroy(t.Context(), vault.Intent{ID: gone, Reason: "deleted", TokenHash: make([]byte, 32)})
		r.ok(err)
		body, err := json.Marshal(record)
		r.ok(err)
		_, err = r.backup.Put(t.Context(), gone.LedgerKey(), body, objects.PutOptions{})
		r.ok(err)
	}
	record, err := r.keys.Destroy(t.Context(), vault.Intent{ID: begun, Reason: "expired"})
	r.ok(err)
	r.ok(r.rows.RecordLedger(t.Context(), catalog.Ledger{
		VideoSHA256: record.VideoSHA256, Reason: video.ByExpiry, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt,
	}))
	lost := r.keys
	r.newVault()
	r.ok(r.keys.Make(t.Context(), again)) // as a backup has it
	r.refusesToStart(id, "starter adopt vault")

	up := kinds[2].down(r)
	if _, err := r.worker().Adopt(t.Context(), "vault"); video.CodeOf(err) != video.Unavailable {
		t.Errorf("while a store is down: %v", err)
	}
	r.unchanged("vault", "")
	up()
	done := r.adopt("vault")
	if done.ID != id || done.Restored != 3 || !strings.Contains(done.Lost, "can't be played any more") {
		t.Errorf("it says %+v", done)
	}
	r.mustBeOnRecord("vault", "")
	r.ok(r.worker().Compare(t.Context()))
	for _, gone := range []video.ID{copied, begun} {
		want, _, err := lost.Ledger(t.Context(), gone.Hash())
		r.ok(err)
		if got, found, err := r.keys.Ledger(t.Context(), gone.Hash()); err != nil || !found || got != want {
			t.Errorf("the ledger has %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := r.keys.Lend(t.Context(), again); video.CodeOf(err) != video.Gone {
		t.Errorf("a key that was destroyed is lent: %v", err)
	}
	if done := r.adopt("vault"); done.Restored != 0 {
		t.Errorf("again: %+v", done)
	}
}

// A record that isn't one stops the adoption: nobody can say what it stood for.
func TestAdoptWithADamagedRecord(t *testing.T) {
	r := newRig(t, serverOf(t))
	r.found()
	gone := video.NewID()
	_, err := r.backup.Put(t.Context(), gone.LedgerKey(), []byte(`{"video_sha256":"`+video.NewID().Hash()+`","reason":"deleted"}`), objects.PutOptions{})
	r.ok(err)
	r.newVault()
	if _, err := r.worker().Adopt(t.Context(), "vault"); video.CodeOf(err) != video.Internal || !strings.Contains(err.Error(), gone.LedgerKey()) {
		t.Errorf("it says %v", err)
	}
	r.unchanged("vault", "")
}
