package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/internal/sandbox"
	"github.com/reelflow/reelflow/video"
)

// Runner runs one program on bytes that a stranger may have made. Such a
// program gets: an empty environment, a private directory in memory, its input
// over loopback, limits on its time, memory and output, and a process group that
// is killed as a whole. On Linux it dies with this process, however that dies.
type Runner struct {
	// Sandbox keeps all else from the program; nil doesn't.
	Sandbox *sandbox.Sandbox

	// Scratch is the parent of the jobs' directories. Files there are
	// plaintext: it should be in memory (InMemory tells), without swap.
	Scratch string

	CPU    time.Duration // processor time of one job, in whole seconds
	Memory int64         // bytes of data it may allocate
	File   int64         // bytes of the largest file it may write
}

// Job is one run of a program.
type Job struct {
	Program string            // absolute path
	Inputs  map[string]Source // by name, served to this program alone

	Files map[string][]byte // by name, written into the scratch directory first

	// Args builds the arguments. base is the URL, ending in a slash, to which
	// the names of inputs are appended; the working directory is the scratch.
	Args func(base string) []string

	// Stdin is what the program reads; nil is nothing. An error of Read is the job's
	// result, unless the program fails by itself.
	Stdin io.Reader

	// Stdout takes what the program prints; nil drops it. An error of Write
	// ends the job and is its result.
	Stdout io.Writer

	// Stderr takes what the program complains of; nil drops it. The last words
	// of one that fails are in its ExitError all the same.
	Stderr io.Writer

	// Collect, unless nil, is called after success with the scratch directory,
	// the last chance to take files out of it.
	Collect func(dir *os.Root) error
}

// defaultRunner ends a program that computes without end, before its activity's hour is over:
// so it is known what has failed.
func defaultRunner() Runner {
	return Runner{Scratch: defaultScratch(), CPU: 50 * time.Minute, Memory: 4 << 30, File: 1 << 30}
}

// Run runs the job to its end. When ctx ends it kills the program, waits until
// nothing of the job is left and returns ctx.Err(). Other errors are, in this
// order: those of Inputs, Stdout and Collect as they are, *ExitError if the
// program failed by itself, a *Breakdown if it crashed, else Unavailable for faults of this
// machine; both wrap an *ExitError if the program got as far as to end.
func (r *Runner) Run(ctx context.Context, job Job) (err error) {
	dir, err := newScratch(r.Scratch)
	if err != nil {
		return unavailable(err)
	}
	defer func() {
		if left := dir.remove(); left != nil {
			err = errors.Join(err, left)
		}
	}()

	for name, data := range job.Files {
		if err := os.WriteFile(filepath.Join(dir.path, name), data, 0o600); err != nil {
			return unavailable(err)
		}
	}
	inner, fail := context.WithCancelCause(ctx)
	inputs := newOrigin(inner, fail, job.Inputs)
	err = r.execute(inner, fail, job, inputs, dir.path)
	if err == nil && job.Collect != nil {
		err = collect(dir.path, job.Collect)
	}
	cause := context.Cause(inner)
	fail(nil)
	inputs.close()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case cause != nil:
		return cause
	default:
		return err
	}
}

// execute starts the program in a box, with its inputs, and waits for it.
func (r *Runner) execute(ctx context.Context, fail context.CancelCauseFunc, job Job, inputs *origin, dir string) error {
	box, err := r.Sandbox.NewBox()
	if err != nil {
		return unavailable(err)
	}
	var stderr tail
	cmd := exec.CommandContext(ctx, job.Program, job.Args(inputs.at(box.Address()))...)
	cmd.Dir = dir
	cmd.Stdin = job.Stdin
	cmd.Stderr = &stderr
	if job.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&stderr, job.Stderr)
	}
	if job.Stdout != nil {
		cmd.Stdout = failing{job.Stdout, fail}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	// The kernel sends the death signal when the starting thread ends, not
	// the process: keep the thread until the program is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	listener, err := box.Start(cmd, sandbox.Limits{CPU: r.CPU, Data: r.Memory, File: r.File})
	if err != nil {
		return unavailable(fmt.Errorf("start program: %w", err))
	}
	inputs.serve(listener)
	return r.ended(job.Program, cmd.Wait(), &stderr)
}

// ended says what it means how a program ended.
func (r *Runner) ended(program string, err error, stderr *tail) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		failure := r.exitError(program, exit, stderr.String())
		switch {
		case failure.crashed():
			return brokenDown(failure.how(), failure, video.Unavailable)
		case failure.machineFault():
			return unavailable(failure)
		}
		return failure
	}
	return err
}

func collect(path string, take func(*os.Root) error) error {
	// A root, for a program gone bad may have left links that lead elsewhere.
	dir, err := os.OpenRoot(path)
	if err != nil {
		return unavailable(err)
	}
	return errors.Join(take(dir), dir.Close())
}

func internal(cause error) error {
	return video.Errorf(video.Internal, "The video could not be processed.").Because(cause)
}

func unavailable(cause error) error {
	return video.Errorf(video.Unavailable, "Video processing is not available right now.").Because(cause)
}
