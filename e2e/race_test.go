package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/reelflow/reelflow/internal/stack"
)

// withRaceDetector has a stack run worker and gateway as `make race` builds them.
// Each is several times slower, so only tests that bring much about at once do it.
func withRaceDetector(t *testing.T, o stack.Options) stack.Options {
	t.Helper()
	o.Bin = filepath.Join(root(t), "bin", "race")
	return o
}

// checkNoRaces fails a test whose programs have reported a data race. A program
// goes on after one, and no one looks at the exit status of one that is stopped.
func checkNoRaces(t *testing.T, dir string) {
	t.Helper()
	for log, report := range raceReports(t, dir) {
		t.Errorf("%s reports a data race:\n%s", log, report)
	}
}

// raceReports finds what the race detector has written first into each log.
func raceReports(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	found := map[string][]byte{}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(text, []byte("WARNING: DATA RACE")); at >= 0 {
			found[filepath.Base(path)] = text[at:min(len(text), at+6000)]
		}
	}
	return found
}

// What this version of Go reports must be what checkNoRaces looks for.
func TestRacesAreNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, arguments := range map[string][]string{"races.log": nil, "waits.log": {"wait"}} {
		out, err := exec.Command("go", append([]string{"run", "-race", "./testdata/race"}, arguments...)...).CombinedOutput()
		if failed := err != nil; failed != (arguments == nil) {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, "logs", name), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reports := raceReports(t, dir)
	if len(reports) != 1 || reports["races.log"] == nil {
		t.Errorf("reports are found in %d logs: %q", len(reports), reports)
	}
}
