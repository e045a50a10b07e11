package objects

import (
	"context"

	"github.com/reelflow/reelflow/video"
)

// probePrefix is where Probe puts its object. It belongs to no video.
const probePrefix = "ledger/probe/"

// Probe writes, lists and purges one object: that a store can't be purged, or only by
// requests of its own kind, is to be found out before anything is erased there. It
// leaves nothing; what one that died has left, the next removes. Of a store under a
// default Object Lock it leaves one object, however often it is called. Several may run
// at once.
func Probe(ctx context.Context, store Store) error {
	if _, err := store.Purge(ctx, probePrefix, Watch{}); err != nil {
		return err
	}
	key := probePrefix + string(video.NewID())
	version, err := store.Put(ctx, key, []byte("probe"), PutOptions{})
	if err != nil {
		return err
	}
	listed := false
	_, err = store.Inventory(ctx, probePrefix, func(e Entry) error {
		listed = listed || e.Key == key
		return nil
	})
	if err == nil && !listed {
		// Another one's purge may have removed it.
		if _, err = store.Stat(ctx, key, version); err == nil {
			err = video.Errorf(video.Internal, "The store %q doesn't list what was just put there.", store.Name()).At(store.Name())
		}
		err = ignoreNotFound(err)
	}
	if err != nil {
		return err
	}
	_, err = store.Purge(ctx, probePrefix, Watch{})
	return err
}
