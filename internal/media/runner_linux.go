package media

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes give the program a process group of its own and have the kernel
// kill it when the thread that started it is gone.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limit sets the resource limits of a program that has just started. Data, not
// address space, is what is limited: allocators reserve more than they use, the
// more so the more cores there are.
func (r *Runner) limit(pid int) error {
	limits := []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_CPU, uint64(r.CPU.Seconds())},
		{unix.RLIMIT_DATA, uint64(r.Memory)},
		{unix.RLIMIT_FSIZE, uint64(r.File)},
	}
	for _, l := range limits {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, l.resource, nil, &now); err != nil {
			return fmt.Errorf("resource %d: %w", l.resource, err)
		}
		value := min(l.value, now.Max) // nobody but root may raise one
		if err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("resource %d: %w", l.resource, err)
		}
	}
	return nil
}

// InMemory reports whether scratch files are kept in memory, where the design
// wants all plaintext.
func (r *Runner) InMemory() bool {
	var fs unix.Statfs_t
	if err := unix.Statfs(r.Scratch, &fs); err != nil {
		return false
	}
	return fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC
}

// free tells how many bytes the scratch directory can take.
func (r *Runner) free() (bytes int64, known bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(r.Scratch, &fs); err != nil {
		return 0, false
	}
	return int64(fs.Bavail) * fs.Bsize, true
}
