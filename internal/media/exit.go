package media

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ExitError is a program's own failure. What it means, the caller of Run knows.
type ExitError struct {
	Program  string
	Status   int            // exit status, -1 if a signal ended it
	Signal   syscall.Signal // 0 if it exited by itself
	OverTime bool           // it used up its processor time
	Stderr   string         // the last words
}

func (r *Runner) exitError(program string, exit *exec.ExitError, stderr string) *ExitError {
	e := &ExitError{Program: program, Status: exit.ExitCode(), Stderr: stderr}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
		// The kernel kills by a coarser count than it reports.
		e.OverTime = e.Signal == syscall.SIGKILL && exit.UserTime()+exit.SystemTime() >= r.CPU-time.Second/2
	}
	return e
}

// Error tells the program, how it ended and its last words.
func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("%s: %v: %s", e.Program, e.Signal, e.Stderr)
	}
	return fmt.Sprintf("%s: exit status %d: %s", e.Program, e.Status, e.Stderr)
}

// ownFault is false where the program could not help it: it could not run, it
// was killed from outside, or the disk was full.
func (e *ExitError) ownFault() bool {
	switch e.Signal {
	case 0:
		return (e.Status < 125 || e.Status > 127) && !strings.Contains(e.Stderr, "No space left on device")
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		return e.OverTime
	default: // it crashed
		return true
	}
}
