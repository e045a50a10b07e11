package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/reelflow/reelflow/activities"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/internal/sandbox"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/internal/vault"
)

// Work that is under way when the worker is to stop has a moment to end by
// itself; then it is canceled, so that another worker can take it at once; and
// what ignores that is left to its timeouts.
const (
	finishTimeout = 3 * time.Second
	stopTimeout   = 10 * time.Second
)

// Worker is a process that takes work from the task queues of its role.
type Worker struct {
	temporal   client.Client
	namespace  string
	address    string // of Temporal
	catalog    *catalog.Catalog
	vault      vault.Vault
	workers    []worker.Worker
	metrics    *telemetry.Metrics
	health     *telemetry.Health
	log        *slog.Logger
	cancelWork context.CancelFunc // cancels every activity under way
	failed     chan error         // told of a worker that can't go on

	installation *identity.Installation
	purges       []objects.Store // those that it may have to purge
}

// open connects to everything that the role needs, and waits for Temporal where
// that isn't up yet. Close what it returns.
func open(ctx context.Context, c *config.Config, m *telemetry.Metrics, h *telemetry.Health, log *slog.Logger) (_ *Worker, err error) {
	w := &Worker{log: log, metrics: m, health: h, cancelWork: func() {}, failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if w.catalog, err = catalog.Open(ctx, string(c.DatabaseURL)); err != nil {
		return nil, err
	}
	if w.vault, err = vault.OpenAt(ctx, vault.Settings{Address: string(c.Vault), Root: string(c.VaultRoot), Rotation: c.RootRotation, Log: log}); err != nil {
		return nil, err
	}
	w.vault = w.metrics.Vault(w.vault)
	stores, err := objects.OpenAll(string(c.Primary), c.Backups.Strings())
	if err != nil {
		return nil, err
	}
	stores = w.metrics.Stores(stores)
	as := newIdentity(c.Role)
	a := &activities.Activities{Catalog: w.catalog, Vault: w.vault, Log: log, Settling: c.AuditSettle, Policy: c.Policy()}
	a.Receipts = receiptFacts(c)
	if takes(c.Role, "transfer") {
		a.Fetch = fetch.New(fetch.Policy{Allow: fetch.Hosts(c.ImportAllow), MaxBytes: c.MaxBytes})
	}
	if takes(c.Role, "media") {
		if a.Media, err = tools(ctx, c, log); err != nil {
			return nil, err
		}
		a.Media.Worked = w.metrics.Worked
		a.Process = activities.Process{ID: as, Release: config.Version() + ", " + a.Media.Version}
	}
	if w.temporal, w.namespace, w.address, err = dial(ctx, c, as, w.metrics, w.health, log); err != nil {
		return nil, err
	}
	a.Temporal = w.temporal
	if err := w.compare(ctx, c, stores); err != nil {
		return nil, err
	}
	a.Stores, a.Identity = w.installation.Stores(), w.installation
	if takes(c.Role, "transfer") {
		w.purges = a.Stores.All()
	}
	// Only a ledger that belongs here may bury anything.
	if _, err := ledger.Apply(ctx, w.vault, w.catalog); err != nil {
		return nil, err
	}
	if err := registerAttributes(ctx, w.temporal, w.namespace); err != nil {
		return nil, err
	}
	if takes(c.Role, "control") {
		if err := scheduleAudit(ctx, w.temporal, c.AuditEvery); err != nil {
			return nil, err
		}
	}
	if err := w.build(ctx, c, a); err != nil {
		return nil, err
	}
	w.show(c, a)
	return w, nil
}

// receiptFacts are what receipts say of this worker. It validates erasures where it knows how
// people reach the gateway.
func receiptFacts(c *config.Config) activities.ReceiptFacts {
	facts := activities.ReceiptFacts{Release: config.Version(), Vault: vault.Home(string(c.Vault))}
	if c.PublicURL != "" {
		facts.Validator = receipts.Gateway{Address: c.PublicURL}
	}
	return facts
}

// compare makes sure that the places of the settings belong together before anything
// is done with them.
func (w *Worker) compare(ctx context.Context, c *config.Config, stores objects.Set) error {
	w.installation = identity.New(identity.Places{
		Catalog: w.catalog, Vault: w.vault, Stores: stores, Log: w.log,
		CatalogAt: c.DatabaseURL.String(), VaultAt: c.Vault.String(),
	})
	w.installation.SetTemporal(identity.Temporal{
		Client: w.temporal, Namespace: w.namespace, Address: w.address,
		AuditEvery: c.AuditEvery, Makes: true,
	})
	if err := w.installation.Compare(ctx); err != nil {
		return err
	}
	return w.installation.AwaitTemporal(ctx)
}

// tools finds ffmpeg, clears away what killed workers left, and lets ffmpeg prove
// that it can do the work: without that there is no worker, for it would take
// sound videos for broken. As many jobs run side by side as there are cores, so
// each has one thread.
func tools(ctx context.Context, c *config.Config, log *slog.Logger) (*media.Tools, error) {
	t, err := media.Find()
	if err != nil {
		return nil, err
	}
	t.Threads, t.MaxDuration = 1, c.MaxDuration
	if c.Scratch != "" {
		t.Runner.Scratch = c.Scratch
	}
	if !t.Runner.InMemory() {
		log.Warn("media work is done on a disk, where what was deleted may rest; give --scratch a folder in memory", "scratch", t.Runner.Scratch)
	}
	if err := t.Runner.Sweep(); err != nil {
		return nil, err
	}
	if err := openSandbox(ctx, c, t, log); err != nil {
		return nil, err
	}
	return t, t.SelfTest(ctx)
}

// openSandbox lets the tools run in what there is of a sandbox, and says what is missing.
func openSandbox(ctx context.Context, c *config.Config, t *media.Tools, log *slog.Logger) error {
	s, err := sandbox.Open(ctx, sandbox.Mode(c.Sandbox))
	if err != nil {
		return err
	}
	t.Runner.Sandbox = s
	if s == nil {
		log.Warn("ffmpeg runs without a sandbox")
		return nil
	}
	s.Fit(ctx, t.MustRun)
	for _, lack := range s.Lacks() {
		log.Warn("the sandbox of ffmpeg lacks a layer", "layer", lack.Layer, "error", lack.Err)
	}
	if sandbox.Mode(c.Sandbox) == sandbox.Require {
		return s.Check()
	}
	return nil
}

// Run takes work until ctx ends, and calls ready once it does. It returns when
// the work under way has ended or was handed back: nil if it was told to stop, and an
// *identity.Mismatch if a place was found not to belong here.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	for _, each := range w.workers {
		if err := each.Start(); err != nil {
			w.stop()
			return err
		}
	}
	ready()
	watching, stopWatching := context.WithCancel(ctx)
	mismatch := make(chan error, 1)
	go func() { mismatch <- w.installation.Wait(watching) }()
	var probing sync.WaitGroup
	probing.Go(func() { w.probe(watching) })
	defer probing.Wait()
	defer stopWatching()
	var err error
	select {
	case <-ctx.Done():
		w.log.Info("stopping")
		w.health.Drain()
	case err = <-w.failed:
	case err = <-mismatch: // nil when ctx has ended
	}
	w.stop()
	return err
}

// stop hands back what doesn't end in time.
func (w *Worker) stop() {
	handBack := func() {
		w.log.Info("handing back the work under way")
		w.cancelWork()
	}
	defer time.AfterFunc(finishTimeout, handBack).Stop()
	var all sync.WaitGroup
	for _, each := range w.workers {
		all.Go(each.Stop)
	}
	all.Wait()
	w.workers = nil
}

// Close lets go of everything. It may be called at any time, more than once.
func (w *Worker) Close() error {
	w.cancelWork()
	var errs []error
	if w.temporal != nil {
		w.temporal.Close()
		w.temporal = nil
	}
	if w.vault != nil {
		errs = append(errs, w.vault.Close())
		w.vault = nil
	}
	if w.catalog != nil {
		errs = append(errs, w.catalog.Close())
		w.catalog = nil
	}
	return errors.Join(errs...)
}

// width is how many activities of a role run side by side in one process.
func width(role string) int {
	switch role {
	case "media":
		return runtime.GOMAXPROCS(0) // also where a container has less than the machine
	case "transfer":
		return 16 // bound by the network and by the buffers of a copy
	default:
		return 100 // short, and mostly waiting
	}
}
