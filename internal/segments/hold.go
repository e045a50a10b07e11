package segments

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

const (
	leaseTTL  = 4 * time.Second // after a worker's death its uploads are free
	beatEvery = 250 * time.Millisecond
	pollEvery = 50 * time.Millisecond
	holdWait  = leaseTTL + 2*time.Second
	giveBack  = 5 * time.Second // for the statement that gives a lease back
)

// Hold is the right to add to one upload, kept until Release or until somebody
// takes it away. It has a holder of its own, so that no two attempts at the same
// work can be taken for each other.
type Hold struct {
	catalog.Lease
	Context context.Context // ends with the right

	catalog *catalog.Catalog
	stop    context.CancelCauseFunc
	beating chan struct{} // closed when nobody renews any more
}

// Acquire takes the lease of an upload from whoever has it; a dead holder's runs
// out. It fails as catalog.Acquire does, and with Unavailable when a live holder
// doesn't let go.
func Acquire(ctx context.Context, c *catalog.Catalog, id video.ID) (*Hold, error) {
	var name [12]byte
	rand.Read(name[:])
	h := &Hold{Lease: catalog.Lease{Video: id, Holder: "worker/" + hex.EncodeToString(name[:])}, catalog: c, beating: make(chan struct{})}
	limit := time.After(holdWait)
	for {
		epoch, ok, err := c.Acquire(ctx, id, h.Holder, leaseTTL)
		if err != nil {
			return nil, err
		}
		if ok {
			h.Epoch = epoch
			h.Context, h.stop = context.WithCancelCause(ctx)
			go h.beat()
			return h, nil
		}
		if err := c.Want(ctx, id); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit:
			return nil, video.Errorf(video.Unavailable, "The upload is being added to elsewhere.")
		case <-time.After(pollEvery):
		}
	}
}

// Lost is why the right has ended before Release; nil while it hasn't.
func (h *Hold) Lost() error { return context.Cause(h.Context) }

// Release gives the right back. If the catalog can't be asked it runs out by itself.
func (h *Hold) Release() error {
	h.stop(nil)
	<-h.beating
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.Context), giveBack)
	defer cancel()
	return h.catalog.Unlease(ctx, h.Video, h.Holder, h.Epoch)
}

// beat renews the lease, and ends the work when something is asked of its holder.
// While the catalog is down nothing can be committed either, so the work may go on.
func (h *Hold) beat() {
	defer close(h.beating)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.Context.Done():
			return
		case <-tick.C:
		}
		rows, err := h.catalog.Beat(h.Context, h.Holder, leaseTTL)
		if err != nil {
			continue
		}
		if why := h.asked(rows); why != nil {
			h.stop(why)
			return
		}
	}
}

// asked is why the work must end, or nil.
func (h *Hold) asked(rows []catalog.Held) error {
	for _, row := range rows {
		if row.LeaseEpoch != h.Epoch {
			continue
		}
		switch {
		case row.Ending != "" && !row.Draft:
			return video.Errorf(video.Gone, "The video is on its way out.")
		case row.Paused || row.Draft:
			return video.Errorf(video.Conflict, "The video is paused.")
		case row.Wanted:
			return video.Errorf(video.Unavailable, "The upload is wanted elsewhere.")
		}
		return nil
	}
	return video.Errorf(video.Unavailable, "The upload has been taken up elsewhere.")
}
