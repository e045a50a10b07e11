package uploads

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/leases"
	"github.com/reelflow/reelflow/video"
)

// beatEvery is how often the leases are renewed. A live holder has to let go within
// 200 ms of being asked: one beat, a poll, and what it takes to end a transfer.
const beatEvery = 100 * time.Millisecond

// slots lets one request at a time add to an upload. Between the requests of this
// gateway the slots themselves see to it, between gateways the leases.
type slots struct {
	keeper *leases.Keeper
	log    *slog.Logger

	mu   sync.Mutex
	byID map[video.ID]*slot
}

// slot is that of one request. Until it has a lease that is being acquired.
type slot struct {
	id    video.ID
	lease *leases.Lease
	done  func()             // gives the turn back; nil without one
	halt  func(reason error) // ends the request
	over  chan struct{}      // closed when the slot is free again

	ctx  context.Context // ends with the first halt; the cause is its reason
	stop context.CancelCauseFunc
}

func newSlots(c *catalog.Catalog, holder string, beaten func(time.Duration, error), log *slog.Logger) *slots {
	keeper := leases.New(c, holder, beatEvery, log)
	keeper.Beaten = beaten
	return &slots{keeper: keeper, log: log, byID: map[video.ID]*slot{}}
}

// occupy takes the slot of an upload from whoever has it, whose request is ended at once.
// It fails with errBusy when that takes too long or ctx ends first, or with the reason of
// a later request that wants the upload too.
func (t *slots) occupy(ctx context.Context, id video.ID, halt func(error)) (*slot, error) {
	l := &slot{id: id, over: make(chan struct{})}
	l.ctx, l.stop = context.WithCancelCause(ctx)
	l.halt = func(reason error) {
		l.stop(reason)
		halt(reason)
	}
	if err := t.enter(l); err != nil {
		l.stop(nil)
		return nil, err
	}
	return l, nil
}

// acquire takes the lease for a slot: another gateway is asked to let go, a dead one's
// lease runs out. Errors are the catalog's, errBusy when it takes too long, or the reason
// of a later request that wants the upload too.
func (t *slots) acquire(l *slot) (err error) {
	ctx, cancel := context.WithTimeoutCause(l.ctx, leases.Wait, errBusy)
	defer cancel()
	l.lease, err = t.keeper.Acquire(ctx, l.id, func(why error) { l.halt(reasonOf(why)) })
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// reasonOf says to a client why the lease of its request is over.
func reasonOf(why error) error {
	switch {
	case errors.Is(why, leases.ErrEnding):
		return errGone
	case errors.Is(why, leases.ErrPaused):
		return errPaused
	}
	return errSuperseded
}

// enter waits for the slot, ending the request that is in it.
func (t *slots) enter(l *slot) error {
	tooLong := time.After(leases.Wait)
	for {
		other := t.claim(l)
		if other == nil {
			return nil
		}
		other.halt(errSuperseded)
		select {
		case <-other.over:
		case <-tooLong:
			return errBusy
		case <-l.ctx.Done():
			return errBusy
		}
	}
}

// claim puts l into its place, or returns who is in it.
func (t *slots) claim(l *slot) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.byID[l.id]; other != nil {
		return other
	}
	t.byID[l.id] = l
	return nil
}

func (t *slots) leave(l *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, l.id)
	l.stop(nil)
	close(l.over)
}

// whyNot prefers a halt's reason to the error that it led to.
func (l *slot) whyNot(err error) error {
	if l.ctx.Err() == nil {
		return err
	}
	if reason, ok := context.Cause(l.ctx).(handler.Error); ok {
		return reason
	}
	return errBusy
}

// release gives the lease back, then the turn and the slot.
func (t *slots) release(l *slot) {
	defer t.leave(l)
	if l.done != nil {
		defer l.done()
	}
	if l.lease == nil {
		return // it was not to be had
	}
	if err := t.keeper.Release(l.lease); err != nil {
		t.log.Warn("a lease was not given back", "video", l.id, "error", err)
	}
}

// end ends the transfer of one video, if this gateway has it.
func (t *slots) end(id video.ID, reason error) {
	t.mu.Lock()
	l := t.byID[id]
	t.mu.Unlock()
	if l != nil {
		l.halt(reason)
	}
}

// letGo ends all transfers and waits until their leases are given back, at most for a time.
func (t *slots) letGo(reason error, wait time.Duration) {
	t.mu.Lock()
	all := make([]*slot, 0, len(t.byID))
	for _, l := range t.byID {
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
func (t *slots) NewLock(string) (handler.Lock, error) { return &lock{slots: t}, nil }

// lock is the lease of one request.
type lock struct {
	slots *slots
	slot  *slot // nil when the request goes on without
}

// Lock takes the slot and, in the request's turn, the lease. HEAD takes it too, so that the
// offset it tells is final - the sender whose connection broke may still be storing what
// had come - and so that other gateways know that somebody is there. But it never fails
// for want of it.
func (k *lock) Lock(ctx context.Context, _ func()) error {
	c := callOf(ctx)
	if c.offline || c.crowded {
		return nil
	}
	// How long tusd would wait in all says nothing here: each step has a limit of its own.
	l, err := k.slots.occupy(context.WithoutCancel(ctx), c.upload.Video, c.halt)
	if err != nil {
		return c.withoutLease(ctx, err)
	}
	if l.done, err = c.awaitTurn(l.ctx); err == nil {
		err = k.slots.acquire(l)
	}
	if err != nil {
		err = l.whyNot(err)
		k.slots.release(l)
		return c.withoutLease(ctx, err)
	}
	k.slot, c.slot = l, l
	return nil
}

// Unlock gives the lease back.
func (k *lock) Unlock() error {
	if k.slot != nil {
		k.slots.release(k.slot)
	}
	return nil
}
