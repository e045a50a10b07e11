package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// command parses a command line with the places of a stack, and the data of dir.
func command(t *testing.T, s *devstacktest.Stack, dir string, args ...string) (*kong.Context, *shell, *bytes.Buffer) {
	t.Helper()
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("REELFLOW_PRIMARY", s.Store(t, devstacktest.Primary).URL)
	t.Setenv("REELFLOW_BACKUPS", "")
	return parsed(t, append(args, "--data-dir", dir)...)
}

func gatewayOn(t *testing.T, s *devstacktest.Stack, dir string) (*opened, error) {
	t.Helper()
	_, sh, _ := command(t, s, dir, "serve")
	return openGateway(sh)
}

// A gateway with a vault that isn't its own doesn't start, until an operator says that
// it is.
func TestAdoptFromTheCommandLine(t *testing.T) {
	s, dir := devstacktest.Start(t, devstacktest.Temporal, devstacktest.Primary), t.TempDir()
	adopt := func(place string) (string, error) {
		t.Helper()
		run, sh, out := command(t, s, dir, "adopt", place)
		err := run.Run(sh)
		return out.String(), err
	}
	if _, err := adopt("vault"); err == nil || !strings.Contains(err.Error(), "starter adopt catalog comes first") {
		t.Errorf("before anything was founded: %v", err)
	}
	o, err := gatewayOn(t, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	o.close()
	if err := os.Rename(filepath.Join(dir, "vault"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	_, err = gatewayOn(t, s, dir)
	if _, is := errors.AsType[*identity.Mismatch](err); !is || !strings.Contains(explain(t.Context(), err), "starter adopt vault") {
		t.Fatalf("with another vault: %v", err)
	}
	said, err := adopt("vault")
	if err != nil || !strings.Contains(said, "(before: none)") || !strings.Contains(said, "temporal   belongs to no installation: starter adopt temporal") {
		t.Errorf("it said %q, %v", said, err)
	}
	if said, err := adopt("vault"); err != nil || !strings.Contains(said, "already") {
		t.Errorf("again: %q, %v", said, err)
	}
	if said, err := adopt("temporal"); err != nil || !strings.Contains(said, "now") {
		t.Errorf("Temporal: %q, %v", said, err)
	}
	if _, err := adopt("attic"); err == nil || !strings.Contains(err.Error(), "catalog, vault, primary, temporal") {
		t.Errorf("no such place: %v", err)
	}
	o, err = gatewayOn(t, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	o.close()
}

// A gateway whose store comes up as another's stops, and has touched nothing there.
func TestServeStopsForAStoreOfAnother(t *testing.T) {
	s, dir := devstacktest.Start(t, devstacktest.Temporal, devstacktest.Primary), t.TempDir()
	s.Stop(t, devstacktest.Primary)
	o, err := gatewayOn(t, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { served <- o.serve(ctx, listener) }()
	s.Restart(t, devstacktest.Primary)
	theirs, err := objects.Open(s.Store(t, devstacktest.Primary).URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Put(t.Context(), "ledger/installation.json", []byte(`{"installation":"`+video.NewID()+`"}`), objects.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.installation.Stores().Primary.Put(t.Context(), "v/x", nil, objects.PutOptions{}); video.CodeOf(err) != video.Unavailable {
		t.Errorf("told %v", err)
	}
	if err := <-served; err == nil || !strings.Contains(err.Error(), "starter adopt primary") {
		t.Errorf("it served on until it was told to stop, or ended with %v", err)
	}
	if found, err := theirs.Inventory(t.Context(), "", nil); err != nil || found.Objects != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}
