package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// A life is cheap: what one costs in Temporal actions is counted by the server
// itself, heartbeats included.
func TestActionsOfALife(t *testing.T) {
	r := start(t, stack.Options{})
	me := r.as("me")
	before := r.actions()
	v := r.upload(me, clip(t, 10, 270, false))
	r.stage(me, v.ID, video.Published, 2*time.Minute)
	if err := me.Delete(r.ctx, v.ID); err != nil {
		t.Fatal(err)
	}
	r.erased(v.ID, time.Minute)
	var lines []string
	total := 0
	for kind, n := range r.actions() {
		if n -= before[kind]; n > 0 {
			total += n
			lines = append(lines, fmt.Sprintf("%4d %s", n, kind))
		}
	}
	slices.Sort(lines)
	events, size, err := r.History(r.ctx, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d actions, %d events, %d bytes of history\n%s", total, events, size, strings.Join(lines, "\n"))
	if total > 32 || size > 20_000 {
		t.Errorf("one life of a 10 s clip with two backups costs %d actions and %d bytes of history; 32 and 20,000 were promised", total, size)
	}
}

func (r *rig) actions() map[string]int {
	r.t.Helper()
	counts, err := r.Actions(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return counts
}
