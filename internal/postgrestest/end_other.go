//go:build !linux

package postgrestest

import "syscall"

// endWithThis can't be had here: what a killed test leaves running is for a person to end.
func endWithThis(*syscall.SysProcAttr) {}
