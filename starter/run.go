package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/stack"
)

type runCommand struct{}

// Run starts everything on this machine and ends with it: at Ctrl-C, when a part
// fails, and when whoever started us is gone.
func (runCommand) Run(s *shell) error {
	lock, err := stack.TakeLock(s.DataDir)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := lock.Say(fmt.Sprintf("process %d, http://%s", os.Getpid(), s.HTTPAddr)); err != nil {
		return err
	}
	options, err := runOptions(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go untilOrphaned(ctx, cancel)
	all, err := stack.Start(ctx, options)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it was starting
		}
		return err
	}
	printAddresses(s, all)
	err = all.Wait(ctx)
	return errors.Join(err, all.Close())
}

// runOptions settles every address beforehand, so that one in use is named with
// the setting that moves it.
func runOptions(s *shell) (stack.Options, error) {
	bin, err := programs()
	if err != nil {
		return stack.Options{}, err
	}
	temporal, err := config.Temporal(s.Logger(os.Stderr))
	if err != nil {
		return stack.Options{}, err
	}
	if s.LogFormat == "auto" && isatty.IsTerminal(os.Stderr.Fd()) {
		s.LogFormat = "text" // the children write to a file, but people read it here
	}
	o := stack.Options{
		Bin: bin, Dir: s.DataDir, Echo: s.err, HTTPAddr: s.HTTPAddr, TemporalAddr: temporal.HostPort, UIAddr: s.UIAddr, HealthAddr: s.HealthAddr,
		// What the stack decides is left out.
		Env: s.Environ("primary", "backups", "data-dir", "url", "http-addr", "ui-addr", "health-addr", "role", "stdin-parent"),
	}
	addresses := []stack.Address{
		{Name: "the gateway", Listen: s.HTTPAddr, Setting: "REELFLOW_HTTP_ADDR"},
		{Name: "Temporal", Listen: temporal.HostPort, Setting: "TEMPORAL_ADDRESS"},
		{Name: "Temporal's UI", Listen: s.UIAddr, Setting: "REELFLOW_UI_ADDR"},
	}
	if s.HealthAddr != "" {
		addresses = append(addresses, stack.Address{Name: "the worker's health", Listen: s.HealthAddr, Setting: "REELFLOW_HEALTH_ADDR"})
	}
	for i, store := range append([]config.Address{s.Primary}, s.Backups...) {
		u, err := url.Parse(string(store))
		if err != nil {
			return o, errors.New("the address of a store can't be read")
		}
		setting := "REELFLOW_BACKUPS"
		if i == 0 {
			setting = "REELFLOW_PRIMARY"
		}
		o.StoreAddrs = append(o.StoreAddrs, u.Host)
		addresses = append(addresses, stack.Address{Name: "a store", Listen: u.Host, Setting: setting})
	}
	return o, stack.CheckFree(addresses...)
}

// programs is the folder of the programs that were built together with this one.
func programs() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	dir := filepath.Dir(self)
	for _, program := range []string{"devstack", "worker"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return "", fmt.Errorf("%s is not built (make build): %w", program, err)
		}
	}
	return dir, nil
}

func printAddresses(s *shell, all *stack.Stack) {
	fmt.Fprintf(s.out, "gateway      %s\n", all.URLs[0])
	fmt.Fprintf(s.out, "worker       %s/readyz, /metrics (the gateway has them, too)\n", all.Health[0])
	fmt.Fprintf(s.out, "Temporal UI  %s\n", all.UI)
	fmt.Fprintf(s.out, "Temporal     %s\n", all.Temporal)
	for _, store := range all.Stores {
		fmt.Fprintf(s.out, "%-12s %s\n", store.Name, store.Endpoint)
	}
	fmt.Fprintf(s.out, "state        %s (make clean-data drops it)\n", s.DataDir)
	fmt.Fprintf(s.out, "next         %s\n", nextStep(s.Config, all.URLs[0]))
	fmt.Fprintf(s.out, "ready %s\n", all.URLs[0])
}

// nextStep is what somebody can do now who has never seen any of it.
func nextStep(c *config.Config, gateway string) string {
	page, command := gateway+"/signin?user=me&next=/upload", "bin/starter upload FILE"
	if c.Auth != "dev" {
		page, command = gateway+"/upload", "REELFLOW_TOKEN=… "+command
	}
	if c.URL != gateway {
		command = "REELFLOW_URL=" + gateway + " " + command
	}
	return fmt.Sprintf("open %s, or in another terminal:  %s", page, command)
}

// untilOrphaned cancels when the process that started this one is gone: nobody
// would stop us then.
func untilOrphaned(ctx context.Context, cancel func()) {
	for parent := os.Getppid(); os.Getppid() == parent; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	cancel()
}
