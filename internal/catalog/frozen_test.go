package catalog_test

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// A process that freezes in the middle of a transaction does not hold up the
// others for as long as it sleeps. SQLite's lock can't be taken from it.
func TestFrozenTransactionIsEnded(t *testing.T) {
	t.Parallel()
	url := cluster.Database(t)
	b := &bench{Catalog: open(t, url), url: url}
	leg := catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
	must(t, b.Enter(t.Context(), leg, nil))
	inside, wake, frozen := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		frozen <- b.Project(t.Context(), leg, func(v *catalog.Video) {
			v.Done = 99
			close(inside)
			<-wake
		})
	}()
	<-inside
	other, began := open(t, url), time.Now()
	must(t, other.Project(t.Context(), leg, func(v *catalog.Video) { v.Done = 1 }))
	t.Logf("the lock was free after %v", time.Since(began))
	close(wake)
	refused(t, "the frozen one's write", <-frozen, video.Unavailable)
	v, err := other.Video(t.Context(), leg.Video)
	must(t, err)
	if v.Done != 1 {
		t.Errorf("done is %d", v.Done)
	}
}
