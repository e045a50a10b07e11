package fetch

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// A ranged source is read in stretches, several at once: together they are the
// memory, in bytes, of a stream, and what is lost of it when it is closed.
const (
	stretchSize = 2 << 20
	parallel    = 4
	triesInRow  = 4 // without a byte in between
)

// Stream reads the source from Start to its end, in order. It takes up broken
// connections of a ranged source by itself. Its Read returns io.EOF, or a
// video.Error of this package; ctx must last as long as the stream. Close may be
// called while another goroutine reads, whose Read then fails.
func (s *Source) Stream(ctx context.Context) io.ReadCloser {
	if !s.Ranges {
		return &plainStream{source: s}
	}
	r := &rangedStream{source: s, queue: make(chan *stretch, parallel), free: make(chan []byte, parallel)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	for range parallel {
		r.free <- nil
	}
	r.running.Go(r.fetch)
	return r
}

// plainStream is one body from beginning to end.
type plainStream struct {
	source *Source
	read   int64
}

func (p *plainStream) Read(b []byte) (int, error) {
	n, err := p.source.first.Body.Read(b)
	p.read += int64(n)
	if p.read > p.source.client.policy.MaxBytes {
		return 0, p.source.client.tooLarge() // a body that may have no end
	}
	return n, err
}

func (p *plainStream) Close() error { return p.source.Close() }

// rangedStream fetches stretches side by side and hands them out in order.
type rangedStream struct {
	source  *Source
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	free    chan []byte   // room for a stretch; nil is room not made yet
	queue   chan *stretch // in order
	now     *stretch
}

func (r *rangedStream) fetch() {
	defer close(r.queue)
	body := r.source.first.Body
	for offset := r.source.Start; offset < r.source.Length; offset += stretchSize {
		var room []byte
		select {
		case <-r.ctx.Done():
			return
		case room = <-r.free:
		}
		if room == nil {
			room = make([]byte, stretchSize)
		}
		one := newStretch(offset, room[:min(stretchSize, r.source.Length-offset)])
		first := body
		body = nil
		r.running.Go(func() { one.end(r.source.fill(r.ctx, one, first)) })
		r.queue <- one // has a place for each that there is room for
	}
}

func (r *rangedStream) Read(b []byte) (int, error) {
	for {
		if r.now == nil {
			next, more := <-r.queue
			switch {
			case more:
				r.now = next
			case r.ctx.Err() != nil:
				return 0, fault(r.ctx, r.ctx.Err())
			default:
				return 0, io.EOF
			}
		}
		n, err := r.now.Read(b)
		if err != io.EOF {
			return n, err
		}
		r.free <- r.now.room[:cap(r.now.room)]
		r.now = nil
	}
}

func (r *rangedStream) Close() error {
	r.cancel()
	err := r.source.Close()
	r.running.Wait()
	return err
}

// fill fetches one stretch, and after each broken connection the rest of it. body,
// if any, is an answer that begins with it.
func (s *Source) fill(ctx context.Context, one *stretch, body io.ReadCloser) error {
	for failures := 0; ; {
		err := s.once(ctx, one, body)
		body = nil
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fault(ctx, ctx.Err())
		case video.CodeOf(err).Permanent():
			return err
		}
		if failures++; errors.Is(err, errMoved) {
			failures = 1
		}
		if failures == triesInRow {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.client.between << (failures - 1)):
		}
	}
}

// errMoved is part of a failure before which bytes had come.
var errMoved = errors.New("some bytes came")

func (s *Source) once(ctx context.Context, one *stretch, body io.ReadCloser) error {
	offset, left := one.missing()
	if body == nil {
		answer, err := s.between(ctx, offset, offset+left-1)
		if err != nil {
			return err
		}
		body = answer.Body
	}
	defer body.Close()
	err := one.take(body)
	after, left := one.missing()
	switch {
	case left == 0:
		return nil
	case after > offset:
		err = errors.Join(err, errMoved)
	}
	if err == nil || video.CodeOf(err) == video.Internal { // nothing but that it broke off
		err = broken(err)
	}
	return err
}

// stretch is filled by one goroutine and read by another.
type stretch struct {
	offset int64
	room   []byte

	mu    sync.Mutex
	come  *sync.Cond // more has come, or the end
	n     int
	ended bool
	err   error // why the rest does not come
	read  int   // the reader's
}

func newStretch(offset int64, room []byte) *stretch {
	one := &stretch{offset: offset, room: room}
	one.come = sync.NewCond(&one.mu)
	return one
}

// missing is where the rest begins and how long it is; for whoever fills.
func (one *stretch) missing() (offset, left int64) {
	return one.offset + int64(one.n), int64(len(one.room) - one.n)
}

// take fills from an answer. A longer one is left alone.
func (one *stretch) take(body io.Reader) error {
	for one.n < len(one.room) {
		n, err := body.Read(one.room[one.n:])
		one.mu.Lock()
		one.n += n
		one.come.Broadcast()
		one.mu.Unlock()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (one *stretch) end(err error) {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.ended, one.err = true, err
	one.come.Broadcast()
}

// Read waits for bytes. All that came is read before the failure is.
func (one *stretch) Read(b []byte) (int, error) {
	one.mu.Lock()
	for one.n == one.read && !one.ended {
		one.come.Wait()
	}
	n, err := one.n, one.err
	one.mu.Unlock()
	if one.read < n {
		copied := copy(b, one.room[one.read:n])
		one.read += copied
		return copied, nil
	}
	if err != nil {
		return 0, err
	}
	return 0, io.EOF
}
