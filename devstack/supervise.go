package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// How often a part is started that fails before it is ready, if it may choose its ports anew each time.
const attempts = 3

// childFailed ends devstack with the exit code of a child that has said on standard error what went wrong.
type childFailed struct{ code int }

func (c childFailed) Error() string { return fmt.Sprintf("a part ended with exit code %d", c.code) }

// supervise runs every part in a process of its own until ctx ends or one of them cannot be had.
func supervise(ctx context.Context, o options, announce func(report) error) error {
	group, ctx := errgroup.WithContext(ctx)
	ready := make([]chan report, len(o.parts))
	for i, name := range o.parts {
		ready[i] = make(chan report, 1)
		group.Go(func() error { return keep(ctx, o.part(name), ready[i]) })
	}
	group.Go(func() error {
		all, ok := gather(ctx, ready)
		if !ok {
			return nil
		}
		return announce(all)
	})
	return group.Wait()
}

// gather merges the first report of every part; not ok if ctx ended before.
func gather(ctx context.Context, ready []chan report) (all report, ok bool) {
	for _, part := range ready {
		select {
		case r := <-part:
			if r.Temporal != "" {
				all.Temporal, all.UI, all.Metrics = r.Temporal, r.UI, r.Metrics
			}
			all.Stores = append(all.Stores, r.Stores...)
		case <-ctx.Done():
			return report{}, false
		}
	}
	return all, true
}

// keep has one part running until ctx ends. A part that dies after it was ready is started again at the same addresses
// with the same state; one that does not get ready is an error.
func keep(ctx context.Context, o options, first chan<- report) error {
	for attempt := 1; ; attempt++ {
		wasReady := false
		err := runChild(ctx, o, func(r report) {
			wasReady, o = true, o.at(r)
			select {
			case first <- r:
			default: // told before, and the addresses are the same
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		var told childFailed
		refused := errors.As(err, &told) && told.code == 2
		switch {
		case wasReady:
			fmt.Fprintf(os.Stderr, "devstack: %s stopped (%v); starting it again\n", o.parts[0], err)
		case refused || !o.freePorts || attempt == attempts:
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// runChild runs one part and returns when its process has ended, always with an error. Ended ctx closes the child's
// standard input, which stops it.
func runChild(ctx context.Context, o options, ready func(report)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// On Linux the child dies with the thread that started it: hold on to that.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	o.stdinParent = true
	cmd := exec.CommandContext(ctx, self, o.args()...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = childAttr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = stopTimeout + stopTimeout/8
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", o.parts[0], err)
	}
	var r report
	if err := json.NewDecoder(stdout).Decode(&r); err == nil {
		ready(r)
	}
	return childEnd(o.parts[0], cmd.Wait())
}

// childEnd says how a child ended.
func childEnd(name string, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("%s ended by itself", name)
	case errors.As(err, &exit) && exit.Exited():
		return childFailed{exit.ExitCode()}
	}
	return fmt.Errorf("%s: %w", name, err)
}
