package main

import "syscall"

// childAttr puts a child out of reach of the terminal's Ctrl-C, so that its parent decides when it stops, and has the
// kernel kill it when the thread that started it ends - even a child that was frozen and cannot notice by itself.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
