package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// The backups hold what has come of an upload while the rest is still on its way,
// as its owner is told; one that is down holds nothing up, and catches up before
// publication. A cancel leaves nothing in any of them.
func TestBackupsFollowAnUpload(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true})
	i, me := r.insider(), r.as("me")
	f := paddedClip(t, "followed.mp4", 6<<20)
	v, u := r.announce(me, f.path)
	u.Rate = u.Size / 30
	sent := r.send(u)
	r.until("both backups hold some of it", 30*time.Second, func() bool {
		return i.holds(me, v.ID, "backup-a") > 0 && i.holds(me, v.ID, "backup-b") > 0
	})
	if at := r.offset(me, v.ID); at >= f.size {
		t.Error("by then all of it had arrived")
	}

	down := r.Parts["backup-b"]
	r.must(down.Kill())
	before := i.holds(me, v.ID, "backup-a")
	r.until("the other one goes on following", time.Minute, func() bool { return i.holds(me, v.ID, "backup-a") > before })
	if err := within(sent, time.Minute); err != nil {
		t.Fatalf("the upload: %v", err)
	}
	r.must(down.Restart(r.ctx))
	r.stage(me, v.ID, video.Published, 2*time.Minute)
	i.rests(v.ID, f, i.stores...)
	i.gone("me", v.ID, time.Minute)

	canceled, sent := r.uploading(me)
	r.until("the backups follow", 30*time.Second, func() bool { return i.holds(me, canceled.ID, "backup-b") > 0 })
	r.ask(me, canceled.ID, video.Cancel)
	if err := within(sent, 20*time.Second); video.CodeOf(err) != video.Gone {
		t.Errorf("the canceled upload ended with %v, want gone", err)
	}
	r.erased(canceled.ID, time.Minute)
}

// holds is how many objects of a video lie in a store. The owner is told of no
// more than lie there.
func (i *insider) holds(c *client.Client, id video.ID, store string) int {
	i.t.Helper()
	v, err := c.Video(i.ctx, id)
	i.must(err)
	told := 0
	for _, replica := range v.Replicas {
		if replica.Store == store {
			told = replica.Objects
		}
	}
	for _, s := range i.stores {
		if s.Name() != store || told == 0 {
			continue
		}
		found, err := s.Inventory(i.ctx, id.Prefix(), nil)
		i.must(err)
		if found.Objects < told {
			i.t.Errorf("%s holds %d objects, and the owner is told of %d", store, found.Objects, told)
		}
		return found.Objects
	}
	return 0
}

// A slow upload is not a stalled one. One of which nothing comes is said to be
// stalled, with what to do; and no longer, soon after it goes on.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: []string{"REELFLOW_UPLOAD_STALL=3s"}})
	me := r.as("me")
	v, u := r.announce(me, clip(t, 3, 270, true))
	u.Rate = u.Size / 40
	sending, stop := context.WithCancel(r.ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- u.Run(sending) }()
	stalled := func() bool {
		now, err := me.Video(r.ctx, v.ID)
		r.must(err)
		return now.Upload.Stalled && strings.Contains(now.Waits(), "stalled")
	}
	r.until("some of it has come", 20*time.Second, func() bool { return r.offset(me, v.ID) > 0 })
	for until := time.Now().Add(9 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		if stalled() {
			t.Fatal("bytes come slowly, and it is said to be stalled")
		}
	}
	stop()
	<-sent
	r.until("it is said to be stalled", 15*time.Second, stalled)
	u.Rate = 0
	r.must(u.Run(r.ctx))
	r.stage(me, v.ID, video.Published, time.Minute)
}
