package media

import "golang.org/x/sys/unix"

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
