package media

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"github.com/reelflow/reelflow/video"
)

// Breakdown is a failure of ffmpeg's on an upload for which nothing of this machine is
// known to be to blame: it ended in an error, crashed, used up its time, or made something
// else than was planned. Either the upload does that to it, or this machine after
// all, which one process can't tell: if its SelfTest passes, and another process of the
// same release ends by the same Exit, it is the upload.
//
// It unwraps to a video.Error of a code that may be tried again.
type Breakdown struct {
	Exit  string // how it ended, in the same words wherever it ends that way
	Words string // what ffmpeg said last; it may quote the upload, and is for operators alone
	err   *video.Error
}

// Error includes Words: it is meant for logs.
func (b *Breakdown) Error() string { return b.err.Error() }

// Unwrap returns the *video.Error.
func (b *Breakdown) Unwrap() error { return b.err }

// errUnjoinable says that the pieces, as they were made of the upload, don't join.
var errUnjoinable = errors.New("the segments can't be cut")

// breakdown makes a Breakdown of what nothing but an upload, or an unknown fault of this
// machine, can be the cause of. Other errors stay as they are.
func breakdown(err error) error {
	exit, failed := errors.AsType[*ExitError](err)
	_, coded := errors.AsType[*video.Error](err)
	how := ""
	switch {
	case coded: // whoever gave it a code knows the cause
		return err
	case failed:
		how = exit.how()
	default:
		for _, known := range []error{errShort, errTooMuch, errUnjoinable} {
			if errors.Is(err, known) {
				how = known.Error()
			}
		}
	}
	if how == "" {
		return err
	}
	return brokenDown(how, err, video.Internal)
}

func brokenDown(how string, cause error, code video.Code) *Breakdown {
	return &Breakdown{
		Exit: how, Words: addresses.ReplaceAllString(cause.Error(), ""),
		err: video.Errorf(code, "The video could not be processed.").Because(cause),
	}
}

// addresses are those of an origin, which mean nothing to a reader.
var addresses = regexp.MustCompile(`https?://127\.0\.0\.1:\d+/\w+/`)

// how names the program and the way in which it ended.
func (e *ExitError) how() string {
	program := filepath.Base(e.Program)
	switch {
	case e.OverTime:
		return program + ": used up its processor time"
	case e.crashed(): // by one signal or another: what was written over is chance
		return program + ": crashed"
	}
	return program + ": " + e.ending()
}

// crashed reports whether the program was ended by a fault of its own, as broken data
// may bring about. What it lacks it would have said.
func (e *ExitError) crashed() bool {
	signal := e.Signal
	if signal == 0 && e.Status > 128 {
		signal = syscall.Signal(e.Status - 128) // as a shell has it
	}
	// SIGABRT doesn't reach the first process of a namespace: there abort(3) ends by a trap.
	faults := []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGFPE, syscall.SIGTRAP, syscall.SIGILL}
	fault := slices.Contains(faults, signal)
	return fault && !blamesMachine(e.Stderr)
}
