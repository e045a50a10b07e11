package leases_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/leases"
	"github.com/reelflow/reelflow/video"
)

const beat = 50 * time.Millisecond

type bench struct {
	*catalog.Catalog
	t *testing.T
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	c, err := catalog.Open(t.Context(), catalogtest.URL(t))
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return &bench{c, t}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) upload() video.ID {
	id := video.NewID()
	must(b.t, b.CreateVideo(b.t.Context(), catalog.Video{ID: id, Owner: "o", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: id, TokenHash: []byte(id), Length: -1, Idle: time.Hour}))
	return id
}

// keeper is one that renews, unless it is dead.
func (b *bench) keeper(name string, dead bool) *leases.Keeper {
	k := leases.New(b.Catalog, name, beat, slog.New(slog.NewTextHandler(b.t.Output(), nil)))
	if dead {
		return k
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	b.t.Cleanup(func() { stop(); running.Wait() })
	return k
}

// told keeps the first reason that a lease ended for.
type told chan error

func (why told) end(err error) {
	select {
	case why <- err:
	default:
	}
}

func (b *bench) hears(why told, want error) {
	b.t.Helper()
	select {
	case got := <-why:
		if !errors.Is(got, want) {
			b.t.Errorf("told %v, not %v", got, want)
		}
	case <-time.After(5 * time.Second):
		b.t.Errorf("not told %v", want)
	}
}

func (b *bench) acquire(k *leases.Keeper, id video.ID) (*leases.Lease, told) {
	b.t.Helper()
	why := make(told, 1)
	l, err := k.Acquire(b.t.Context(), id, why.end)
	must(b.t, err)
	return l, why
}

// Whoever lives lets go when somebody else asks, and keeps its lease until then.
func TestALiveHolderLetsGo(t *testing.T) {
	b := newBench(t)
	one, two, id := b.keeper("one", false), b.keeper("two", false), b.upload()
	first, why := b.acquire(one, id)
	select {
	case err := <-why:
		t.Fatalf("unasked: %v", err)
	case <-time.After(leases.TTL + beat): // it is renewed
	}
	go func() {
		b.hears(why, leases.ErrWanted)
		if err := one.Release(first); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	second, _ := b.acquire(two, id)
	if took := time.Since(began); took > time.Second {
		t.Errorf("let go after %v", took)
	}
	if second.Epoch <= first.Epoch || second.Holder != "two" {
		t.Errorf("%+v after %+v", second, first)
	}
}

// What a dead holder had is free when its time has run out, and a late write of its
// is refused; waking up, it hears that it has lost it.
func TestADeadHoldersLeaseRunsOut(t *testing.T) {
	b := newBench(t)
	frozen, id, other := b.keeper("frozen", true), b.upload(), b.upload()
	lost, why := b.acquire(frozen, id)
	began := time.Now()
	b.acquire(b.keeper("two", false), id)
	if took := time.Since(began); took < leases.TTL/2 || took > 5*leases.TTL {
		t.Errorf("free after %v", took)
	}
	if _, err := b.IntendSegment(t.Context(), lost.Lease, catalog.Object{Store: "primary", Key: "a"}); video.CodeOf(err) != video.Conflict {
		t.Errorf("a late write: %v", err)
	}
	b.acquire(frozen, other)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { frozen.Run(ctx) })
	b.hears(why, leases.ErrLost)
	stop()
	running.Wait()
}

func TestWhatIsAskedOfAHolder(t *testing.T) {
	b := newBench(t)
	k := b.keeper("one", false)
	for want, row := range map[error]catalog.Control{
		leases.ErrPaused: {Paused: true}, leases.ErrEnding: {Ending: video.ByDeletion},
	} {
		row.Video, row.Epoch = b.upload(), 1
		l, why := b.acquire(k, row.Video)
		_, err := b.Catalog.Control(t.Context(), row, nil)
		must(t, err)
		b.hears(why, want)
		must(t, k.Release(l))
		if held, err := b.Leased(t.Context(), row.Video); held || err != nil {
			t.Errorf("leased: %v, %v", held, err)
		}
		_, err = k.Acquire(t.Context(), row.Video, why.end)
		if code := video.CodeOf(err); code != video.Conflict && code != video.Gone {
			t.Errorf("acquired again: %v", err)
		}
	}
}

// A lease that this keeper knows nothing of, because an answer was lost, is given
// back as soon as it is seen.
func TestALostAnswer(t *testing.T) {
	b := newBench(t)
	k, id := b.keeper("one", false), b.upload()
	b.acquire(k, b.upload())
	if _, ok, err := b.Acquire(t.Context(), id, "one", time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(beat) {
		held, err := b.Leased(t.Context(), id)
		must(t, err)
		if !held {
			return
		}
		if time.Now().After(end) {
			t.Fatal("still held")
		}
	}
}

// Waiting ends with its context, for the reason that this has.
func TestWaitingEnds(t *testing.T) {
	b := newBench(t)
	id, enough := b.upload(), errors.New("enough")
	b.acquire(b.keeper("deaf", false), id)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 4*beat, enough)
	defer cancel()
	if _, err := b.keeper("two", false).Acquire(ctx, id, func(error) {}); !errors.Is(err, enough) && video.CodeOf(err) != video.Unavailable {
		t.Errorf("%v", err)
	}
}
