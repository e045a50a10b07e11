package stack

import "syscall"

// childAttr puts a child out of reach of the terminal's Ctrl-C, so that the
// stack decides the order of stopping, and has the kernel kill it when its
// parent dies - even a frozen one, that can't notice by itself.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
