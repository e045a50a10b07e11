//go:build !linux

package main

import "syscall"

// childAttr puts a child out of reach of the terminal's Ctrl-C, so that its parent decides when it stops. That the
// parent died it learns from the end of its standard input.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
