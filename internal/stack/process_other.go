//go:build !linux

package stack

import "syscall"

// childAttr puts a child out of reach of the terminal's Ctrl-C. Here a child
// notices the death of its parent by the end of its standard input alone.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
