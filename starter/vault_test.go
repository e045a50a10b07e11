package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/video"
)

// Operators see whether everything in the vault opens, and put it under a new root.
func TestVaultFromTheCommandLine(t *testing.T) {
	s, dir := devstacktest.Start(t, devstacktest.Temporal, devstacktest.Primary), t.TempDir()
	o, err := gatewayOn(t, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if err := o.keys.Make(t.Context(), video.NewID()); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		t.Helper()
		run, sh, out := command(t, s, dir, append([]string{"vault"}, args...)...)
		err := run.Run(sh)
		return out.String(), exitCode(sh.ctx, err)
	}
	if said, code := run("check"); code != 0 || !strings.Contains(said, "keys 1, of which tentative 1") || !strings.HasSuffix(said, "ok\n") {
		t.Errorf("check: %d, %q", code, said)
	}
	root := filepath.Join(dir, "vault", "root")
	before, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	if said, code := run("rotate"); code != 0 {
		t.Errorf("rotate: %d, %q", code, said)
	}
	if after, err := os.ReadFile(root); err != nil || string(after) == string(before) {
		t.Errorf("the root is the same; %v", err)
	}
	buckets, err := filepath.Glob(filepath.Join(dir, "vault", "tree", "bucket.*"))
	if err != nil || len(buckets) != 1 {
		t.Fatal(buckets, err)
	}
	if err := os.WriteFile(buckets[0], []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code := run("check"); code != 1 || !strings.Contains(said, "damaged: bucket.") {
		t.Errorf("check of a damaged vault: %d, %q", code, said)
	}
}
