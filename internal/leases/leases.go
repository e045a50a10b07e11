// Package leases holds the right to add to uploads, for gateways as for workers.
//
// One lease an upload lies in the catalog, with its holder, an epoch and a time. A
// Keeper takes leases, renews all that it has with one statement several times a
// second, and hears by the same statement of a pause, of an end, and of others who
// want the upload. What a dead holder had is free when its time has run out; a
// frozen one's late commit is refused by its epoch, since whoever came after has a
// higher one. Nothing here outlives its process.
package leases

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

const (
	// TTL is how long a lease lasts that nobody renews.
	TTL = 4 * time.Second
	// Wait is how long a lease is worth waiting for: a dead holder's has run out by then.
	Wait = TTL + 2*time.Second

	giveBack   = 5 * time.Second // for the statement that gives a lease back
	pollsABeat = 4               // how often one that is waited for is asked for
)

// Why a lease ends before it is released.
var (
	ErrEnding = video.Errorf(video.Gone, "The video is on its way out.")
	ErrPaused = video.Errorf(video.Conflict, "The video is paused.")
	ErrWanted = video.Errorf(video.Unavailable, "The upload is wanted elsewhere.")
	ErrLost   = video.Errorf(video.Unavailable, "The upload has been taken up elsewhere.")
)

// Keeper holds leases under one name. Its methods may be called from many goroutines.
type Keeper struct {
	catalog *catalog.Catalog
	name    string
	every   time.Duration
	log     *slog.Logger

	// Beaten, unless nil, is told of each renewal, from one goroutine. It is set before Run.
	Beaten func(took time.Duration, err error)

	mu   sync.Mutex
	held map[video.ID]*Lease // also those that are being acquired or given back
}

// Lease is the right to add to one upload. Until it has an epoch it is being acquired.
type Lease struct {
	catalog.Lease
	end func(why error)
}

// New makes a keeper. Its name must be of this run of the process alone, so that
// none that was started again holds what it knows nothing of. It renews its leases
// every so often, and hears no sooner of what is asked of them.
func New(c *catalog.Catalog, name string, every time.Duration, log *slog.Logger) *Keeper {
	return &Keeper{catalog: c, name: name, every: every, log: log, held: map[video.ID]*Lease{}}
}

// Acquire takes the lease of an upload that this keeper does not have: another
// holder is asked to let go, a dead one's lease runs out. It fails as
// catalog.Acquire does, and with the cause of ctx when that ends first. From then
// until Release, end may be told, more than once, that the lease is over or is to be
// given back soon: one of the errors above. It must not wait for anything.
//
// When the catalog's answer is lost the lease may be ours without our knowing; the
// next beat finds it and gives it back, or it runs out.
func (k *Keeper) Acquire(ctx context.Context, id video.ID, end func(why error)) (*Lease, error) {
	l := &Lease{Lease: catalog.Lease{Video: id, Holder: k.name}, end: end}
	k.enter(l)
	if err := k.take(ctx, l); err != nil {
		k.leave(l)
		return nil, err
	}
	return l, nil
}

func (k *Keeper) take(ctx context.Context, l *Lease) error {
	for {
		epoch, ok, err := k.catalog.Acquire(ctx, l.Video, k.name, TTL)
		if ok {
			k.mu.Lock()
			defer k.mu.Unlock()
			l.Epoch = epoch
			return nil
		}
		if err == nil {
			err = k.catalog.Want(ctx, l.Video)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(k.every / pollsABeat):
		}
	}
}

// Release gives a lease back. If the catalog can't be asked it runs out by itself.
func (k *Keeper) Release(l *Lease) error {
	defer k.leave(l)
	return k.unlease(l.Lease)
}

func (k *Keeper) unlease(l catalog.Lease) error {
	// Not the context of the work: that has often ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), giveBack)
	defer cancel()
	return k.catalog.Unlease(ctx, l.Video, k.name, l.Epoch)
}

func (k *Keeper) enter(l *Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[l.Video] = l
}

func (k *Keeper) leave(l *Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, l.Video)
}

// Run renews the leases until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// While the catalog is down nothing can be committed either, so the work
		// may go on: each commit is fenced by its lease's epoch. When it was down
		// for longer than a lease lasts, the work has to begin anew.
		if err := k.beat(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("leases were not renewed", "error", err)
		}
	}
}

// beat renews all leases at once and ends those of which something was asked.
func (k *Keeper) beat(ctx context.Context) error {
	// Taken before the beat: what is acquired meanwhile is missing from its answer.
	mine := k.acquired()
	if len(mine) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, TTL/2)
	defer cancel()
	begun := time.Now()
	rows, err := k.catalog.Beat(ctx, k.name, TTL)
	if k.Beaten != nil {
		k.Beaten(time.Since(begun), err)
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		l := mine[row.Video]
		if l == nil || l.Epoch != row.LeaseEpoch {
			k.reclaim(row)
			continue
		}
		delete(mine, row.Video)
		if why := asked(row); why != nil {
			l.end(why)
		}
	}
	for _, lost := range mine {
		lost.end(ErrLost)
	}
	return nil
}

// acquired are the leases that have an epoch.
func (k *Keeper) acquired() map[video.ID]*Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	acquired := make(map[video.ID]*Lease, len(k.held))
	for id, l := range k.held {
		if l.Epoch != 0 {
			acquired[id] = l
		}
	}
	return acquired
}

// reclaim gives back a lease that nobody here uses: the answer to its Acquire or
// Unlease was lost. One that is in use here may just have been acquired.
func (k *Keeper) reclaim(row catalog.Held) {
	k.mu.Lock()
	inUse := k.held[row.Video] != nil
	k.mu.Unlock()
	if inUse {
		return
	}
	if err := k.unlease(catalog.Lease{Video: row.Video, Epoch: row.LeaseEpoch}); err != nil {
		k.log.Warn("a lease was not given back", "video", row.Video, "error", err)
	}
}

// asked is why a lease must end; nil when its holder may go on.
func asked(row catalog.Held) error {
	switch {
	case row.Ending != "" && !row.Draft:
		return ErrEnding
	case row.Paused || row.Draft:
		return ErrPaused
	case row.Wanted:
		return ErrWanted
	}
	return nil
}
