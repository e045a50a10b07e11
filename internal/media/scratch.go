package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const scratchPrefix = "reelflow-media-"

// scratch is a job's private directory. It is locked as long as it is in use:
// the lock falls with the process, which is how Sweep tells the dead.
type scratch struct {
	path string
	lock *os.File
}

// newScratch makes a directory that only this user can enter.
func newScratch(parent string) (*scratch, error) {
	for {
		path, err := os.MkdirTemp(parent, scratchPrefix)
		if err != nil {
			return nil, fmt.Errorf("make scratch directory: %w", err)
		}
		lock, err := claim(path, unix.LOCK_EX)
		// A Sweep may have come between making and locking it.
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock scratch directory: %w", err), os.Remove(path))
		}
		return &scratch{path, lock}, nil
	}
}

// remove deletes the directory with all that is in it.
func (s *scratch) remove() error {
	return errors.Join(os.RemoveAll(s.path), s.lock.Close())
}

// claim locks a directory that exists. It fails with fs.ErrNotExist when the
// directory went before the lock was held.
func claim(path string, how int) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), how); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	locked, err := dir.Stat()
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	current, err := os.Lstat(path)
	if err == nil && !os.SameFile(locked, current) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// Sweep removes the scratch directories of processes that were killed. Call it
// at start. It leaves those in use alone and may run at any time, twice too.
func (r *Runner) Sweep() error {
	entries, err := os.ReadDir(r.Scratch)
	if err != nil {
		return fmt.Errorf("sweep scratch: %w", err)
	}
	var failed []error
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), scratchPrefix) {
			failed = append(failed, sweep(filepath.Join(r.Scratch, entry.Name())))
		}
	}
	return errors.Join(failed...)
}

func sweep(path string) error {
	lock, err := claim(path, unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), // in use
		errors.Is(err, fs.ErrNotExist),   // somebody else swept it
		errors.Is(err, fs.ErrPermission): // another user's, who sweeps it
		return nil
	case err != nil:
		return fmt.Errorf("sweep scratch: %w", err)
	}
	return (&scratch{path, lock}).remove()
}

// memoryDir is where Linux keeps files in memory.
const memoryDir = "/dev/shm"

// defaultScratch is a directory in memory if there is one, else the system's
// directory for temporary files.
func defaultScratch() string {
	if unix.Access(memoryDir, unix.W_OK|unix.X_OK) == nil {
		return memoryDir
	}
	return os.TempDir()
}
