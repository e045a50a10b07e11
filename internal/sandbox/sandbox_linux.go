package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/reelflow/reelflow/internal/sandbox/launcher"
)

// find tries the layers, without those that have failed.
func find(ctx context.Context) *Sandbox {
	s := &Sandbox{layers: []launcher.Layer{launcher.Namespaces, launcher.Root, launcher.Landlock, launcher.Seccomp}}
	var err error
	if s.filter, err = seccompFilter(); err != nil {
		s.lose(launcher.Seccomp, err)
	}
	for len(s.layers) > 0 && ctx.Err() == nil {
		layer, err := s.try(ctx)
		if err == nil {
			break
		}
		if layer == "" { // not even a launcher can be started
			layer = s.layers[0]
		}
		s.lose(layer, err)
		if layer == launcher.Namespaces && s.has(launcher.Root) {
			s.lose(launcher.Root, errors.New("it needs namespaces"))
		}
	}
	return s
}

// try starts a launcher that runs no program, and returns the layer that has failed.
func (s *Sandbox) try(ctx context.Context) (launcher.Layer, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	box, err := s.NewBox()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "")
	listener, err := box.Start(cmd, Limits{})
	if broken, ok := errors.AsType[*layerError](err); ok {
		return broken.layer, broken
	}
	if err != nil {
		return "", err
	}
	listener.Close()
	return "", cmd.Wait()
}

// layerError is the failure of one layer.
type layerError struct {
	layer launcher.Layer
	words string
}

func (e *layerError) Error() string { return strings.TrimPrefix(string(e.layer)+": ", ": ") + e.words }

// nobody is the user and group that programs become where this process is root: one that owns
// nothing outside, and that limits hold for.
const nobody = 65534

func (b *Box) start(cmd *exec.Cmd, limits Limits) (net.Listener, error) {
	if b.sandbox == nil || len(b.sandbox.layers) == 0 {
		return b.startBare(cmd, limits)
	}
	spec, err := b.spec(cmd, limits)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	// The program may be replaced while this process runs; this is the file that it was.
	cmd.Path, cmd.Dir, cmd.Env, cmd.Err = "/proc/self/exe", "", []string{}, nil
	cmd.Args = append([]string{launcher.Name, spec}, cmd.Args[1:]...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = b.attributes()
	err = cmd.Start()
	theirs.Close()
	if err != nil && b.sandbox.has(launcher.Namespaces) {
		return nil, &layerError{launcher.Namespaces, err.Error()}
	}
	if err != nil {
		return nil, fmt.Errorf("start the launcher: %w", err)
	}
	listener, err := b.shake(ours)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	return listener, nil
}

// startBare starts a program with nothing but limits.
func (b *Box) startBare(cmd *exec.Cmd, limits Limits) (net.Listener, error) {
	cmd.Env, cmd.SysProcAttr = launcher.Environment(), b.attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for _, l := range b.limits(limits) {
		if err := limitProcess(cmd.Process.Pid, l); err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return nil, fmt.Errorf("limit the program: %w", err)
		}
	}
	return b.listener, nil
}

// limitProcess lowers a limit of another process: nobody but root may raise one.
func limitProcess(pid int, l launcher.Limit) error {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, l.Resource, nil, &now); err != nil {
		return fmt.Errorf("resource %d: %w", l.Resource, err)
	}
	value := min(l.Value, now.Max)
	if err := unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
		return fmt.Errorf("resource %d: %w", l.Resource, err)
	}
	return nil
}

// shake hears from the launcher that all is done, and tells it to go on.
func (b *Box) shake(ours *net.UnixConn) (net.Listener, error) {
	word, rights := make([]byte, 1<<10), make([]byte, unix.CmsgSpace(4))
	n, nRights, _, _, err := ours.ReadMsgUnix(word, rights)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("the launcher ended without a word: %v", err)
	}
	if layer, words, isFailure := bytes.Cut(word[:n], []byte{0}); isFailure {
		return nil, &layerError{launcher.Layer(layer), string(words)}
	}
	listener := b.listener
	if b.sandbox.has(launcher.Namespaces) {
		if listener, err = received(rights[:nRights]); err != nil {
			return nil, fmt.Errorf("take the listener over: %w", err)
		}
	}
	if _, err := ours.Write([]byte(launcher.Go)); err != nil {
		listener.Close()
		return nil, fmt.Errorf("let the launcher go on: %w", err)
	}
	return listener, nil
}

func received(rights []byte) (net.Listener, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("there is none")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "listener")
	defer file.Close()
	return net.FileListener(file)
}

func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket to the launcher: %w", err)
	}
	mine, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer mine.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// attributes give the program a process group of its own, have the kernel kill it when the
// thread that started it is gone, and put it into namespaces.
func (b *Box) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if !b.sandbox.has(launcher.Namespaces) {
		return a
	}
	a.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	a.Credential = &syscall.Credential{NoSetGroups: true} // who is 0 inside
	if os.Geteuid() == 0 {
		other := syscall.SysProcIDMap{ContainerID: nobody, HostID: nobody, Size: 1}
		a.UidMappings, a.GidMappings = append(a.UidMappings, other), append(a.GidMappings, other)
		a.GidMappingsEnableSetgroups = true
	}
	return a
}

// spec writes down what the launcher is to do before it becomes cmd. A program of another
// user is given the scratch directory.
func (b *Box) spec(cmd *exec.Cmd, limits Limits) (string, error) {
	_, at, err := net.SplitHostPort(b.Address())
	if err != nil {
		return "", err
	}
	s := launcher.Spec{Layers: b.sandbox.layers, Limits: b.limits(limits), Filter: b.sandbox.filter}
	if _, err := fmt.Sscan(at, &s.Port); err != nil {
		return "", err
	}
	s.Visible, s.Devices = existing(libraries()), existing([]string{"/dev/null", "/dev/urandom"})
	if cmd.Path != "" {
		if s.Program, err = filepath.EvalSymlinks(cmd.Path); err != nil {
			return "", err
		}
		s.Visible = withProgram(s.Visible, s.Program)
	}
	if cmd.Dir != "" {
		if s.Dir, err = filepath.EvalSymlinks(cmd.Dir); err != nil {
			return "", err
		}
	}
	if os.Geteuid() == 0 && b.sandbox.has(launcher.Namespaces) {
		s.Become = nobody
		if err := give(s.Dir, nobody); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(s)
	return string(text), err
}

// give makes a scratch directory, and what lies in it, another user's.
func give(dir string, user int) error {
	if dir == "" {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, user, user)
	})
}

// libraries are where programs and libraries lie on the systems that we know, and how they are found.
func libraries() []string {
	paths := []string{"/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
		"/etc/ld.so.cache", "/etc/alternatives"}
	musl, _ := filepath.Glob("/etc/ld-musl-*.path") // fails for a bad pattern alone
	return append(paths, musl...)
}

func existing(paths []string) []string {
	return slices.DeleteFunc(paths, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil
	})
}

// withProgram adds a program that lies elsewhere, and the libraries that lie beside it.
func withProgram(visible []string, program string) []string {
	for _, path := range visible {
		if strings.HasPrefix(program, path+"/") {
			return visible
		}
	}
	return append(visible, existing([]string{program, filepath.Join(filepath.Dir(filepath.Dir(program)), "lib")})...)
}

// Limits that no program of ours comes near.
const (
	maxFiles   = 256
	maxThreads = 256
)

// limits returns the limits as the kernel has them. How many threads there are it counts for each user, before Linux
// 5.14 also those outside of a box.
func (b *Box) limits(l Limits) []launcher.Limit {
	all := []launcher.Limit{{Resource: unix.RLIMIT_CORE, Value: 0}}
	if l == (Limits{}) {
		return all
	}
	all = append(all,
		launcher.Limit{Resource: unix.RLIMIT_CPU, Value: uint64(l.CPU.Seconds())},
		launcher.Limit{Resource: unix.RLIMIT_FSIZE, Value: uint64(l.File)},
		launcher.Limit{Resource: unix.RLIMIT_NOFILE, Value: maxFiles})
	if b.sandbox.has(launcher.Namespaces) && kernelIsAtLeast(5, 14) {
		all = append(all, launcher.Limit{Resource: unix.RLIMIT_NPROC, Value: maxThreads})
	}
	return append(all, launcher.Limit{Resource: unix.RLIMIT_DATA, Value: uint64(l.Data)}) // last: the launcher has a heap, too
}

func kernelIsAtLeast(major, minor int) bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var a, b int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}
