package launcher

import (
	"syscall"
	"unsafe"
)

// Of linux/prctl.h, linux/capability.h and linux/seccomp.h.
const (
	prSetPdeathsig   = 1
	prCapbsetDrop    = 24
	prSetNoNewPrivs  = 38
	prCapAmbient     = 47
	prCapAmbientDrop = 4 // PR_CAP_AMBIENT_CLEAR_ALL
	prSetSeccomp     = 22
	seccompFilter    = 2
	capVersion3      = 0x20080522
	lastCapability   = 63
)

// dropPrivileges becomes who is to be become, gives up every capability for good, and has
// this process die with its starter; a change of users undoes that (prctl(2)).
func (p *process) dropPrivileges() error {
	for c := uintptr(0); c <= lastCapability; c++ {
		prctl(prCapbsetDrop, c) // fails where it hasn't the right to, and so nothing to drop
	}
	if err := p.become(); err != nil {
		return err
	}
	prctl(prCapAmbient, prCapAmbientDrop)
	header := struct {
		version uint32
		pid     int32
	}{version: capVersion3}
	var none [6]uint32
	if _, err := call("drop capabilities", syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none))); err != nil {
		return err
	}
	if err := prctl(prSetNoNewPrivs, 1); err != nil {
		return err
	}
	return prctl(prSetPdeathsig, uintptr(syscall.SIGKILL))
}

// become changes this thread's user and group, the only thread that survives execve.
func (p *process) become() error {
	if p.Become == 0 {
		return nil
	}
	id := uintptr(p.Become)
	if _, err := call("setgroups", syscall.SYS_SETGROUPS, 0, 0); err != nil {
		return err
	}
	if _, err := call("setresgid", syscall.SYS_SETRESGID, id, id, id); err != nil {
		return err
	}
	_, err := call("setresuid", syscall.SYS_SETRESUID, id, id, id)
	return err
}

// filterCalls refuses system calls from now on, also those of the program.
func (p *process) filterCalls() error {
	program := struct {
		length uint16
		filter unsafe.Pointer
	}{uint16(len(p.Filter) / 8), unsafe.Pointer(unsafe.SliceData(p.Filter))}
	return prctl(prSetSeccomp, seccompFilter, uintptr(unsafe.Pointer(&program)))
}

//go:uintptrescapes
func prctl(option uintptr, args ...uintptr) error {
	_, err := call("prctl", syscall.SYS_PRCTL, append([]uintptr{option}, args...)...)
	return err
}
