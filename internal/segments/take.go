package segments

import (
	"context"
	"encoding"
	"io"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
)

const (
	putsInFlight = 2 // keep the store busy while the next segment is gathered
	// grace is how long what has come may still be stored when the work is told to
	// stop: a pause has to take hold within a second.
	grace = 700 * time.Millisecond
)

// Take stores all that comes from src until its end, or until ctx ends; what has
// come before is stored in any case, if the store can take it. read is why src
// ended, or ctx's error; nil at its end. write is why the rest can't be stored: src
// is closed then, so that nothing is fetched in vain. Take leaves no byte behind
// that is committed without being counted by Writer.Offset, and may be called once.
func (w *Writer) Take(ctx context.Context, src io.ReadCloser) (read, write error) {
	wctx, cancel := outlive(ctx, grace)
	defer cancel()
	t := &taking{
		writer: w, ctx: wctx, src: src,
		free: make(chan []byte, putsInFlight+1), queue: make(chan *segment, putsInFlight+1), done: make(chan struct{}),
	}
	for range cap(t.free) {
		t.free <- nil
	}
	go t.commitAll()
	read = t.gather(ctx)
	close(t.queue)
	<-t.done
	t.withdrawn.Wait()
	return read, t.failure()
}

// outlive is a context that ends some time after its parent.
func outlive(parent context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { time.AfterFunc(by, cancel) })
	return ctx, func() { stop(); cancel() }
}

// taking is one call of Take.
type taking struct {
	writer *Writer
	ctx    context.Context // for storing
	src    io.ReadCloser

	free      chan []byte   // room for a segment; nil is room not made yet
	queue     chan *segment // in order; closed after the last
	done      chan struct{} // closed when the queue has been worked off
	withdrawn sync.WaitGroup

	mu  sync.Mutex
	err error
}

func (t *taking) gather(ctx context.Context) error {
	for t.failure() == nil {
		room := <-t.free
		if room == nil {
			room = make([]byte, 0, vault.SealedSize(Size))
		}
		plain, err := t.fill(ctx, room[:0])
		if len(plain) > 0 {
			t.cut(plain)
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
func (t *taking) fill(ctx context.Context, plain []byte) ([]byte, error) {
	var since time.Time
	for len(plain) < Size {
		if err := ctx.Err(); err != nil {
			return plain, err
		}
		n, err := t.src.Read(plain[len(plain):Size])
		plain = plain[:len(plain)+n]
		switch {
		case err != nil:
			return plain, err
		case n > 0 && since.IsZero():
			since = time.Now()
		case !since.IsZero() && time.Since(since) > t.writer.FlushAfter:
			return plain, nil
		}
	}
	return plain, nil
}

// cut sends a segment on its way.
func (t *taking) cut(plain []byte) {
	w := t.writer
	seg := &segment{plain: plain, offset: w.Offset, ready: make(chan struct{})}
	w.Offset += int64(len(plain))
	w.Digest.Write(plain)
	// crypto/sha256 documents that its hash can be marshalled.
	seg.state, seg.err = w.Digest.(encoding.BinaryMarshaler).MarshalBinary()
	go func() {
		defer close(seg.ready)
		if seg.err == nil {
			seg.err = w.write(t.ctx, seg)
		}
	}()
	t.queue <- seg // has a place for each that there is room for
}

// commitAll works the queue off, in order. After a failure what comes behind it
// is of no use.
func (t *taking) commitAll() {
	defer close(t.done)
	for seg := range t.queue {
		<-seg.ready
		failed := t.failure() != nil
		switch {
		case failed || seg.err != nil:
			t.withdrawn.Go(func() { t.writer.withdraw(t.ctx, seg) })
			t.fail(seg.err)
		default:
			t.fail(t.writer.commit(t.ctx, seg))
		}
		t.free <- seg.plain
	}
}

func (t *taking) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// fail keeps the first reason, and ends the reading.
func (t *taking) fail(err error) {
	t.mu.Lock()
	first := err != nil && t.err == nil
	if first {
		t.err = err
	}
	t.mu.Unlock()
	if first {
		t.src.Close() // it is only read
	}
}
