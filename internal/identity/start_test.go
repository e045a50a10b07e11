package identity

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
)

// kinds are the four places, and what can be wrong with each.
var kinds = []struct {
	name  string
	title string
	empty func(r *rig)
	fill  func(r *rig) // an empty one, with something that is no id
	give  func(r *rig, id string)
	down  func(r *rig) (up func())
	need  bool // nothing starts without it
}{
	{
		name: "catalog", title: "CATALOG-ADDRESS", need: true,
		empty: func(r *rig) { r.newCatalog(catalogtest.URL(r.t)) },
		fill: func(r *rig) {
			id := video.NewID()
			r.ok(r.rows.CreateVideo(r.t.Context(), catalog.Video{ID: id, Stage: video.Published}, catalog.Upload{Video: id, TokenHash: []byte(id)}))
		},
		give: func(r *rig, id string) {
			_, err := r.rows.FoundInstallation(r.t.Context(), id)
			r.ok(err)
		},
		down: func(r *rig) func() {
			r.newCatalog(cluster.Schema(r.t))
			cluster.Interrupt(r.t)
			return func() { cluster.Resume(r.t) }
		},
	},
	{
		name: "vault", title: "VAULT-ADDRESS", need: true,
		empty: (*rig).newVault,
		fill:  func(r *rig) { r.ok(r.keys.Make(r.t.Context(), video.NewID())) },
		give:  func(r *rig, id string) { r.ok(r.keys.SetInstallation(r.t.Context(), id, "")) },
		down: func(r *rig) func() {
			up := r.keys
			r.newVault()
			r.ok(r.keys.Close())
			return func() { r.keys = up }
		},
	},
	{
		name: "backup", title: `the store "backup"`,
		empty: func(r *rig) { r.backup = objectstest.NewMemory("backup") },
		fill: func(r *rig) {
			_, err := r.backup.Put(r.t.Context(), video.NewID().Prefix()+"source/0", []byte("x"), objects.PutOptions{})
			r.ok(err)
		},
		give: func(r *rig, id string) {
			body, err := json.Marshal(named{id})
			r.ok(err)
			_, err = r.backup.Put(r.t.Context(), storeKey, body, objects.PutOptions{})
			r.ok(err)
		},
		down: func(r *rig) func() {
			up := r.backup
			r.backup = objectstest.Faulty(up, func(objectstest.Op, string) error { return video.Errorf(video.Unavailable, "It is down.") })
			return func() { r.backup = up }
		},
	},
	{
		name: "temporal", title: `Temporal at `,
		empty: (*rig).unschedule,
		fill: func(r *rig) { // as a release before this one left it
			_, err := r.temporal.ScheduleClient().Create(r.t.Context(), client.ScheduleOptions{
				ID: video.AuditSchedule, Action: &client.ScheduleWorkflowAction{Workflow: video.AuditWorkflow, TaskQueue: "nobody"},
			})
			r.ok(err)
		},
		give: func(r *rig, id string) { r.ok(r.place().write(r.t.Context(), id, "")) },
		down: func(r *rig) func() {
			r.server.Kill(r.t, devstacktest.Temporal)
			return func() {
				r.server.Restart(r.t, devstacktest.Temporal)
				r.until("Temporal answers", func() bool { _, err := r.place().read(r.t.Context()); return err == nil })
			}
		},
	},
}

// Of an installation that was founded, every place has the id. One that doesn't is a
// wrong one, empty or not.
func TestStartOfAFoundedInstallation(t *testing.T) {
	server := serverOf(t)
	for _, k := range kinds {
		t.Run(k.name+" is empty", func(t *testing.T) {
			r := newRig(t, server)
			id := r.found()
			k.empty(r)
			r.refusesToStart(id, k.title, "starter adopt "+k.name)
			r.unchanged(k.name, "")
		})
		t.Run(k.name+" lacks the id and is in use", func(t *testing.T) {
			r := newRig(t, server)
			id := r.found()
			k.empty(r)
			k.fill(r)
			r.refusesToStart(id, k.title, "starter adopt "+k.name)
			r.unchanged(k.name, "")
		})
		t.Run(k.name+" has another id", func(t *testing.T) {
			r := newRig(t, server)
			id, other := r.found(), string(video.NewID())
			k.empty(r)
			k.give(r, other)
			r.refusesToStart(id, other, k.title)
			r.unchanged(k.name, other)
		})
		t.Run(k.name+" is down", func(t *testing.T) {
			r := newRig(t, server)
			r.found()
			up := k.down(r)
			r.startsWithout(k.need)
			up()
		})
	}
}

// What is empty is founded; what is in use, or somebody's, is not touched.
func TestStartOfAFreshInstallation(t *testing.T) {
	server := serverOf(t)
	t.Run("all is empty", func(t *testing.T) {
		r := newRig(t, server)
		id := r.found()
		if again := r.found(); again != id {
			t.Errorf("founded again: %s, then %s", id, again)
		}
	})
	for _, k := range kinds {
		t.Run(k.name+" is in use", func(t *testing.T) {
			r := newRig(t, server)
			k.fill(r)
			r.refusesToStart("No place knows of an installation", k.title, "starter adopt catalog; starter adopt vault; starter adopt primary; starter adopt backup; starter adopt temporal")
			r.nothingWritten("")
		})
		t.Run(k.name+" has another id", func(t *testing.T) {
			r := newRig(t, server)
			other := string(video.NewID())
			k.give(r, other)
			if k.name == "catalog" { // somebody's founding goes on
				if id := r.found(); id != other {
					t.Errorf("founded %s, not %s", id, other)
				}
				return
			}
			r.refusesToStart(other, "CATALOG-ADDRESS", k.title, "starter adopt catalog")
			r.nothingWritten(k.name)
		})
		t.Run(k.name+" is down", func(t *testing.T) {
			r := newRig(t, server)
			up := k.down(r)
			r.startsWithout(k.need)
			up()
			if k.need {
				r.nothingWritten("")
			}
			r.found()
		})
	}
}

// A Temporal without the schedule is not empty when there are lives.
func TestLivesWithoutASchedule(t *testing.T) {
	r := newRig(t, devstacktest.Start(t, devstacktest.Temporal))
	r.startLife()
	r.refusesToStart("No place knows of an installation", "in use are already: Temporal at")
}

// refusesToStart checks that workers and gateways stop, and say these things.
func (r *rig) refusesToStart(say ...string) {
	r.t.Helper()
	for name, program := range map[string]*Installation{"worker": r.worker(), "gateway": r.gateway()} {
		err := program.Compare(r.t.Context())
		if !isMismatch(err) {
			r.t.Errorf("the %s is told %v", name, err)
			continue
		}
		for _, s := range say {
			if !strings.Contains(err.Error(), s) {
				r.t.Errorf("the %s doesn't say %q, but: %v", name, s, err)
			}
		}
		r.mustBeToldToStop(program)
	}
}

// startsWithout starts a program while a place is down.
func (r *rig) startsWithout(needed bool) {
	r.t.Helper()
	err := r.worker().Compare(r.t.Context())
	switch {
	case needed && video.CodeOf(err) != video.Unavailable:
		r.t.Errorf("without a place that it needs it is told %v", err)
	case !needed && err != nil:
		r.t.Errorf("it doesn't start: %v", err)
	}
}

// unchanged checks that nobody gave a place the id.
func (r *rig) unchanged(name, want string) {
	r.t.Helper()
	if have := r.idOf(name); have != want {
		r.t.Errorf("%s has %q now, want %q", name, have, want)
	}
}

func (r *rig) nothingWritten(but string) {
	r.t.Helper()
	for _, name := range []string{"catalog", "vault", "primary", "backup", "temporal"} {
		if name != but {
			r.unchanged(name, "")
		}
	}
}

func (r *rig) idOf(name string) string {
	r.t.Helper()
	row, err := r.rows.Installation(r.t.Context())
	r.ok(err)
	if name == "catalog" {
		return row.ID
	}
	for _, m := range r.worker().others() {
		if m.label().name == name {
			id, err := m.read(r.t.Context())
			r.ok(err)
			return id
		}
	}
	r.t.Fatal(fmt.Sprintf("no place %s", name))
	return ""
}
