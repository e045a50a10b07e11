package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// disk does all the writing of a FileVault. Each effect is one step; between
// any two of them the process may die.
type disk struct {
	// before is nil outside of tests. It is told of each step to come; when it
	// fails, everything stops there as if the process had died.
	before func(step string) error
}

func (d *disk) step(name, path string, effect func() error) error {
	if d.before != nil {
		if err := d.before(name + " " + filepath.Base(path)); err != nil {
			return err
		}
	}
	return effect()
}

// replace makes data the content of path: whoever reads it, also after a
// crash, finds the old content or the new. Callers hold the lock, so the
// temporary name is theirs alone.
func (d *disk) replace(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := d.create(temporary, data); err != nil {
		return err
	}
	if err := d.step("rename", path, func() error { return os.Rename(temporary, path) }); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// create writes a file that nothing refers to yet; syncDir must follow before
// something does.
func (d *disk) create(path string, data []byte) error {
	return d.writeAt(path, os.O_CREATE|os.O_TRUNC, data, 0)
}

// overwrite changes bytes of a file where they are.
func (d *disk) overwrite(path string, data []byte, offset int64) error {
	return d.writeAt(path, os.O_CREATE, data, offset)
}

func (d *disk) writeAt(path string, flags int, data []byte, offset int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := d.step("write", path, func() error { _, err := f.WriteAt(data, offset); return err }); err != nil {
		return err
	}
	return d.step("sync", path, f.Sync)
}

// sync makes durable what another process may have written just before it died.
func (d *disk) sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written through it
	return d.step("sync", path, f.Sync)
}

func (d *disk) syncDir(path string) error { return d.sync(path) }

// remove removes a file; one that isn't there is removed already. It is not
// made durable: whoever removes can live with finding the file again.
func (d *disk) remove(path string) error {
	err := d.step("remove", path, func() error { return os.Remove(path) })
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// writerPatience is how long a writer waits for the others. Turns take about a
// millisecond, so only a process that was frozen in the middle of one makes
// anybody wait this long.
const writerPatience = 10 * time.Second

// turn is the right to write, for one goroutine of one process at a time.
type turn struct {
	path string
	here chan struct{} // holds one token while a goroutine of this process has the turn
}

// take waits for the turn. The kernel takes it back from a process that dies.
func (t turn) take(ctx context.Context) (giveBack func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, writerPatience, errors.New("another process holds the vault's lock"))
	defer cancel()
	select {
	case t.here <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	f, err := t.flock(ctx)
	if err != nil {
		<-t.here
		return nil, err
	}
	return func() {
		f.Close() // closing unlocks; a lock file has no data to lose
		<-t.here
	}, nil
}

// flock polls, because a blocking flock(2) would not heed ctx.
func (t turn) flock(ctx context.Context) (*os.File, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", t.path, err)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			f.Close()
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
