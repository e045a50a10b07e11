package manifest

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
)

// streamCleanupWait is how long the end of StoreAll may wait for a deletion.
const streamCleanupWait = 2 * time.Second

// StoreAll stores all that comes from src until its end, or until ctx ends; what has
// come before is stored in any case, if the store can take it. Bytes of a slow source
// wait no longer than flushAfter for more. read is why src
// ended, or ctx's error; nil at its end. write is why the rest can't be stored: src
// is closed then, so that nothing is fetched in vain. StoreAll leaves no byte behind
// that is committed without being counted by Offset.
func (a *Appender) StoreAll(ctx context.Context, src io.ReadCloser, flushAfter time.Duration) (read, write error) {
	var cleanup sync.WaitGroup
	a.Cleanup, a.cleanupWait = &cleanup, streamCleanupWait
	a.Failed = func(error) { src.Close() } // it is only read
	a.Start(context.WithoutCancel(ctx), ctx.Done())
	defer a.Cancel()
	read = a.gather(ctx, src, flushAfter)
	a.Close()
	cleanup.Wait()
	return read, a.failure()
}

// gather cuts the stream into segments. It has room for as many as may be on their way
// and one more.
func (a *Appender) gather(ctx context.Context, src io.Reader, flushAfter time.Duration) error {
	free := make(chan []byte, putsInFlight+1)
	for range cap(free) {
		free <- nil // made when it is used
	}
	for a.failure() == nil {
		room := <-free
		if room == nil {
			room = make([]byte, 0, vault.SealedSize(SegmentSize))
		}
		plain, err := fill(ctx, src, room[:0], flushAfter)
		if len(plain) > 0 {
			a.Digest.Write(plain)
			a.Add(plain, func() { free <- room })
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// fill gathers a segment: a full one, or what has come until the source ends or
// its bytes have waited for long enough.
func fill(ctx context.Context, src io.Reader, plain []byte, flushAfter time.Duration) ([]byte, error) {
	var since time.Time
	for len(plain) < SegmentSize {
		if err := ctx.Err(); err != nil {
			return plain, err
		}
		n, err := src.Read(plain[len(plain):SegmentSize])
		plain = plain[:len(plain)+n]
		switch {
		case err != nil:
			return plain, err
		case n > 0 && since.IsZero():
			since = time.Now()
		case !since.IsZero() && time.Since(since) > flushAfter:
			return plain, nil
		}
	}
	return plain, nil
}
