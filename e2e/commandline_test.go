package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reelflow/reelflow/internal/commandtest"
	"github.com/reelflow/reelflow/internal/stack"
)

// The scripts of testdata run the command line against everything that really
// runs. Each is somebody else.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	scripts(t, shared(t), nil, "life", "pause", "refusals", "../../starter/testdata/usage")
}

// Drafts, imports, and what support can take back while the grace of a cancel runs.
func TestCommandLineWithGrace(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: append([]string{"REELFLOW_CANCEL_GRACE=12s"}, importing...)})
	s := newSource(t, clip(t, 6, 270, true), 6)
	scripts(t, r, []string{"SOURCE=" + s.URL + "/clip.mp4"}, "drafts", "restore", "import")
}

func scripts(t *testing.T, r *rig, settings []string, names ...string) {
	t.Helper()
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join("testdata", name+".txtar"))
	}
	commandtest.Run(t, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			for _, setting := range append(r.Env(), settings...) {
				if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "REELFLOW_") || slices.Contains(settings, setting) {
					env.Setenv(name, value)
				}
			}
			env.Setenv("PATH", filepath.Join(root(t), "bin")+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("REELFLOW_TOKEN", "dev:"+filepath.Base(env.WorkDir))
			return nil
		},
		Cmds: map[string]commandtest.Command{"clip": copyClip, "altered": alter},
	})
}

// altered FILE COPY copies a file with its last byte changed.
func alter(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	data[len(data)-1]++
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}

// clip FILE SECONDS [noise] makes a video.
func copyClip(ts *testscript.TestScript, _ bool, args []string) {
	seconds, err := strconv.Atoi(args[1])
	ts.Check(err)
	made, err := makeClip(seconds, 270, len(args) > 2)
	ts.Check(err)
	data, err := os.ReadFile(made)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
