package uploads

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

const (
	leaseTTL = 4 * time.Second // after a gateway's death its uploads are free
	// A live holder has to let go within 200 ms of being asked: one beat, one
	// poll, and what it takes to end a transfer.
	beatEvery = 100 * time.Millisecond
	pollEvery = 25 * time.Millisecond
	leaseWait = leaseTTL + 2*time.Second
	giveBack  = 5 * time.Second // for the statement that gives a lease back
)

// leases holds the right to add to uploads: one lease an upload, in the catalog
// between gateways and in slots between the requests of this one.
type leases struct {
	catalog *catalog.Catalog
	holder  string
	log     *slog.Logger

	mu    sync.Mutex
	slots map[video.ID]*lease
}

// lease is the slot of one request. Until its epoch is set it is being acquired.
type lease struct {
	id    video.ID
	epoch int64
	halt  func(reason error) // ends the request
	over  chan struct{}      // closed when the slot is free again

	ctx  context.Context // ends with the first halt; the cause is its reason
	stop context.CancelCauseFunc
}

func newLeases(c *catalog.Catalog, holder string, log *slog.Logger) *leases {
	return &leases{catalog: c, holder: holder, log: log, slots: map[video.ID]*lease{}}
}

// acquire takes the lease of an upload from whoever has it: requests of this
// gateway are ended at once, another gateway is asked to let go, a dead one's
// lease runs out. Errors are the catalog's, errBusy when ctx ends first, or the
// reason of a later request that wants the upload too.
func (t *leases) acquire(ctx context.Context, id video.ID, halt func(error)) (*lease, error) {
	l := &lease{id: id, over: make(chan struct{})}
	l.ctx, l.stop = context.WithCancelCause(ctx)
	l.halt = func(reason error) {
		l.stop(reason)
		halt(reason)
	}
	if err := t.enter(l); err != nil {
		l.stop(nil)
		return nil, err
	}
	if err := t.take(l); err != nil {
		t.leave(l)
		return nil, err
	}
	return l, nil
}

// enter waits for the slot, ending the request that is in it.
func (t *leases) enter(l *lease) error {
	for {
		other := t.claim(l)
		if other == nil {
			return nil
		}
		other.halt(errSuperseded)
		select {
		case <-other.over:
		case <-l.ctx.Done():
			return errBusy
		}
	}
}

// claim puts l into its slot, or returns who is in it.
func (t *leases) claim(l *lease) *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.slots[l.id]; other != nil {
		return other
	}
	t.slots[l.id] = l
	return nil
}

func (t *leases) leave(l *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.slots, l.id)
	l.stop(nil)
	close(l.over)
}

// take acquires the lease in the catalog. When its answer is lost the lease may
// be ours without our knowing; the next beat finds it and gives it back.
func (t *leases) take(l *lease) error {
	for {
		epoch, ok, err := t.catalog.Acquire(l.ctx, l.id, t.holder, leaseTTL)
		if ok {
			t.hold(l, epoch)
			return nil
		}
		if err == nil {
			err = t.catalog.Want(l.ctx, l.id)
		}
		if err != nil {
			return t.whyNot(l, err)
		}
		select {
		case <-l.ctx.Done():
			return t.whyNot(l, errBusy)
		case <-time.After(pollEvery):
		}
	}
}

// whyNot prefers a halt's reason to the error that it led to.
func (t *leases) whyNot(l *lease, err error) error {
	if l.ctx.Err() == nil {
		return err
	}
	if reason, ok := context.Cause(l.ctx).(handler.Error); ok {
		return reason
	}
	return errBusy
}

func (t *leases) hold(l *lease, epoch int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.epoch = epoch
}

// release gives a lease back. If the catalog can't be asked it runs out by itself.
func (t *leases) release(l *lease) {
	defer t.leave(l)
	t.unlease(l.id, l.epoch)
}

func (t *leases) unlease(id video.ID, epoch int64) {
	// Not the request's context: that has often ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), giveBack)
	defer cancel()
	if err := t.catalog.Unlease(ctx, id, t.holder, epoch); err != nil {
		t.log.Warn("a lease was not given back", "video", id, "error", err)
	}
}

// run renews the leases of this gateway until ctx ends.
func (t *leases) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// While the catalog is down nothing can be committed either, so the
		// transfers may go on: each commit is fenced by its lease's epoch. When
		// it was down for longer than a lease lasts, they have to begin anew.
		if err := t.beat(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("leases were not renewed", "error", err)
		}
	}
}

// beat renews all leases at once and ends the requests of which something was asked.
func (t *leases) beat(ctx context.Context) error {
	// Taken before the beat: what is acquired meanwhile is missing from its answer.
	mine := t.held()
	if len(mine) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/2)
	defer cancel()
	rows, err := t.catalog.Beat(ctx, t.holder, leaseTTL)
	if err != nil {
		return err
	}
	for _, row := range rows {
		l := mine[row.Video]
		if l == nil || l.epoch != row.LeaseEpoch {
			t.reclaim(row)
			continue
		}
		delete(mine, row.Video)
		if reason := asked(row); reason != nil {
			l.halt(reason)
		}
	}
	for _, lost := range mine {
		lost.halt(errSuperseded)
	}
	return nil
}

// reclaim gives back a lease that nobody here uses: the answer to its Acquire or
// Unlease was lost. One in an occupied slot may just have been acquired.
func (t *leases) reclaim(row catalog.Held) {
	t.mu.Lock()
	occupied := t.slots[row.Video] != nil
	t.mu.Unlock()
	if !occupied {
		t.unlease(row.Video, row.LeaseEpoch)
	}
}

// asked is why the holder of a lease must end its transfer; nil when it may go on.
func asked(row catalog.Held) error {
	switch {
	case row.Ending != "" && !row.Draft:
		return errGone
	case row.Paused || row.Draft:
		return errPaused
	case row.Wanted:
		return errSuperseded
	}
	return nil
}

func (t *leases) held() map[video.ID]*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := make(map[video.ID]*lease, len(t.slots))
	for id, l := range t.slots {
		if l.epoch != 0 {
			held[id] = l
		}
	}
	return held
}

// end ends the transfer of one video, if this gateway has it.
func (t *leases) end(id video.ID, reason error) {
	t.mu.Lock()
	l := t.slots[id]
	t.mu.Unlock()
	if l != nil {
		l.halt(reason)
	}
}

// letGo ends all transfers and waits until their leases are given back, at most for a time.
func (t *leases) letGo(reason error, wait time.Duration) {
	t.mu.Lock()
	all := make([]*lease, 0, len(t.slots))
	for _, l := range t.slots {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		l.halt(reason)
	}
	limit := time.After(wait)
	for _, l := range all {
		select {
		case <-l.over:
		case <-limit:
			return
		}
	}
}

// NewLock is tusd's way to a lease.
func (t *leases) NewLock(string) (handler.Lock, error) { return &lock{leases: t}, nil }

// lock is the lease of one request.
type lock struct {
	leases *leases
	lease  *lease // nil when the request goes on without
}

// Lock takes the lease. HEAD takes it too, so that the offset it tells is final:
// the sender whose connection broke may still be storing what had come. But it
// never fails for want of it.
func (k *lock) Lock(ctx context.Context, _ func()) error {
	c := callOf(ctx)
	if c.offline {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leaseWait, errBusy)
	defer cancel()
	l, err := k.leases.acquire(ctx, c.upload.Video, c.halt)
	if err == nil {
		k.lease, c.lease = l, l
		return nil
	}
	return c.withoutLease(ctx, err)
}

// Unlock gives the lease back.
func (k *lock) Unlock() error {
	if k.lease != nil {
		k.leases.release(k.lease)
	}
	return nil
}
