package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// A pause answers within a second once nothing moves any more. Tests run on
// loaded machines too and allow five times that; what was measured is printed.
const pauseBound = 5 * time.Second

// rounds is how often each phase is paused, and the seed of the moments: a tenth
// of what SOAK asks for, always the same.
func rounds() (n int, seed uint64) {
	if os.Getenv("SOAK") != "" {
		return 50, uint64(time.Now().UnixNano())
	}
	return 5, 1
}

// Once a pause is answered nothing moves: no byte arrives, though the client goes
// on trying, no encoder runs, no store changes. A hundred times over, with SOAK.
func TestPauseHoldsStill(t *testing.T) {
	t.Parallel()
	r := start(t, withRaceDetector(t, stack.Options{Workers: 2}))
	me := r.as("me")
	v, u := r.announce(me, clip(t, 24, 540, true))
	n, _ := rounds()
	slow, moving := *u, atomic.Bool{} // moving: bytes have left since it was last asked
	slow.Rate = u.Size / int64(5*n+10)
	slow.Sent = func(offset int64) { moving.Store(offset > 0) }
	sending, hangUp := context.WithCancel(r.ctx)
	defer hangUp()
	hungUp := make(chan error, 1)
	go func() { hungUp <- slow.Run(sending) }()
	r.pauses(me, v.ID, video.Uploading, func() {
		moving.Store(false)
		r.until("bytes leave", 20*time.Second, moving.Load)
	})
	hangUp()
	<-hungUp

	r.must(u.Run(r.ctx))
	r.pauses(me, v.ID, video.Processing, func() {
		r.until("an encoder runs", 20*time.Second, func() bool { return r.encoders() > 0 })
	})
	r.publishedAndErased(me, v.ID, unharmed)
}

// pauses goes through the rounds of one stage. Each begins when working returns,
// and pauses a moment later.
func (r *rig) pauses(c *client.Client, id video.ID, stage video.Stage, working func()) {
	r.t.Helper()
	n, seed := rounds()
	moments := rand.New(rand.NewPCG(seed, 0))
	var took []time.Duration
	for range n {
		working()
		time.Sleep(time.Duration(moments.IntN(600)) * time.Millisecond)
		asked := time.Now()
		if v := r.ask(c, id, video.Pause); !v.Paused || v.Stage != stage {
			r.t.Fatalf("seed %d, round %d: the pause's answer says %s, paused: %t", seed, len(took), v.Stage, v.Paused)
		}
		took = append(took, time.Since(asked))
		r.still(c, id)
		r.ask(c, id, video.Resume)
	}
	slices.Sort(took)
	longest := took[n-1]
	r.t.Logf("%d pauses while %s: median %v, longest %v (seed %d)", n, stage, took[n/2], longest, seed)
	if longest > pauseBound {
		r.t.Errorf("a pause was answered only after %v", longest)
	}
}

// still checks that nothing of the video moves.
func (r *rig) still(c *client.Client, id video.ID) {
	r.t.Helper()
	now := func() string {
		return fmt.Sprintf("%d encoders, %d bytes\n%s", r.encoders(), r.offset(c, id), r.inventory(id))
	}
	before := now()
	if n := r.encoders(); n != 0 {
		r.t.Errorf("paused, and %d encoders run", n)
	}
	time.Sleep(300 * time.Millisecond)
	if after := now(); after != before {
		r.t.Errorf("paused, and this:\n%s\nbecame this:\n%s", before, after)
	}
}

// inventory is all that the stores have of a video, a line each.
func (r *rig) inventory(id video.ID) string {
	r.t.Helper()
	var lines []string
	for _, store := range r.stores {
		_, err := store.Inventory(r.ctx, id.Prefix(), func(e objects.Entry) error {
			lines = append(lines, fmt.Sprintf("%s %s %s %s", store.Name(), e.Kind, e.Key, e.Version))
			return nil
		})
		r.must(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
