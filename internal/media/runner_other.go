//go:build unix && !linux

package media

import "syscall"

// attributes give the program a process group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// limit does nothing: only Linux lets one process limit another.
func (r *Runner) limit(int) error { return nil }

// InMemory reports whether scratch files are kept in memory: not here, as far
// as we can tell.
func (r *Runner) InMemory() bool { return false }

// free doesn't know: each system tells in its own way.
func (r *Runner) free() (bytes int64, known bool) { return 0, false }
