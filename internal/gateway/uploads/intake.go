package uploads

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/manifest"
)

// Bytes read at once: few at first, so that a client that sends slowly holds little memory.
const (
	firstRead = 16 << 10
	mostRead  = 128 << 10
)

// leastPiece is how many bytes a request adds at least to an upload that has many segments
// already: else a client could make an object of every byte.
const leastPiece = 64 << 10

// intake turns the body of one request into stored segments: gathered here in
// order, in the buffers that all requests share, and sent on. Segments of a request
// with a checksum are committed at its end, if it matches.
type intake struct {
	server   *Server
	call     *call
	segments *manifest.Appender
	end      int64           // offset that the upload can't go beyond
	ctx      context.Context // ends when nothing more is to be stored

	// Gathering; the timer that flushes does it too.
	mu     sync.Mutex // also for what segments is given
	buffer *buffer    // nil while nothing waits
	flush  *time.Timer
	before int64 // segments that the upload had; -1 as long as nobody has counted
	cuts   int64 // segments sent on since
	short  bool  // what came is too short to be stored
}

// newIntake begins at the upload's offset; left is how many bytes it can take.
func (s *Server) newIntake(ctx context.Context, c *call, left int64) (*intake, error) {
	digest, err := manifest.UploadDigest(ctx, s.vault, c.upload)
	if err != nil {
		return nil, err
	}
	in := &intake{server: s, call: c, end: c.upload.Offset + left, before: -1}
	in.segments = &manifest.Appender{
		Writer: &manifest.Writer{Catalog: s.catalog, Vault: s.vault, Primary: s.store, Log: s.log},
		Lease:  c.slot.lease.Lease, Digest: digest, Offset: c.upload.Offset,
		AwaitChecksum: c.body.sum != nil, Failed: in.fail,
		// In the background: a store that hangs must not hold up the pause or the
		// gateway that made a segment not count.
		Cleanup: &s.cleaning,
	}
	in.flush = time.AfterFunc(time.Hour, in.flushWaiting)
	in.flush.Stop()
	in.ctx = in.segments.Start(ctx, c.body.stopped)
	return in, nil
}

// read gathers all that comes. Why it ended is known to tusd and the body.
func (in *intake) read(src io.Reader) {
	piece := make([]byte, firstRead)
	for {
		n, err := src.Read(piece)
		if n > 0 && !in.add(piece[:n]) || err != nil {
			return
		}
		if n == len(piece) && n < mostRead {
			piece = make([]byte, 2*n)
		}
	}
}

// isTooShort reports whether n bytes are too few for a request of their own. The last of
// an upload may be few.
func (in *intake) isTooShort(n int64) bool {
	h := in.call.r.Header
	last := n == in.end-in.call.upload.Offset || h.Get("Upload-Complete") == "?1" || h.Get("Upload-Incomplete") == "?0"
	return n < leastPiece && !last && in.hasManySegments()
}

// hasManySegments counts once. Where that can't be done the store will tell what is wrong.
func (in *intake) hasManySegments() bool {
	if in.before < 0 {
		n, err := in.server.catalog.SegmentCount(in.ctx, in.call.upload.Video, in.server.store.Name())
		if err != nil {
			return false
		}
		in.before = n
	}
	return in.before+in.cuts >= in.server.settings.FreeSegments
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
		in.segments.Digest.Write(p[:n])
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
	switch {
	case in.segments.Offset+int64(len(in.buffer.data)) >= in.end:
	case len(in.buffer.data) < leastPiece && in.hasManySegments():
		in.flush.Reset(in.server.settings.FlushAfter)
	default:
		in.cut()
	}
}

// cut sends the buffer on as a segment. It needs mu.
func (in *intake) cut() {
	in.flush.Stop()
	in.cuts++
	full := in.buffer
	in.buffer = nil
	in.segments.Add(full.data, func() { in.server.buffers.put(full) })
}

// finish stores the rest and returns the bytes that were committed. The error is
// what tusd doesn't find out by itself.
func (in *intake) finish() (int64, error) {
	overlong := in.call.body.count > in.end-in.call.upload.Offset
	in.mu.Lock()
	in.flush.Stop()
	if in.buffer != nil && in.isTooShort(in.call.body.count) {
		in.short = true
	}
	if in.buffer != nil && (in.short || overlong && in.call.upload.Length >= 0) {
		in.server.buffers.put(in.buffer)
		in.buffer = nil
	}
	if in.buffer != nil {
		in.cut()
	}
	in.mu.Unlock()
	in.segments.Close()
	err := in.settle()
	in.segments.Cancel()
	switch {
	case err != nil:
		return in.segments.Stored(), err
	case in.short:
		return in.segments.Stored(), errTooShort
	case overlong && in.call.upload.Length < 0:
		return in.segments.Stored(), in.server.problem(in.call, in.server.tooLarge())
	case overlong:
		return in.segments.Stored(), errTooLong
	}
	return in.segments.Stored(), nil
}

// settle decides about what the checksum holds back.
func (in *intake) settle() error {
	reason := in.call.body.halted()
	if sum := in.call.body.sum; sum != nil && reason == nil && (!in.call.body.ended || !sum.matches()) {
		reason = errChecksum
	}
	if err := in.segments.Settle(reason == nil); err != nil {
		reason = in.server.answerTo(in.call, err)
	}
	return reason
}

// fail ends the request: what comes after a gap is of no use.
func (in *intake) fail(err error) {
	in.call.body.halt(in.server.answerTo(in.call, err))
	in.segments.Cancel()
}
