// Package stack runs reelflow as child processes: devstack (Temporal with its UI
// and the S3 stores), workers and gateways, for `make run`, the demo and the
// tests of the running system.
//
// All state lies in Options.Dir: devstack/ (Temporal and the stores), logs/ (one
// file a process), and what the settings put there - the catalog, the vault. It
// survives the stack. The processes end with Close, and on their own when the
// process that started them dies in any way.
package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say what to start. The zero value of a field is its default.
type Options struct {
	Bin string // folder of the programs devstack, worker and starter
	Dir string // folder of all state; made where it is missing

	// FreePorts chooses every address anew; without it the addresses below are
	// used, or devstack's usual ones.
	FreePorts                      bool
	HTTPAddr, TemporalAddr, UIAddr string
	HealthAddr                     string   // of the first worker; a free port by default
	StoreAddrs                     []string // of primary, backup-a, backup-b
	Separate                       bool     // a process for each part of devstack, to be harmed one by one
	Workers, Gateways              int      // 1 each by default; below 0 for none
	Roles                          []string // of the workers, in their order; all by default
	Env                            []string // settings of workers and gateways, NAME=value
	Echo                           io.Writer
	ReadyWithin                    time.Duration // a minute by default

	// Reach, if set, is asked once for each store how workers and gateways are to
	// reach it: tests put a proxy in between.
	Reach func(Store) (Store, error)
}

// Store is one S3 store of the stack.
type Store struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"` // http://HOST:PORT
	URL      string `json:"url"`      // as REELFLOW_PRIMARY takes it, credentials included
}

// Stack is everything that runs.
type Stack struct {
	Temporal string // HOST:PORT
	UI       string // URL
	Metrics  string // URL of Temporal's own metrics
	Stores   []Store
	URLs     []string // of the gateways
	Health   []string // URLs of the workers' health addresses

	Parts    map[string]*Process // of devstack: "devstack", or with Separate "temporal", "primary", ...
	Workers  []*Process
	Gateways []*Process

	options Options
	reached []Store // Stores as workers and gateways reach them
	ports   claims
	order   []*Process // as started
	failure chan error
}

// Start starts all of it and returns once everything is ready. What was started
// before a failure is stopped again.
func Start(ctx context.Context, o Options) (*Stack, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.ReadyWithin == 0 {
		o.ReadyWithin = time.Minute
	}
	s := &Stack{options: o, Parts: map[string]*Process{}, failure: make(chan error, 1)}
	if err := os.RemoveAll(filepath.Join(dir, "logs")); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.ReadyWithin)
	defer cancel()
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) startAll(ctx context.Context) error {
	if err := s.startDevstack(ctx); err != nil {
		return err
	}
	for i := range atLeastOne(s.options.Workers) {
		if err := s.startWorker(ctx, i); err != nil {
			return err
		}
	}
	for i := range atLeastOne(s.options.Gateways) {
		if err := s.startGateway(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func atLeastOne(n int) int {
	if n == 0 {
		return 1
	}
	return max(n, 0)
}

// start adds a process and waits until it is ready.
func (s *Stack) start(ctx context.Context, name, program string, env []string, args ...string) (*Process, string, error) {
	var said string
	p := &Process{
		Name: name, Log: filepath.Join(s.options.Dir, "logs", name+".log"),
		path: filepath.Join(s.options.Bin, program), args: args, env: env, echo: s.options.Echo, failure: s.failure,
		onReady: func(line string) error { said = strings.TrimSpace(line); return nil },
	}
	s.order = append(s.order, p)
	err := p.start(ctx)
	return p, said, err
}

func (s *Stack) startDevstack(ctx context.Context) error {
	if !s.options.Separate {
		return s.startParts(ctx, "devstack")
	}
	for _, part := range []string{"temporal", "primary", "backup-a", "backup-b"} {
		if err := s.startParts(ctx, part, "--only", part); err != nil {
			return err
		}
	}
	return nil
}

// startParts runs devstack once and learns the addresses that it reports.
func (s *Stack) startParts(ctx context.Context, name string, only ...string) error {
	dir := filepath.Join(s.options.Dir, "devstack")
	args := append([]string{"--dir", dir, "--stdin-parent"}, only...)
	p, said, err := s.start(ctx, name, "devstack", outside(), append(slices.Clone(args), s.addressFlags()...)...)
	if err != nil {
		return err
	}
	var report struct {
		Temporal, UI, Metrics string
		Stores                []Store
	}
	if err := json.Unmarshal([]byte(said), &report); err != nil {
		return fmt.Errorf("%s did not say where it is: %w", name, err)
	}
	if report.Temporal != "" {
		s.Temporal, s.UI, s.Metrics = report.Temporal, report.UI, report.Metrics
		args = append(args, "--temporal-addr", hostOf(report.Temporal), "--ui-addr", hostOf(report.UI), "--metrics-addr", hostOf(report.Metrics))
	}
	for _, store := range report.Stores {
		args = append(args, "--store-addr", store.Name+"="+hostOf(store.Endpoint))
		if s.options.Reach != nil {
			if store, err = s.options.Reach(store); err != nil {
				return err
			}
		}
		s.reached = append(s.reached, store)
	}
	p.args = args
	s.Stores = append(s.Stores, report.Stores...)
	s.Parts[name] = p
	return nil
}

func (s *Stack) addressFlags() []string {
	o := s.options
	if o.FreePorts {
		return []string{"--free-ports"}
	}
	var flags []string
	if o.TemporalAddr != "" {
		flags = append(flags, "--temporal-addr", o.TemporalAddr)
	}
	if o.UIAddr != "" {
		flags = append(flags, "--ui-addr", o.UIAddr)
	}
	for i, name := range []string{"primary", "backup-a", "backup-b"}[:min(3, len(o.StoreAddrs))] {
		flags = append(flags, "--store-addr", name+"="+o.StoreAddrs[i])
	}
	return flags
}

// hostOf returns the host and port of a URL, or the address itself.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

func (s *Stack) startWorker(ctx context.Context, i int) error {
	health := s.options.HealthAddr
	if health == "" || i > 0 {
		var err error
		if health, err = s.ports.take(); err != nil {
			return err
		}
	}
	args := []string{"--stdin-parent", "--health-addr", health}
	if i < len(s.options.Roles) {
		args = append(args, "--role", s.options.Roles[i])
	}
	p, _, err := s.start(ctx, fmt.Sprintf("worker-%d", i+1), "worker", s.Env(), args...)
	s.Workers = append(s.Workers, p)
	s.Health = append(s.Health, "http://"+health)
	return err
}

func (s *Stack) startGateway(ctx context.Context, i int) error {
	address := s.options.HTTPAddr
	if s.options.FreePorts || address == "" || i > 0 {
		var err error
		if address, err = s.ports.take(); err != nil {
			return err
		}
	}
	p, said, err := s.start(ctx, fmt.Sprintf("gateway-%d", i+1), "starter", s.Env(), "serve", "--stdin-parent", "--http-addr", address)
	s.Gateways = append(s.Gateways, p)
	s.URLs = append(s.URLs, strings.TrimPrefix(said, "ready "))
	return err
}

// Env is the environment for programs of reelflow that are to use this stack.
func (s *Stack) Env() []string {
	env := append(outside(), "REELFLOW_DATA_DIR="+s.options.Dir, "TEMPORAL_ADDRESS="+s.Temporal,
		"REELFLOW_DRAIN=0s") // nothing in front of the gateways waits for them
	if len(s.URLs) > 0 {
		env = append(env, "REELFLOW_URL="+s.URLs[0])
	}
	var backups []string
	for _, store := range s.reached {
		if store.Name == "primary" {
			env = append(env, "REELFLOW_PRIMARY="+store.URL)
		} else {
			backups = append(backups, store.URL)
		}
	}
	env = append(env, "REELFLOW_BACKUPS="+strings.Join(backups, ","))
	return append(env, s.options.Env...)
}

// outside is the environment of this process without anybody's settings.
func outside() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "REELFLOW_") || strings.HasPrefix(pair, "TEMPORAL_")
	})
}

// Wait returns nil when ctx ends, or the failure of the first process that ends unasked.
func (s *Stack) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failure:
		return err
	}
}

// Close stops everything, the last started first, so that nobody misses what it
// needs while it finishes. The state stays. Closing twice is no error.
func (s *Stack) Close() error {
	var errs []error
	for _, p := range slices.Backward(s.order) {
		errs = append(errs, p.Stop())
	}
	s.ports.close()
	return errors.Join(errs...)
}
