//go:build unix && !linux

package media

// InMemory reports whether scratch files are kept in memory: not here, as far
// as we can tell.
func (r *Runner) InMemory() bool { return false }

// free doesn't know: each system tells in its own way.
func (r *Runner) free() (bytes int64, known bool) { return 0, false }
