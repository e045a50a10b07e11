package uploads

import (
	"context"
	"encoding"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/segments"
)

const (
	// putsInFlight is how many segments of one upload are put at once: two keep
	// the store busy while the next is gathered.
	putsInFlight = 2
	// haltGrace is how long, after a request was halted, what had come may still
	// be stored: pausing has to take hold within a second.
	haltGrace = 700 * time.Millisecond
	scratch   = 128 << 10 // bytes read at once
)

// intake turns the body of one request into stored segments: gathered here in
// order, sealed and put side by side, committed in order. Segments of a request
// with a checksum are committed at its end, if it matches.
type intake struct {
	server *Server
	call   *call
	right  catalog.Lease
	end    int64 // offset that the upload can't go beyond

	// ctx ends when nothing more is to be stored.
	ctx    context.Context
	cancel context.CancelFunc

	// Gathering; the timer that flushes does it too.
	mu     sync.Mutex
	digest hash.Hash // SHA-256 of the file, up to what was gathered
	next   int64     // offset of the buffer's first byte
	buffer *buffer   // nil while nothing waits
	flush  *time.Timer

	flight chan struct{} // a place for each put
	queue  chan *segment // in order; closed after the last
	held   []*segment    // await the checksum
	stored int64         // bytes committed
	done   chan struct{} // closed when the queue has been worked off
}

// newIntake begins at the upload's offset; left is how many bytes it can take.
func (s *Server) newIntake(ctx context.Context, c *call, left int64) (*intake, error) {
	digest, err := segments.Digest(ctx, s.vault, c.upload)
	if err != nil {
		return nil, err
	}
	in := &intake{
		server: s, call: c, right: c.slot.lease.Lease,
		end: c.upload.Offset + left, next: c.upload.Offset, digest: digest,
		flight: make(chan struct{}, putsInFlight), queue: make(chan *segment, putsInFlight), done: make(chan struct{}),
	}
	in.ctx, in.cancel = context.WithCancel(ctx)
	in.flush = time.AfterFunc(time.Hour, in.flushWaiting)
	in.flush.Stop()
	go in.commitAll()
	go in.watch()
	return in, nil
}

// watch ends the storing some time after the request was halted.
func (in *intake) watch() {
	select {
	case <-in.done:
		return
	case <-in.call.body.stopped:
	}
	select {
	case <-in.done:
	case <-time.After(haltGrace):
		in.cancel()
	}
}

// drink gathers all that comes. Why it ended is known to tusd and the body.
func (in *intake) drink(src io.Reader) {
	piece := make([]byte, scratch)
	for {
		n, err := src.Read(piece)
		if n > 0 && !in.add(piece[:n]) || err != nil {
			return
		}
	}
}

// add gathers p. It reports whether more is wanted.
func (in *intake) add(p []byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(p) > 0 {
		if !in.room() {
			return false
		}
		n := in.buffer.fill(p)
		in.digest.Write(p[:n])
		p = p[n:]
	}
	return true
}

// room makes sure that the buffer can take a byte. A full one is sent on only
// when there is more to come, so that the last segment waits for the end of the
// body: an over-long one must not finish the upload.
func (in *intake) room() bool {
	pool := in.server.buffers
	if in.buffer != nil && in.buffer.full() {
		in.buffer = pool.grow(in.buffer)
	}
	if in.buffer != nil && in.buffer.full() {
		in.cut()
	}
	if in.buffer == nil {
		fresh, err := pool.get(in.ctx)
		if err != nil {
			return false
		}
		in.buffer = fresh
		in.flush.Reset(in.server.settings.FlushAfter)
	}
	return in.ctx.Err() == nil
}

// flushWaiting stores what has waited for long, as a short segment.
func (in *intake) flushWaiting() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.buffer == nil || in.ctx.Err() != nil {
		return
	}
	if in.next+int64(len(in.buffer.data)) < in.end {
		in.cut()
	}
}

// cut sends the buffer on as a segment. It needs mu.
func (in *intake) cut() {
	in.flush.Stop()
	seg := &segment{offset: in.next, size: int64(len(in.buffer.data)), buffer: in.buffer, ready: make(chan struct{})}
	in.buffer = nil
	in.next += seg.size
	select {
	case in.flight <- struct{}{}:
	case <-in.ctx.Done():
		in.server.buffers.put(seg.buffer)
		return
	}
	// crypto/sha256 documents that its hash can be marshalled.
	seg.state, seg.err = in.digest.(encoding.BinaryMarshaler).MarshalBinary()
	in.queue <- seg
	go func() {
		defer close(seg.ready)
		defer func() { <-in.flight }()
		in.write(seg)
	}()
}

// finish stores the rest and returns the bytes that were committed. The error is
// what tusd doesn't find out by itself.
func (in *intake) finish() (int64, error) {
	overlong := in.call.body.count > in.end-in.call.upload.Offset
	in.mu.Lock()
	in.flush.Stop()
	if in.buffer != nil && overlong && in.call.upload.Length >= 0 {
		in.server.buffers.put(in.buffer)
		in.buffer = nil
	}
	if in.buffer != nil {
		in.cut()
	}
	close(in.queue)
	in.mu.Unlock()
	<-in.done
	err := in.settle()
	in.cancel()
	switch {
	case err != nil:
		return in.stored, err
	case overlong && in.call.upload.Length < 0:
		return in.stored, in.server.problem(in.call, in.server.tooLarge())
	case overlong:
		return in.stored, errTooLong
	}
	return in.stored, nil
}

// settle decides about what the checksum holds back.
func (in *intake) settle() error {
	reason := in.call.body.halted()
	if sum := in.call.body.sum; sum != nil && reason == nil && (!in.call.body.ended || !sum.matches()) {
		reason = errChecksum
	}
	for _, seg := range in.held {
		if reason != nil {
			in.discard(seg)
		} else if err := in.commit(seg); err != nil {
			reason = in.server.answerTo(in.call, err)
		}
	}
	return reason
}

// commitAll works the queue off, in order, until it is closed.
func (in *intake) commitAll() {
	defer close(in.done)
	for seg := range in.queue {
		<-seg.ready
		switch {
		case seg.err != nil:
			in.fail(seg.err)
		case in.ctx.Err() != nil:
			in.discard(seg)
		case in.call.body.sum != nil:
			in.held = append(in.held, seg)
		default:
			if err := in.commit(seg); err != nil {
				in.fail(err)
			}
		}
	}
}

// fail ends the request: what comes after a gap is of no use.
func (in *intake) fail(err error) {
	in.call.body.halt(in.server.answerTo(in.call, err))
	in.cancel()
}
