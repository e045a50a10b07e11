package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reelflow/reelflow/video"
)

// Check looks whether a part of the outside works, and fails with a *video.Error whose
// Detail is for operators.
type Check struct {
	Name string
	Run  func(context.Context) error
	// Without says that the work goes on without the part: the worker is degraded then.
	Without bool
	// Every is how long an answer is good for; checkEvery where it is zero.
	Every time.Duration
	// Passed says that it has just been found in order, and need not be looked at before Every.
	Passed bool
	// Wait bounds one look; checkWait where it is zero.
	Wait time.Duration
}

const (
	checkEvery = 5 * time.Second
	checkWait  = 3 * time.Second
	checkDelay = checkWait + time.Second // for an answer: looks that take longer go on without it
)

// Health is whether a worker can do its work. Until Watch it is not ready, because it starts.
// Its methods may be called from many goroutines.
type Health struct {
	log *slog.Logger

	mu       sync.Mutex
	waiting  string // why there are no checks yet
	draining bool
	checks   []*checked
}

// checked is a check with its last answer.
type checked struct {
	Check

	mu      sync.Mutex
	until   time.Time
	running chan struct{} // closed when the look under way is over; nil without one
	known   bool
	problem string // empty: none
}

// NewHealth makes the health of a program that is starting.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, waiting: "The worker is starting."}
}

// Waiting says why the worker doesn't work yet.
func (h *Health) Waiting(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting, h.checks = "The worker is not working yet: "+sentence(err), nil
}

// Watch says what the work needs. From then on the worker is ready while all of it is there.
func (h *Health) Watch(checks ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting, h.checks = "", nil
	for _, c := range checks {
		next := &checked{Check: c}
		if c.Passed {
			next.known, next.until = true, time.Now().Add(c.Every)
		}
		h.checks = append(h.checks, next)
	}
}

// Drain says that the worker is being stopped.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// report is the answer of /readyz.
type report struct {
	Status   string            `json:"status"` // ok, degraded or unavailable
	Detail   string            `json:"detail,omitempty"`
	Parts    map[string]string `json:"parts,omitempty"`    // ok, or a sentence
	Degraded []string          `json:"degraded,omitempty"` // the parts that the worker does without

	missing []string // the parts without which it can't work
}

func (h *Health) report() report {
	h.mu.Lock()
	draining, waiting, checks := h.draining, h.waiting, h.checks
	h.mu.Unlock()
	switch {
	case draining:
		return report{Status: "unavailable", Detail: "The worker is being stopped."}
	case waiting != "":
		return report{Status: "unavailable", Detail: waiting}
	}
	found := report{Status: "ok", Parts: map[string]string{}}
	problems := make([]string, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { problems[i] = c.look(h.log) })
	}
	all.Wait()
	for i, c := range checks {
		found.note(c.Name, problems[i], c.Without)
	}
	slices.Sort(found.Degraded)
	if len(found.missing) > 0 {
		slices.Sort(found.missing)
		found.Status, found.Detail = "unavailable", "This worker can't work without what is not in order: "+strings.Join(found.missing, ", ")+"."
	}
	return found
}

func (r *report) note(part, problem string, without bool) {
	switch {
	case problem == "":
		r.Parts[part] = "ok"
		return
	case without:
		r.Status, r.Degraded = "degraded", append(r.Degraded, part)
	default:
		r.missing = append(r.missing, part)
	}
	r.Parts[part] = problem
}

// look returns what was found last, and looks anew where that is old: however many ask, one
// look runs at a time. A look that takes too long is a problem unless an earlier one has ended.
func (c *checked) look(log *slog.Logger) (problem string) {
	c.mu.Lock()
	if time.Now().Before(c.until) {
		defer c.mu.Unlock()
		return c.problem
	}
	if c.running == nil {
		c.running = make(chan struct{})
		go c.run(log, c.running)
	}
	running := c.running
	c.mu.Unlock()
	select {
	case <-running:
	case <-time.After(checkDelay):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return "It is being looked at."
	}
	return c.problem
}

func (c *checked) run(log *slog.Logger, over chan struct{}) {
	wait, every := c.Wait, c.Every
	if wait == 0 {
		wait = checkWait
	}
	if every == 0 {
		every = checkEvery
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := c.Check.Run(ctx)
	problem := ""
	if err != nil {
		log.Warn("not in order", "part", c.Name, "error", err)
		problem, every = sentence(err), min(every, checkEvery)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.problem, c.until, c.running = true, problem, time.Now().Add(every), nil
	close(over)
}

// sentence is what may be shown of an error: causes are for logs.
func sentence(err error) string {
	if e, ok := errors.AsType[*video.Error](err); ok && e.Detail != "" {
		return e.Detail
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "It did not answer in time."
	}
	return "It does not work; the log says why."
}

// Health shows a worker's health in its metrics. Call it once.
func (m *Metrics) Health(h *Health) { m.registry.MustRegister(healthCollector{h}) }

type healthCollector struct{ health *Health }

var (
	readyDesc = gaugeDesc("reelflow_ready", "1 if the worker has what it can't work without.")
	partDesc  = gaugeDesc("reelflow_part_ok", "1 if a part that the worker needs works.", "part")
)

// Describe implements prometheus.Collector.
func (healthCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c healthCollector) Collect(into chan<- prometheus.Metric) {
	found := c.health.report()
	send := func(desc *prometheus.Desc, is bool, labels ...string) {
		value := 0.0
		if is {
			value = 1
		}
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	send(readyDesc, found.Status != "unavailable")
	for _, part := range slices.Sorted(maps.Keys(found.Parts)) {
		send(partDesc, found.Parts[part] == "ok", part)
	}
}

// Register registers /healthz, which says that the worker runs, and /readyz, which is 503 with
// a sentence a part while it can't do its work.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { write(w, report{Status: "ok"}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { write(w, h.report()) })
}

// write answers with a report; one of something that doesn't work is a problem (RFC 9457).
func write(w http.ResponseWriter, found report) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	var body any = found
	if found.Status == "unavailable" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		body = problem{Title: http.StatusText(http.StatusServiceUnavailable), Code: string(video.Unavailable), HTTPStatus: http.StatusServiceUnavailable,
			Detail: found.Detail, Parts: found.Parts, Degraded: found.Degraded}
	}
	json.NewEncoder(w).Encode(body) // whoever has gone needs no answer
}

type problem struct {
	Title      string            `json:"title"`
	HTTPStatus int               `json:"status"`
	Code       string            `json:"code"`
	Detail     string            `json:"detail"`
	Parts      map[string]string `json:"parts,omitempty"`
	Degraded   []string          `json:"degraded,omitempty"`
}

// Server is the health address of a process: what machines ask, apart from what people do.
type Server struct {
	Addr   net.Addr
	server *http.Server
}

// Listen serves /metrics on address, and /healthz and /readyz as handlers has them, until
// Close. Nobody who asks is asked who they are: it is an address for the inside of a network.
func Listen(address string, m *Metrics, register func(*http.ServeMux), log *slog.Logger) (*Server, error) {
	listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	register(mux)
	s := &Server{listener.Addr(), &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	go s.server.Serve(listener) // until Close
	log.Info("health and metrics", "url", "http://"+listener.Addr().String())
	return s, nil
}

// listen waits a moment for an address that the process before this one has just left: the
// socket stays in use while a program that it has started is being forked.
func listen(address string) (listener net.Listener, err error) {
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		listener, err = net.Listen("tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return listener, err
		}
	}
}

// Close ends it; nil is no server.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	return s.server.Close()
}
