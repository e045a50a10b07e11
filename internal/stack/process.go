package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is one child. Its log is at Log, and what it prints first on standard
// output is its word that it is ready.
type Process struct {
	Name string
	Log  string // path of the file with everything it wrote to standard error

	path    string
	args    []string
	env     []string
	echo    io.Writer
	onReady func(line string) error // may change args, so that a restart keeps its addresses

	mu      sync.Mutex
	cmd     *exec.Cmd
	stdin   io.Closer
	done    chan struct{} // closed when the present run has ended
	ended   error         // why; valid once done is closed
	meant   bool          // this run was told to end
	failure chan<- error  // told of a run that ended unasked
}

// The time that a child has to stop before it is killed.
const stopTimeout = 20 * time.Second

// start runs the process and waits until it is ready.
func (p *Process) start(ctx context.Context) error {
	log, err := openLog(p.Log)
	if err != nil {
		return err
	}
	ready := make(chan string, 1)
	started := make(chan error, 1)
	p.mu.Lock()
	p.done, p.meant, p.ended = make(chan struct{}), false, nil
	p.mu.Unlock()
	go p.run(log, started, ready)
	if err := <-started; err != nil {
		return fmt.Errorf("%s did not start: %w", p.Name, err)
	}
	select {
	case line := <-ready:
		return p.onReady(line)
	case <-p.done:
		return p.ended
	case <-ctx.Done():
		return fmt.Errorf("%s is not ready: %w; its log is %s", p.Name, ctx.Err(), p.Log)
	}
}

// run is the whole life of one run. It stays on its thread, because the child
// is killed when the thread that started it ends.
func (p *Process) run(log *os.File, started chan<- error, ready chan<- string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer log.Close()
	echo := &prefixer{to: p.echo, prefix: p.Name}
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = p.env
	cmd.Stderr = io.MultiWriter(log, echo)
	cmd.SysProcAttr = childAttr()
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe a moment longer
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	err := errors.Join(inErr, outErr)
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		p.mu.Lock()
		p.cmd, p.stdin = cmd, stdin
		p.mu.Unlock()
	}
	started <- err
	if err == nil {
		listen(stdout, ready)
		err = cmd.Wait()
	}
	p.end(err)
}

// listen passes on the first line and reads the rest, so that the child never blocks.
func listen(stdout io.Reader, ready chan<- string) {
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err == nil {
		ready <- line
	}
	io.Copy(io.Discard, lines) // ends with the child, whatever the error
}

func (p *Process) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.ended = fmt.Errorf("%s ended (%w); its log is %s", p.Name, err, p.Log)
	close(p.done)
	if !p.meant {
		select {
		case p.failure <- p.ended:
		default: // somebody failed before
		}
	}
}

// signal sends sig to the process; to one that has ended it does nothing.
func (p *Process) signal(sig syscall.Signal, meant bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	p.meant = p.meant || meant
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Pid is the process id of the present run.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Done is closed when the present run has ended.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL, true); err != nil {
		return err
	}
	<-p.Done()
	return nil
}

// Freeze stops the process with SIGSTOP, without its knowledge.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP, false) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT, false) }

// Stop asks the process to end, and kills it when it doesn't in time. It returns
// once the process is gone; stopping one that has ended is no error.
func (p *Process) Stop() error {
	p.mu.Lock()
	never := p.done == nil || p.cmd == nil
	p.mu.Unlock()
	if never {
		return nil
	}
	if err := errors.Join(p.signal(syscall.SIGTERM, true), p.signal(syscall.SIGCONT, true)); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not stop within %v and was killed; its log is %s", p.Name, stopTimeout, p.Log), p.Kill())
	}
}

// Restart starts the process again, at the same addresses and with the same
// state, and waits until it is ready. A run that still lives is stopped first.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.start(ctx)
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
