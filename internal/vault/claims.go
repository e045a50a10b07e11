package vault

import (
	"context"
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// claims shows the loans that are out to every process: each loan is a shared
// lock on one byte of an empty file, at an offset that the video's hash names.
// These are open file description locks (fcntl(2), F_OFD_SETLK; Linux): they
// end when the file is closed, and the kernel closes it for whoever dies.
type claims struct{ path string }

// claim registers a loan. It never waits.
func (c claims) claim(h idHash) (*os.File, error) {
	f, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, byteLock(unix.F_RDLCK, h)); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return f, nil
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
