package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// extra is a program beside the stack's own, with settings that differ.
type extra struct {
	first string // what it printed first: that it is ready
	log   func() string
	stop  func()
}

// run starts a program of reelflow and waits until it is ready. It ends with the
// test, if it is not stopped before.
func (r *rig) run(program string, env []string, args ...string) extra {
	r.t.Helper()
	log, err := os.Create(filepath.Join(r.t.TempDir(), program+".log"))
	r.must(err)
	command := exec.Command(filepath.Join(root(r.t), "bin", program), append(args, "--stdin-parent")...)
	command.Env, command.Stderr = env, log
	alive, err := command.StdinPipe() // it stops when this end is closed, also by our death
	r.must(err)
	out, err := command.StdoutPipe()
	r.must(err)
	r.must(command.Start())
	e := extra{log: func() string {
		text, err := os.ReadFile(log.Name())
		r.must(err)
		return string(text)
	}}
	stopped := false
	e.stop = func() {
		if stopped {
			return
		}
		stopped = true
		alive.Close()
		killer := time.AfterFunc(20*time.Second, func() { command.Process.Signal(syscall.SIGKILL) })
		defer killer.Stop()
		if err := command.Wait(); err != nil {
			r.t.Errorf("%s: %v", program, err)
		}
		log.Close()
	}
	r.t.Cleanup(e.stop)
	lines := bufio.NewReader(out)
	if e.first, err = lines.ReadString('\n'); err != nil {
		r.t.Fatalf("%s did not become ready: %v\n%s", program, err, e.log())
	}
	e.first = strings.TrimSpace(e.first)
	go io.Copy(io.Discard, lines)
	return e
}
