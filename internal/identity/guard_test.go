package identity

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// uses are all that can be done with a store.
var uses = map[string]func(context.Context, objects.Store) error{
	"put": func(ctx context.Context, s objects.Store) error {
		_, err := s.Put(ctx, "v/x", []byte("x"), objects.PutOptions{})
		return err
	},
	"get": func(ctx context.Context, s objects.Store) error {
		body, err := s.Get(ctx, "v/there", "", 0, -1)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		return err
	},
	"stat":   func(ctx context.Context, s objects.Store) error { _, err := s.Stat(ctx, "v/there", ""); return err },
	"delete": func(ctx context.Context, s objects.Store) error { return s.Delete(ctx, "v/gone", "") },
	"inventory": func(ctx context.Context, s objects.Store) error {
		_, err := s.Inventory(ctx, "v/", nil)
		return err
	},
	"purge": func(ctx context.Context, s objects.Store) error {
		_, err := s.Purge(ctx, "v/none/", objects.Watch{})
		return err
	},
	"ready":     func(ctx context.Context, s objects.Store) error { return s.Ready(ctx) },
	"versioned": func(ctx context.Context, s objects.Store) error { _, err := s.Versioned(ctx); return err },
}

// A store that was down at the start, and is another's, is never read, written or
// emptied, and the program is told to stop.
func TestGuardOfAStoreOfAnother(t *testing.T) {
	server := serverOf(t)
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, server)
			r.found()
			up := kinds[2].down(r)
			i := r.program(r.place())
			r.ok(i.Compare(t.Context()))
			up()
			theirs := objectstest.NewMemory("backup")
			r.backup = theirs
			kinds[2].give(r, string(video.NewID()))
			before := r.listed(theirs)
			var did []objectstest.Op
			// The store behind the guard is the one of the settings, which has come up.
			i.stores[1].place = storePlace{theirs, r.keys}
			i.guarded.Backups[0].(*guardedStore).store = objectstest.Faulty(theirs, func(op objectstest.Op, key string) error {
				did = append(did, op)
				return nil
			})
			if err := use(t.Context(), i.Stores().Backups[0]); video.CodeOf(err) != video.Unavailable || !isMismatch(err) {
				t.Errorf("told %v", err)
			}
			if len(did) > 0 || r.listed(theirs) != before {
				t.Errorf("it did %v; %+v, then %+v", did, before, r.listed(theirs))
			}
			r.mustBeToldToStop(i)
			if err := use(t.Context(), i.Stores().Primary); video.CodeOf(err) != video.Unavailable {
				t.Errorf("it goes on with another store: %v", err)
			}
			if err := i.Check(t.Context()); video.CodeOf(err) != video.Unavailable {
				t.Errorf("it would erase: %v", err)
			}
		})
	}
}

func (r *rig) listed(s objects.Store) objects.Inventory {
	r.t.Helper()
	found, err := s.Inventory(r.t.Context(), "", nil)
	r.ok(err)
	return found
}

// A store that was down is compared when it is first used, and then no more.
func TestGuardOfAStoreThatComesUp(t *testing.T) {
	r := newRig(t, serverOf(t))
	r.found()
	_, err := r.backup.Put(t.Context(), "v/there", []byte("x"), objects.PutOptions{})
	r.ok(err)
	down, reads := true, 0
	r.backup = objectstest.Faulty(r.backup, func(op objectstest.Op, key string) error {
		if key == storeKey {
			reads++
		}
		if down {
			return video.Errorf(video.Unavailable, "It is down.")
		}
		return nil
	})
	i := r.worker()
	store := i.Stores().Backups[0]
	for name, use := range uses {
		if err := use(t.Context(), store); video.CodeOf(err) != video.Unavailable {
			t.Errorf("%s before anything was compared: %v", name, err)
		}
	}
	r.ok(i.Compare(t.Context()))
	for name, use := range uses {
		if err := use(t.Context(), store); video.CodeOf(err) != video.Unavailable {
			t.Errorf("%s while it is down: %v", name, err)
		}
	}
	if store.Name() != "backup" {
		t.Errorf("it is called %q", store.Name())
	}
	down, reads = false, 0
	for name, use := range uses {
		if err := use(t.Context(), store); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if reads != 1 {
		t.Errorf("compared %d times", reads)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := uses["put"](canceled, store); !errors.Is(err, context.Canceled) {
		t.Errorf("told %v", err)
	}
}

// The guarded stores pass what every store must.
func TestGuardedStoreIsAStore(t *testing.T) {
	m := objectstest.NewMemory("backup")
	s := m.Subject()
	s.Store = &guardedStore{store: m, admit: func(context.Context) error { return nil }}
	objectstest.Run(t, func(t *testing.T) objectstest.Subject { return s })
}

// A Temporal that wasn't there at the start is compared before the first life is
// started in it.
func TestGuardOfTemporal(t *testing.T) {
	server := serverOf(t)
	begin := func(r *rig) (*Installation, func() error) {
		i := r.gateway()
		options := client.Options{HostPort: server.Temporal, Logger: quiet}
		i.GuardTemporal(&options)
		c, err := client.NewLazyClient(options)
		r.ok(err)
		t.Cleanup(c.Close)
		p := r.place()
		p.Client, p.Makes = c, false
		i.SetTemporal(p)
		return i, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "video/" + string(video.NewID()), TaskQueue: "nobody"}, "Other")
			return err
		}
	}
	t.Run("of this installation", func(t *testing.T) {
		r := newRig(t, server)
		r.found()
		i, start := begin(r)
		r.ok(i.Compare(t.Context()))
		r.ok(start())
	})
	t.Run("comes up later", func(t *testing.T) {
		r := newRig(t, server)
		r.found()
		up := kinds[3].down(r)
		i, start := begin(r)
		r.ok(i.Compare(t.Context()))
		if err := start(); err == nil {
			t.Error("started a life in a server that is down")
		}
		up()
		r.until("it is used", func() bool { return start() == nil })
	})
	t.Run("comes up later and is another's", func(t *testing.T) {
		r := newRig(t, server)
		r.found()
		up := kinds[3].down(r)
		i, start := begin(r)
		r.ok(i.Compare(t.Context()))
		up()
		r.unschedule()
		kinds[3].give(r, string(video.NewID()))
		before := r.workflows()
		if err := start(); err == nil {
			t.Error("started a life in it")
		}
		r.mustBeToldToStop(i)
		if after := r.workflows(); after != before {
			t.Errorf("%d workflows, then %d", before, after)
		}
	})
	t.Run("waits for the first worker", func(t *testing.T) {
		r := newRig(t, server)
		i, start := begin(r)
		r.ok(i.Compare(t.Context()))
		if err := start(); err == nil {
			t.Error("started a life before Temporal knew the installation")
		}
		r.ok(r.worker().Compare(t.Context()))
		r.ok(start())
		r.mustBeFounded()
	})
}

func (r *rig) workflows() int64 {
	r.t.Helper()
	n, err := r.temporal.CountWorkflow(r.t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: "WorkflowType = 'Other'"})
	r.ok(err)
	return n.GetCount()
}

func TestAwaitTemporal(t *testing.T) {
	server := serverOf(t)
	r := newRig(t, server)
	r.found()
	up := kinds[3].down(r)
	i := r.worker()
	r.ok(i.Compare(t.Context()))
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := i.AwaitTemporal(brief); video.CodeOf(err) != video.Unavailable {
		t.Errorf("told %v", err)
	}
	up()
	r.ok(i.AwaitTemporal(t.Context()))
	r.unschedule()
	other := r.worker()
	r.ok(r.place().write(t.Context(), string(video.NewID()), ""))
	if err := other.Compare(t.Context()); !isMismatch(err) {
		t.Errorf("told %v", err)
	}
	if err := other.AwaitTemporal(t.Context()); !isMismatch(err) {
		t.Errorf("told %v", err)
	}
}

// Before something is erased all places are asked once more: each may have become
// another since the start.
func TestCheck(t *testing.T) {
	server := serverOf(t)
	for _, k := range kinds {
		changed := func(t *testing.T, change func(r *rig)) (*rig, *Installation) {
			r := newRig(t, server)
			r.found()
			i := r.worker()
			if err := i.Check(t.Context()); video.CodeOf(err) != video.Unavailable {
				t.Errorf("before the start: %v", err)
			}
			r.ok(i.Compare(t.Context()))
			r.ok(i.Check(t.Context()))
			change(r)
			// What the addresses lead to is another now, the program the same.
			mine := r.worker()
			i.places.Catalog, i.vault.place, i.temporal.place = r.rows, mine.vault.place, mine.temporal.place
			i.stores[1].place = mine.stores[1].place
			i.looked.Store(0) // a second later
			return r, i
		}
		for what, change := range map[string]func(r *rig){
			k.name + " is empty": k.empty,
			k.name + " has another id": func(r *rig) {
				k.empty(r)
				k.give(r, string(video.NewID()))
			},
		} {
			t.Run(what, func(t *testing.T) {
				r, i := changed(t, change)
				if err := i.Check(t.Context()); video.CodeOf(err) != video.Unavailable || !isMismatch(err) {
					t.Errorf("told %v", err)
				}
				r.mustBeToldToStop(i)
			})
		}
		t.Run(k.name+" is down", func(t *testing.T) {
			var up func()
			_, i := changed(t, func(r *rig) { up = k.down(r) })
			err := i.Check(t.Context())
			if k.need && video.CodeOf(err) != video.Unavailable || !k.need && err != nil {
				t.Errorf("told %v", err)
			}
			up()
		})
	}
}

// Asking everybody is not repeated for each of many erasures.
func TestCheckSparesTheStores(t *testing.T) {
	r := newRig(t, serverOf(t))
	r.found()
	reads := 0
	r.backup = objectstest.Faulty(r.backup, func(_ objectstest.Op, key string) error {
		reads++
		return nil
	})
	i := r.worker()
	r.ok(i.Compare(t.Context()))
	reads = 0
	begun := time.Now()
	for range 100 {
		r.ok(i.Check(t.Context()))
	}
	if most := 1 + int(time.Since(begun)/checkEvery); reads > most {
		t.Errorf("%d reads, at most %d were due", reads, most)
	}
}

// A vault that lacks what a store's ledger has is older than the store.
func TestVaultOlderThanAStore(t *testing.T) {
	server := serverOf(t)
	for _, when := range []string{"start", "first use"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, server)
			id := r.found()
			for range 3 {
				gone := video.NewID()
				record, err := r.keys.Destroy(t.Context(), vault.Intent{ID: gone, Reason: "deleted"})
				r.ok(err)
				body, err := json.Marshal(record)
				r.ok(err)
				_, err = r.backup.Put(t.Context(), gone.LedgerKey(), body, objects.PutOptions{})
				r.ok(err)
			}
			_, err := r.backup.Put(t.Context(), "ledger/v/note.txt", nil, objects.PutOptions{})
			r.ok(err)
			r.ok(r.worker().Compare(t.Context()))
			r.newVault() // as it was before
			r.ok(r.keys.SetInstallation(t.Context(), id, ""))
			if when == "start" {
				r.refusesToStart("The vault lacks the record of an erasure", `the store "backup"`, "starter adopt vault")
				return
			}
			up := kinds[2].down(r)
			i := r.worker()
			r.ok(i.Compare(t.Context()))
			up()
			i.stores[1].place = r.worker().stores[1].place
			if err := uses["put"](t.Context(), i.Stores().Backups[0]); !isMismatch(err) {
				t.Errorf("told %v", err)
			}
		})
	}
}
