package objects_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// A store that keeps keys as files prunes the directory that a deletion has
// emptied, while the next put of the same prefix goes into it.
func TestPutBesidePruning(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 200
	devstack := devstacktest.Start(t, devstacktest.Primary).Stores[0]
	for name, url := range map[string]string{"versioned": devstack.URL, "unversioned": newBucket(t, devstack)} {
		t.Run(name, func(t *testing.T) {
			store, prefix, began := open(t, url), video.NewID().Prefix(), time.Now()
			var group errgroup.Group
			for w := range writers {
				group.Go(func() error {
					for i := range rounds {
						key := fmt.Sprintf("%ssource/%d-%d", prefix, w, i)
						version, err := store.Put(t.Context(), key, []byte(key), objects.PutOptions{})
						if err != nil {
							return fmt.Errorf("put %d: %w", i, err)
						}
						if err := store.Delete(t.Context(), key, version); err != nil {
							return fmt.Errorf("delete %d: %w", i, err)
						}
					}
					return nil
				})
			}
			written := make(chan error, 1)
			go func() { written <- group.Wait() }()
			listings := 0
			for writing := true; writing; listings++ {
				if _, err := store.Inventory(t.Context(), prefix, nil); err != nil {
					t.Errorf("listing %d: %v", listings, err)
				}
				select {
				case err := <-written:
					if writing = false; err != nil {
						t.Error(err)
					}
				default:
				}
			}
			t.Logf("%d puts and deletions, and %d listings, in %v", writers*rounds, listings, time.Since(began))
			if left, err := store.Inventory(t.Context(), prefix, nil); err != nil || !left.Empty() {
				t.Errorf("left: %+v, %v", left, err)
			}
		})
	}
}
