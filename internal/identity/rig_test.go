package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

var (
	cluster postgrestest.Cluster
	shared  devstacktest.Shared
)

// serverOf is the Temporal of all tests, which run one after the other. It has schedules of
// theirs, but no lives.
func serverOf(t *testing.T) *devstacktest.Stack { return shared.Start(t, devstacktest.Temporal) }

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(cluster.Stop(), shared.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// rig is the places of one installation, each of which can be exchanged.
type rig struct {
	t        *testing.T
	server   *devstacktest.Stack
	temporal client.Client
	database string
	vaultDir string
	rows     *catalog.Catalog
	keys     vault.Vault
	primary  objects.Store
	backup   objects.Store
}

// newRig makes empty places. Temporal is the server's, without a schedule.
func newRig(t *testing.T, server *devstacktest.Stack) *rig {
	t.Helper()
	r := &rig{t: t, server: server, primary: objectstest.NewMemory("primary"), backup: objectstest.NewMemoryUnversioned("backup")}
	var err error
	r.temporal, err = client.NewLazyClient(client.Options{HostPort: server.Temporal, Logger: quiet})
	r.ok(err)
	t.Cleanup(r.temporal.Close)
	r.unschedule()
	r.newCatalog(catalogtest.URL(t))
	r.newVault()
	return r
}

var quiet = slog.New(slog.DiscardHandler)

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) newCatalog(url string) {
	r.t.Helper()
	rows, err := catalog.Open(r.t.Context(), url)
	r.ok(err)
	r.t.Cleanup(func() { rows.Close() })
	r.database, r.rows = url, rows
}

func (r *rig) newVault() {
	r.t.Helper()
	r.vaultDir = r.t.TempDir()
	var err error
	r.keys, err = vault.Open(r.vaultDir)
	r.ok(err)
}

// unschedule takes the id from Temporal, and waits until that shows.
func (r *rig) unschedule() {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	r.temporal.ScheduleClient().GetHandle(ctx, video.AuditSchedule).Delete(ctx) // what counts is that it is gone
	r.until("the schedule is gone", func() bool {
		_, schedule, err := r.place().describe(ctx)
		r.ok(err)
		return schedule == nil
	})
}

func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	for begun := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			r.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (r *rig) place() Temporal {
	return Temporal{Client: r.temporal, Namespace: "default", Address: r.server.Temporal, AuditEvery: time.Hour, Makes: true}
}

// worker and gateway are programs that have just started: only the first may make the
// schedule.
func (r *rig) worker() *Installation { return r.program(r.place()) }

func (r *rig) gateway() *Installation {
	p := r.place()
	p.Makes = false
	return r.program(p)
}

func (r *rig) program(temporal Temporal) *Installation {
	i := New(Places{
		Catalog: r.rows, Vault: r.keys, Stores: objects.Set{Primary: r.primary, Backups: []objects.Store{r.backup}},
		CatalogAt: "CATALOG-ADDRESS", VaultAt: "VAULT-ADDRESS", Log: quiet,
	})
	i.SetTemporal(temporal)
	return i
}

// found founds the installation and returns its id.
func (r *rig) found() string {
	r.t.Helper()
	r.ok(r.worker().Compare(r.t.Context()))
	return r.mustBeFounded()
}

// mustBeFounded checks that every place has the same id, and the catalog knows that.
func (r *rig) mustBeFounded() string {
	r.t.Helper()
	row, err := r.rows.Installation(r.t.Context())
	r.ok(err)
	if row.ID == "" || row.FoundedAt.IsZero() {
		r.t.Errorf("not founded: %+v", row)
	}
	for _, m := range r.worker().others() {
		if id, err := m.read(r.t.Context()); err != nil || id != row.ID {
			r.t.Errorf("%s has %q, %v; the catalog %q", m.label().title, id, err, row.ID)
		}
	}
	return row.ID
}

// mustBeToldToStop checks that a program learns of a mismatch that was found.
func (r *rig) mustBeToldToStop(i *Installation) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	if err := i.Wait(ctx); !isMismatch(err) {
		r.t.Errorf("not told to stop, but %v", err)
	}
}

// startLife starts a workflow that nobody runs, and waits until lists show it.
func (r *rig) startLife() {
	r.t.Helper()
	ctx := r.t.Context()
	_, err := r.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: video.NewID().WorkflowID(), TaskQueue: video.ControlQueue}, video.LifecycleWorkflow)
	r.ok(err)
	r.until("a list shows the life", func() bool {
		found, err := r.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'Lifecycle'"})
		r.ok(err)
		return len(found.GetExecutions()) > 0
	})
}
