// Package commandtest runs scripts about the command line, with the commands that
// all of them share. Scripts are testscript files (txtar); what they run and
// against which gateway their test decides. Everything a script makes lies in its
// own working folder and goes with it.
package commandtest

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Command is a command of scripts.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts of p, each with the commands of this package, which p.Cmds
// may add to, and with unfinished uploads remembered in its own folder.
func Run(t *testing.T, p testscript.Params) {
	t.Helper()
	setup, own := p.Setup, p.Cmds
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
		return setup(env)
	}
	p.Cmds = map[string]Command{"id": keepID, "exec-code": execCode, "eventually": eventually, "touch": touch, "append": appendTo}
	maps.Copy(p.Cmds, own)
	testscript.Run(t, p)
}

var idForm = regexp.MustCompile(`\b[a-z2-7]{26}\b`)

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

// touch FILE gives a file another date.
func touch(ts *testscript.TestScript, _ bool, args []string) {
	date := time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), date, date))
}

// append FILE makes a file longer by a byte.
func appendTo(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = file.Write([]byte{0})
	ts.Check(errors.Join(err, file.Close()))
}

// eventually PATTERN PROGRAM... runs a program until its output matches.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("after a minute still not so: %s (%v)", args[0], err)
		}
	}
}
