package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

const (
	control = 3   // the descriptor of the one who started this
	failed  = 125 // exit status, by which it is known that it was not the program that failed
)

func init() {
	if len(os.Args) < 2 || os.Args[0] != Name {
		return
	}
	runtime.LockOSThread() // privileges, Landlock and seccomp are a thread's; execve leaves this one
	layer, err := launch(os.Args[1], os.Args[2:])
	if err != nil {
		// Who started this reads the one before it has said Go, the other afterwards.
		syscall.Sendmsg(control, []byte(string(layer)+"\x00"+err.Error()), nil, nil, syscall.MSG_NOSIGNAL)
		fmt.Fprintln(os.Stderr, Name+":", err)
		os.Exit(failed)
	}
	os.Exit(0)
}

// launch returns if there is no program to run, or with the layer that failed; none if it is
// another step.
func launch(text string, args []string) (Layer, error) {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", fmt.Errorf("read the spec: %w", err)
	}
	syscall.CloseOnExec(control)
	p := process{Spec: s, listener: -1, ruleset: -1}
	steps := []struct {
		layer Layer
		do    func() error
	}{
		{Namespaces, p.listen},
		{Root, p.changeRoot},
		{Landlock, p.prepareLandlock}, // while it may still open everything
		{"", p.enterDir},
		{"", p.dropPrivileges},
		{Landlock, p.restrict},
		{"", p.limit},
		{Seccomp, p.filterCalls},
		{"", p.awaitGo},
	}
	for _, step := range steps {
		if step.layer != "" && !slices.Contains(s.Layers, step.layer) {
			continue
		}
		if err := step.do(); err != nil {
			return step.layer, err
		}
	}
	if s.Program == "" {
		return "", nil
	}
	// The words of programs are read by machines, which know English.
	err := syscall.Exec(s.Program, append([]string{s.Program}, args...), Environment())
	return "", fmt.Errorf("start %s: %w", s.Program, err)
}

// process is the launcher's own process.
type process struct {
	Spec
	listener int // a socket, -1: none
	ruleset  int // of Landlock, -1: none
}

func (p *process) enterDir() error {
	if p.Dir == "" {
		return nil
	}
	return step("enter the scratch directory", syscall.Chdir(p.Dir))
}

func (p *process) limit() error {
	for _, l := range p.Limits {
		if err := lower(l); err != nil {
			return err
		}
	}
	return nil
}

// lower sets a limit as far as it is not lower already: nobody but root may raise one.
func lower(l Limit) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(l.Resource, &now); err != nil {
		return fmt.Errorf("resource %d: %w", l.Resource, err)
	}
	value := min(l.Value, now.Max)
	if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
		return fmt.Errorf("resource %d: %w", l.Resource, err)
	}
	return nil
}

// awaitGo hands over the listener and waits for the word to go on. Who asked may have died
// before the death signal was set: then nothing comes but the end.
func (p *process) awaitGo() error {
	var rights []byte
	if p.listener >= 0 {
		rights = syscall.UnixRights(p.listener)
	}
	if err := syscall.Sendmsg(control, []byte(Ready), rights, nil, 0); err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	word := make([]byte, len(Go))
	for {
		switch n, err := syscall.Read(control, word); {
		case errors.Is(err, syscall.EINTR):
		case err != nil || string(word[:n]) != Go:
			return fmt.Errorf("the one who started this is gone: %v", err)
		default:
			return nil
		}
	}
}

// step names what went wrong, if it did.
func step(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// call makes a system call. Pointers among its arguments are converted where it is called: the
// pragma keeps what they point to alive and in its place.
//
//go:uintptrescapes
func call(what string, number uintptr, args ...uintptr) (int, error) {
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return -1, fmt.Errorf("%s: %w", what, errno)
	}
	return int(n), nil
}

// cString is a string as system calls take it.
func cString(s string) *byte { return unsafe.StringData(s + "\x00") }
