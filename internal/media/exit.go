package media

import (
	"fmt"
	"os/exec"
	"regexp"
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
func (e *ExitError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Program, e.ending(), e.Stderr) }

func (e *ExitError) ending() string {
	if e.Signal != 0 {
		return e.Signal.String()
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// machineFault reports whether the failure points at this machine or at its
// ffmpeg: the program could not be loaded, doesn't know what it was asked for, was
// killed or crashed, or ran out of memory, threads, files or space. Such a failure says
// nothing about the input. All the processor time that a job may have is the
// exception: it was there, and the input used it up.
func (e *ExitError) machineFault() bool {
	switch {
	case e.OverTime:
		return false
	case e.Signal != 0:
		return true
	case e.Status >= 125 && e.Status < 128+32: // a loader's or a shell's word; 128 and more is a signal that a shell saw
		return true
	case e.Status == 255 && e.Stderr == "": // ffmpeg took a signal and said nothing
		return true
	default:
		return blamesMachine(e.Stderr)
	}
}

// blamesMachine looks in a program's last words for what has to do with this
// machine or with its ffmpeg alone. The words are those of ffmpeg 5 to 8, of its encoders,
// and of the C libraries of Debian, Alpine and macOS, in English (Runner sets
// the locale). Missing from them is "Operation not permitted": old
// decoders say so of broken data.
func blamesMachine(stderr string) bool { return machineWords.MatchString(stderr) }

var machineWords = regexp.MustCompile(`(?i)` + strings.Join([]string{
	// It isn't the ffmpeg that we need.
	`(de|en)coder( \S+| \(codec \S+\))? not found`, `unknown (de|en)coder`, `no decoder found`, `encoder selection failed`, `selecting an encoder`,
	`unrecognized option`, `option( \S+)? not found`, `unable to parse option`, `error setting option`,
	`no such filter`, `(filter|muxer|protocol) not found`, `suitable output format`, `unknown (input|output) format`,
	`opening encoder`, `to the encoder`, `hardware accelerated`, `function not implemented`,
	// It could not be loaded.
	`loading shared libraries`, `cannot open shared object`, `symbol lookup error`, `version .* not found`, `library not loaded`, `exec format error`,
	// Something ran out, or may not be used.
	`\b(allocate|allocating|allocation)\b`, `\bmalloc`, `bad_alloc`, `out of memory`, `get_buffer\(\) failed`,
	`temporarily unavailable`, `pthread`, `thread creation`, `create thread`,
	`no space left`, `quota exceeded`, `file too large`, `read-only file system`, `permission denied`,
	`too many open files`, `no file descriptors`,
	// The way to the input, which is ours, is broken.
	`connection (refused|reset|timed out)`, `cannot assign requested address`, `network is (unreachable|down)`,
}, "|"))
