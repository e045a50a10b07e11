package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// registerHealth registers what load balancers and Prometheus ask.
func (g *Gateway) registerHealth(mux *routeTable) {
	g.RegisterHealth(mux)
	mux.HandleFunc("GET /metrics", g.errors.Handle(g.metrics))
}

// RegisterHealth registers /healthz and /readyz, also on an address beside the public one.
func (g *Gateway) RegisterHealth(mux interface {
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { g.writeReadiness(w, readiness{Status: "ok"}) })
	mux.HandleFunc("GET /readyz", g.errors.Handle(g.ready))
}

// metrics answers operators: how much an installation is used is nobody else's affair. In
// development mode, in which everybody may be one, it answers without being told who asks.
func (g *Gateway) metrics(w http.ResponseWriter, r *http.Request) error {
	if g.settings.Meter == nil {
		return problem.NothingHere()
	}
	if g.settings.Auth != "dev" {
		who, err := people.SignedIn(r.Context())
		if err != nil {
			return err
		}
		if !who.Operator {
			return video.Errorf(video.Forbidden, "Only operators may read the metrics here. Machines inside read them at the health address (REELFLOW_HEALTH_ADDR).")
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	g.settings.Meter.Handler().ServeHTTP(w, r)
	return nil
}

// readiness is what /readyz tells: what the gateway reaches, and what it must do
// without. It serves while it has catalog and vault: playback, pages and lists need no
// more, and what needs a store or Temporal says so by itself. Were those counted, one
// outage of theirs would take every gateway away at once.
type readiness struct {
	Status   string            `json:"status"` // ok or degraded
	Parts    map[string]string `json:"parts,omitempty"`
	Degraded []string          `json:"degraded,omitempty"`

	missing []string // without these it can't serve
	until   time.Time
}

// health remembers what was found for a moment: nobody needs credentials to ask.
type health struct {
	draining atomic.Bool

	mu         sync.Mutex
	last       readiness
	unattended []string // roles without a worker, as they were when it was last asked
	askWorkers time.Time
}

const (
	readinessKept = time.Second
	readinessWait = 2 * time.Second
	workersKept   = 5 * time.Second
)

// Drain makes /readyz answer 503 from now on, while everything else goes on: a load
// balancer is to send its requests elsewhere before the listener closes.
func (g *Gateway) Drain() { g.health.draining.Store(true) }

func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) error {
	if g.health.draining.Load() {
		return video.Errorf(video.Unavailable, "Not ready: this gateway is being stopped.").For("draining")
	}
	found := g.readiness(r.Context())
	if len(found.missing) > 0 {
		return video.Errorf(video.Unavailable, "Not ready: can't reach %s.", strings.Join(found.missing, ", "))
	}
	g.writeReadiness(w, found)
	return nil
}

// readiness looks at everything at once, at most once a second for all who ask.
func (g *Gateway) readiness(ctx context.Context) readiness {
	g.health.mu.Lock()
	defer g.health.mu.Unlock()
	if time.Now().Before(g.health.last.until) {
		return g.health.last
	}
	// Whoever asks first may go; the others wait for the same answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessWait)
	defer cancel()
	g.health.last = g.reach(ctx)
	g.health.last.until = time.Now().Add(readinessKept)
	return g.health.last
}

func (g *Gateway) reach(ctx context.Context) readiness {
	parts := map[string]func(context.Context) error{
		"catalog": g.catalog.Ready, "store": g.stores.Primary.Ready, "temporal": g.lives.Ready,
		"vault": func(ctx context.Context) error { _, err := g.vault.Pepper(ctx); return err },
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	found := readiness{Status: "ok", Parts: map[string]string{}}
	for name, check := range parts {
		wait.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			found.note(name, err)
			if err != nil {
				g.log.Warn("out of reach", "part", name, "error", err)
			}
		})
	}
	wait.Wait()
	found.noteWorkers(g.unattended(ctx))
	slices.Sort(found.missing)
	slices.Sort(found.Degraded)
	return found
}

// unattended returns the roles without a worker, asked for every few seconds; nil where that
// can't be found out. It is called by one goroutine at a time.
func (g *Gateway) unattended(ctx context.Context) []string {
	h := &g.health
	if time.Now().Before(h.askWorkers) {
		return h.unattended
	}
	without, err := g.lives.Unattended(ctx)
	if err != nil {
		without = nil // Temporal is out of reach, and that is said
	}
	h.unattended, h.askWorkers = without, time.Now().Add(workersKept)
	return without
}

// noteWorkers says which work nobody does at the moment. What is asked for is on record.
func (f *readiness) noteWorkers(without []string) {
	for _, role := range without {
		f.Status, f.Parts[role] = "degraded", "no worker"
		f.Degraded = append(f.Degraded, role)
	}
}

func (f *readiness) note(part string, err error) {
	switch {
	case err == nil:
		f.Parts[part] = "ok"
	case part == "catalog" || part == "vault":
		f.missing = append(f.missing, part)
	default:
		f.Status, f.Parts[part] = "degraded", "out of reach"
		f.Degraded = append(f.Degraded, part)
	}
}

func (g *Gateway) writeReadiness(w http.ResponseWriter, found readiness) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(found); err != nil {
		g.log.Debug("answer not sent", "error", err)
	}
}
