package manifest

import (
	"context"
	"encoding"
	"hash"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
)

// SegmentSize is the most that a segment of an upload holds, in plain bytes.
const SegmentSize = 8 << 20

const (
	// putsInFlight is how many segments of one upload are put at once: two keep the
	// store busy while the next is gathered.
	putsInFlight = 2
	// stopGrace is how long what has come may still be stored when the work is told to
	// stop: a pause has to take hold within a second.
	stopGrace = 700 * time.Millisecond
)

// Appender adds segments to an upload: sealed and put side by side, committed in
// order. The exported fields are set before Start or StoreAll, of which one is called,
// once.
type Appender struct {
	*Writer
	Lease  catalog.Lease
	Digest hash.Hash // of all bytes that were added; whoever calls Add feeds it first
	Offset int64     // of the next byte to be added

	AwaitChecksum bool            // nothing is committed before Settle
	Failed        func(error)     // told of the first failure; what comes after a gap is of no use
	Cleanup       *sync.WaitGroup // in which segments that don't count are taken back

	cleanupWait time.Duration

	ctx    context.Context // ends when nothing more is to be stored
	cancel context.CancelFunc
	flight chan struct{} // a place for each put
	queue  chan *segment // in order; closed after the last
	done   chan struct{} // closed when the queue has been worked off
	held   []*segment    // await the checksum
	stored int64         // bytes committed

	mu  sync.Mutex
	err error // the first failure
}

// segment is one stretch on its way into the store.
type segment struct {
	size  int64  // of the plain bytes
	state []byte // of the hash after it
	write
	ready chan struct{} // closed when it lies in the store, or err says why not
	err   error
}

// Start makes the appender ready for Add. The context that it returns ends when nothing more
// is stored: with ctx, some time after stop is closed, or by Cancel.
func (a *Appender) Start(ctx context.Context, stop <-chan struct{}) context.Context {
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.flight, a.queue, a.done = make(chan struct{}, putsInFlight), make(chan *segment, putsInFlight), make(chan struct{})
	go a.commitAll()
	go a.watch(stop)
	return a.ctx
}

// Cancel stops the storing at once. It must be called at last.
func (a *Appender) Cancel() { a.cancel() }

// watch ends the storing some time after the work was told to stop.
func (a *Appender) watch(stop <-chan struct{}) {
	select {
	case <-a.done:
		return
	case <-stop:
	}
	select {
	case <-a.done:
	case <-time.After(stopGrace):
		a.cancel()
	}
}

// Add sends a segment on its way: at most SegmentSize bytes, in a slice with room to be
// sealed in place. It waits while enough segments are on their way. When plain is no
// longer used release is called, also when nothing more is stored.
func (a *Appender) Add(plain []byte, release func()) {
	seg := &segment{size: int64(len(plain)), ready: make(chan struct{})}
	offset := a.Offset
	a.Offset += seg.size
	select {
	case a.flight <- struct{}{}:
	case <-a.ctx.Done():
		release()
		a.fail(a.ctx.Err())
		return
	}
	// crypto/sha256 documents that its hash can be marshalled.
	seg.state, seg.err = a.Digest.(encoding.BinaryMarshaler).MarshalBinary()
	a.queue <- seg
	go func() {
		defer close(seg.ready)
		defer func() { <-a.flight }()
		if seg.err == nil {
			seg.err = a.put(seg, plain, offset)
		}
		release()
	}()
}

// put seals a segment and puts it. One that may be in the store, though the put failed,
// is taken back.
func (a *Appender) put(seg *segment, plain []byte, offset int64) error {
	sealed, err := a.seal(seg, plain, offset)
	if err != nil {
		return err
	}
	if err = seg.put(a.ctx, sealed); err != nil {
		seg.takeBack(a.ctx, err)
	}
	return err
}

// seal borrows the key for as long as it takes, some milliseconds.
func (a *Appender) seal(seg *segment, plain []byte, offset int64) ([]byte, error) {
	id := a.Lease.Video
	loan, err := a.Vault.Lend(a.ctx, id)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	state, err := loan.Key().SealColumn(stateColumn(id), seg.state)
	if err != nil {
		return nil, err
	}
	key := segmentKey(id, offset)
	seg.write = write{
		Writer: a.Writer, right: byLease{a.Lease, state}, store: a.Primary,
		object:  catalog.Object{Video: id, Key: key, Kind: catalog.KindSource, Offset: offset, PlainSize: seg.size},
		cleanup: a.Cleanup, cleanupWait: a.cleanupWait,
	}
	return loan.Key().Seal(key, plain[:0], plain)
}

// commitAll works the queue off, in order, until it is closed.
func (a *Appender) commitAll() {
	defer close(a.done)
	for seg := range a.queue {
		<-seg.ready
		switch {
		case seg.err != nil:
			a.fail(seg.err)
		case a.failure() != nil || a.ctx.Err() != nil:
			seg.takeBack(a.ctx, nil)
			a.fail(a.ctx.Err())
		case a.AwaitChecksum:
			a.held = append(a.held, seg)
		default:
			a.fail(a.commit(seg))
		}
	}
}

func (a *Appender) commit(seg *segment) error {
	err := seg.commit(a.ctx)
	if err == nil {
		a.stored += seg.size
	}
	return err
}

// Close waits until all that was added is committed, or held back, or can't be stored.
// Nothing may be added from then on.
func (a *Appender) Close() {
	close(a.queue)
	<-a.done
}

// Settle commits what was held back, in order, if keep says so, and takes back the
// rest. It returns why one could not be committed.
func (a *Appender) Settle(keep bool) (err error) {
	for _, seg := range a.held {
		if keep && err == nil {
			err = a.commit(seg)
		} else {
			seg.takeBack(a.ctx, nil)
		}
	}
	return err
}

// Stored is how many bytes were committed, once the appender is closed.
func (a *Appender) Stored() int64 { return a.stored }

func (a *Appender) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// fail keeps the first reason, and tells it.
func (a *Appender) fail(err error) {
	a.mu.Lock()
	first := err != nil && a.err == nil
	if first {
		a.err = err
	}
	a.mu.Unlock()
	if first {
		a.Failed(err)
	}
}
