package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts of testdata run the command line against everything that really
// runs. Each is somebody else.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	r := shared(t)
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/life.txtar", "testdata/pause.txtar", "testdata/refusals.txtar", "../starter/testdata/usage.txtar"},
		Setup: func(env *testscript.Env) error {
			for _, setting := range r.Env() {
				if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "REELFLOW_") {
					env.Setenv(name, value)
				}
			}
			env.Setenv("PATH", filepath.Join(root(t), "bin")+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("REELFLOW_TOKEN", "dev:"+filepath.Base(env.WorkDir))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"clip":       copyClip,
			"id":         keepID,
			"exec-code":  execCode,
			"eventually": eventually,
		},
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

var idForm = regexp.MustCompile(`[a-z2-7]{26}`)

// id keeps the first id in the last output as $ID.
func keepID(ts *testscript.TestScript, _ bool, _ []string) {
	out := ts.ReadFile("stdout")
	id := idForm.FindString(out)
	if id == "" {
		ts.Fatalf("no id in %q", out)
	}
	ts.Setenv("ID", id)
}

// exec-code CODE PROGRAM... runs a program that must end with this exit code.
func execCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d instead of %s", code, args[0])
	}
}

// eventually PATTERN PROGRAM... runs a program until it succeeds and its output matches.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("after a minute still not so: %s (%v)", args[0], err)
		}
	}
}
