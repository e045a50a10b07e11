package stack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock keeps a second stack away from a state folder. It goes with the process
// that holds it; its file stays.
type Lock struct{ file *os.File }

// TakeLock makes the folder where it is missing. When another process holds the
// lock, it fails with what that one has said about itself.
func TakeLock(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "run.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		said, readErr := io.ReadAll(file)
		return nil, errors.Join(fmt.Errorf("reelflow is already running here (%s)", strings.TrimSpace(string(said))), readErr, file.Close())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Lock{file}, nil
}

// Say leaves a word for whoever finds the lock taken.
func (l *Lock) Say(word string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(word+"\n"), 0)
	return err
}

// Release gives the folder up.
func (l *Lock) Release() error { return l.file.Close() }
