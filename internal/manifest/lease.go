package manifest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/leases"
	"github.com/reelflow/reelflow/video"
)

// beatEvery is slower than a gateway's: each such lease is renewed by a statement of its own.
const beatEvery = 250 * time.Millisecond

// HeldLease is the right to add to one upload, kept until Release or until somebody
// takes it away. It has a keeper of its own, so that no two attempts at the same
// work can be taken for each other.
type HeldLease struct {
	catalog.Lease
	Context context.Context // ends with the right

	keeper  *leases.Keeper
	lease   *leases.Lease
	stop    context.CancelCauseFunc
	beating chan struct{} // closed when nobody renews any more
}

// AcquireLease takes the lease of an upload from whoever has it; a dead holder's runs
// out. It fails as catalog.Acquire does, and with Unavailable when a live holder
// doesn't let go.
func AcquireLease(ctx context.Context, c *catalog.Catalog, id video.ID) (*HeldLease, error) {
	var name [12]byte
	rand.Read(name[:])
	// That a beat failed needs no line: the work fails by the same catalog, and says so.
	keeper := leases.New(c, "worker/"+hex.EncodeToString(name[:]), beatEvery, slog.New(slog.DiscardHandler))
	h := &HeldLease{keeper: keeper, beating: make(chan struct{})}
	h.Context, h.stop = context.WithCancelCause(ctx)
	waiting, cancel := context.WithTimeoutCause(ctx, leases.Wait, video.Errorf(video.Unavailable, "The upload is being added to elsewhere."))
	defer cancel()
	var err error
	if h.lease, err = keeper.Acquire(waiting, id, h.stop); err != nil {
		h.stop(nil)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	h.Lease = h.lease.Lease
	go func() {
		defer close(h.beating)
		keeper.Run(h.Context) // to the end of the right: one that is asked for is not renewed, but runs out
	}()
	return h, nil
}

// Lost is why the right has ended before Release; nil while it hasn't.
func (h *HeldLease) Lost() error { return context.Cause(h.Context) }

// Release gives the right back. If the catalog can't be asked it runs out by itself.
func (h *HeldLease) Release() error {
	h.stop(nil)
	<-h.beating
	return h.keeper.Release(h.lease)
}
