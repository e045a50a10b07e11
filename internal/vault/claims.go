package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// claims shows the loans that are out to every process: each loan is a shared
// lock on one byte of an empty file, at an offset that the video's hash names.
// These are open file description locks (fcntl(2), F_OFD_SETLK): the kernel ends
// them for whoever dies.
type claims struct{ path string }

// claimed is a lock that is held until Close.
type claimed struct {
	file *os.File
	hash idHash
}

// Close ends the lock. Closing the file alone would not, at once, while another goroutine
// starts a program: until that has called execve(2) it has the file, too.
func (c *claimed) Close() error {
	return errors.Join(unix.FcntlFlock(c.file.Fd(), setLock, byteLock(unix.F_UNLCK, c.hash)), c.file.Close())
}

// claim registers a loan. It waits for nobody but a Discard, some milliseconds.
func (c claims) claim(ctx context.Context, h idHash) (*claimed, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, MaxLoan, errClaimed)
	defer cancel()
	for {
		f, err := c.lock(unix.F_RDLCK, h)
		if !errors.Is(err, errClaimed) {
			return f, err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// exclude keeps a key from being lent until Close. It fails with
// errClaimed, at once, when it is lent, or excluded already.
func (c claims) exclude(h idHash) (*claimed, error) { return c.lock(unix.F_WRLCK, h) }

var errClaimed = errors.New("somebody else is using this key")

func (c claims) lock(kind int16, h idHash) (*claimed, error) {
	f, err := os.OpenFile(c.path, os.O_RDWR, 0) // an exclusive lock asks for a file that could be written
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), setLock, byteLock(kind, h))
	if err == nil {
		return &claimed{f, h}, nil
	}
	f.Close() // nothing was written
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errClaimed
	}
	return nil, os.NewSyscallError("fcntl", err)
}

// await waits until no loan of the video is out, or until the deadline, when
// all of them are void: a frozen borrower stops nobody.
func (c claims) await(ctx context.Context, h idHash, deadline time.Time) error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written through it
	for time.Now().Before(deadline) {
		// Asking whether a lock would be granted takes none, so it is in no
		// borrower's way.
		lock := byteLock(unix.F_WRLCK, h)
		if err := unix.FcntlFlock(f.Fd(), getLock, lock); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		if lock.Type == unix.F_UNLCK {
			return nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func byteLock(kind int16, h idHash) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Start: int64(binary.BigEndian.Uint64(h[:8]) >> 2), Len: 1}
}
