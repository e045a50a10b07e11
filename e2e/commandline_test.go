package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reelflow/reelflow/internal/commandtest"
)

// The scripts of testdata run the command line against everything that really
// runs. Each is somebody else.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	r := shared(t)
	commandtest.Run(t, testscript.Params{
		Files: []string{"testdata/life.txtar", "testdata/pause.txtar", "testdata/refusals.txtar", "../starter/testdata/usage.txtar"},
		Setup: func(env *testscript.Env) error {
			for _, setting := range r.Env() {
				if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "REELFLOW_") {
					env.Setenv(name, value)
				}
			}
			env.Setenv("PATH", filepath.Join(root(t), "bin")+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("REELFLOW_TOKEN", "dev:"+filepath.Base(env.WorkDir))
			return nil
		},
		Cmds: map[string]commandtest.Command{"clip": copyClip},
	})
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
