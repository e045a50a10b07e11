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
// These are open file description locks (fcntl(2), F_OFD_SETLK; Linux): they
// end when the file is closed, and the kernel closes it for whoever dies.
type claims struct{ path string }

// claim registers a loan. It waits for nobody but a Discard, some milliseconds.
func (c claims) claim(ctx context.Context, h idHash) (*os.File, error) {
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

// exclude keeps a key from being lent until the file is closed. It fails with
// errClaimed, at once, when it is lent, or excluded already.
func (c claims) exclude(h idHash) (*os.File, error) { return c.lock(unix.F_WRLCK, h) }

var errClaimed = errors.New("somebody else is using this key")

func (c claims) lock(kind int16, h idHash) (*os.File, error) {
	f, err := os.OpenFile(c.path, os.O_RDWR, 0) // an exclusive lock asks for a file that could be written
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, byteLock(kind, h))
	if err == nil {
		return f, nil
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
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, lock); err != nil {
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
