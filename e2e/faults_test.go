package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// harm is done to a process while a video is in some phase. What it returns
// waits until the process is there again.
type harm struct {
	name string
	do   func(*rig, *stack.Process) (back func())
}

// asleep is longer than it takes until a frozen worker's work is given to others.
// It has an end, because SQLite's lock is the process's that holds it, even a frozen one's.
const asleep = 25 * time.Second

// harms are the two ways in which a process fails people: dead, and alive but
// not there, to come back when nobody counts on it any more.
var harms = []harm{
	{"killed", func(r *rig, p *stack.Process) func() {
		r.must(p.Kill())
		time.Sleep(300 * time.Millisecond)
		r.must(p.Restart(r.ctx))
		return func() {}
	}},
	{"frozen", func(r *rig, p *stack.Process) func() {
		r.must(p.Freeze())
		thawed := make(chan error, 1)
		time.AfterFunc(asleep, func() { thawed <- p.Thaw() })
		return func() {
			r.must(<-thawed)
			time.Sleep(2 * time.Second) // for what it was about to write
		}
	}},
}

// harmed runs a test once for each harm, on a stack of its own.
func harmed(t *testing.T, o stack.Options, test func(*rig, harm)) {
	t.Parallel()
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			test(start(t, o), h)
		})
	}
}

// A worker is harmed while the bytes come in. They come in all the same, and
// what is asked meanwhile is answered once others have noticed.
func TestWorkerHarmedWhileUploading(t *testing.T) {
	harmed(t, stack.Options{Workers: 2}, func(r *rig, h harm) {
		me := r.as("me")
		v, u := r.announce(me, clip(r.t, 6, 540, true))
		u.Rate = u.Size / 6
		sent := r.send(u)
		r.until("bytes arrive", 10*time.Second, func() bool { return r.offset(me, v.ID) > 0 })
		back := h.do(r, r.Workers[0])
		r.ask(me, v.ID, video.Pause)
		stored := r.offset(me, v.ID)
		time.Sleep(time.Second)
		if now := r.offset(me, v.ID); now != stored {
			r.t.Errorf("while paused the upload went on from %d to %d", stored, now)
		}
		r.ask(me, v.ID, video.Resume)
		r.must(<-sent)
		r.publishedAndErased(me, v.ID, back)
	})
}

// A worker is harmed while it encodes: the video is published all the same, and
// then erased without a trace.
func TestWorkerHarmedWhileEncoding(t *testing.T) {
	harmed(t, stack.Options{Workers: 2}, func(r *rig, h harm) {
		me := r.as("me")
		v := r.upload(me, clip(r.t, 12, 540, true))
		r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
		r.publishedAndErased(me, v.ID, h.do(r, r.encoding()))
	})
}

// A worker is harmed while it encodes what is then canceled: nothing is left,
// also once it is back.
func TestWorkerHarmedBeforeCancel(t *testing.T) {
	harmed(t, stack.Options{Workers: 2}, func(r *rig, h harm) {
		me := r.as("me")
		v := r.upload(me, clip(r.t, 12, 540, true))
		r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
		back := h.do(r, r.encoding())
		r.ask(me, v.ID, video.Cancel)
		r.erased(v.ID, time.Minute)
		back()
		r.nothingOf(v.ID)
	})
}

// A worker is harmed while it copies to a store that is slow to answer.
func TestWorkerHarmedWhileCopying(t *testing.T) {
	harmed(t, stack.Options{Workers: 2, Separate: true}, func(r *rig, h harm) {
		me := r.as("me")
		slow := r.Parts["backup-a"]
		r.must(slow.Freeze())
		v := r.upload(me, clip(r.t, 6, 270, false))
		back := h.do(r, r.busyWith(v.ID, "CopyReplica"))
		r.must(slow.Thaw())
		r.publishedAndErased(me, v.ID, back)
	})
}

// A worker is harmed while it purges a store that is slow to answer.
func TestWorkerHarmedWhilePurging(t *testing.T) {
	harmed(t, stack.Options{Workers: 2, Separate: true}, func(r *rig, h harm) {
		me := r.as("me")
		v := r.upload(me, clip(r.t, 6, 270, false))
		r.stage(me, v.ID, video.Published, 2*time.Minute)
		slow := r.Parts["backup-a"]
		r.must(slow.Freeze())
		r.must(me.Delete(r.ctx, v.ID))
		back := h.do(r, r.busyWith(v.ID, "PurgeReplica"))
		r.must(slow.Thaw())
		r.erased(v.ID, 2*time.Minute)
		back()
		r.nothingOf(v.ID)
	})
}

// encoding is a worker that runs ffmpeg.
func (r *rig) encoding() *stack.Process {
	r.t.Helper()
	for _, w := range r.Workers {
		if encodersOf(w) > 0 {
			return w
		}
	}
	r.t.Fatal("no worker encodes any more")
	return nil
}

// busyWith waits until a worker is at an activity of a video, and returns it: the
// server knows the worker's identity, and the worker's log says whose it is.
func (r *rig) busyWith(id video.ID, activity string) *stack.Process {
	r.t.Helper()
	c := r.temporal()
	var busy *stack.Process
	r.until(fmt.Sprintf("a worker is at %s of %s", activity, id), time.Minute, func() bool {
		d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
		if err != nil {
			return false
		}
		for _, a := range d.GetPendingActivities() {
			if a.GetActivityType().GetName() == activity && a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
				busy = r.named(a.GetLastWorkerIdentity())
			}
		}
		return busy != nil
	})
	return busy
}

// named finds the worker of an identity.
func (r *rig) named(identity string) *stack.Process {
	for _, w := range r.Workers {
		if log, err := os.ReadFile(w.Log); err == nil && bytes.Contains(log, []byte(identity)) {
			return w
		}
	}
	return nil
}

// publishedAndErased goes through the rest of a life. Whatever was harmed is
// there again at the end, and must not have left anything.
func (r *rig) publishedAndErased(c *client.Client, id video.ID, back func()) {
	r.t.Helper()
	r.stage(c, id, video.Published, 3*time.Minute)
	r.plays(c, id)
	r.must(c.Delete(r.ctx, id))
	r.erased(id, 2*time.Minute)
	back()
	time.Sleep(time.Second) // for a late writer
	r.nothingOf(id)
}

func unharmed() {}

// The gateway dies in the middle of a PATCH: the upload goes on from the last
// byte stored, at the gateway that comes back.
func TestGatewayKilledDuringPatch(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{})
	me := r.as("me")
	v, u := r.announce(me, clip(t, 6, 270, true))
	u.Rate = u.Size / 3
	sent := r.send(u)
	time.Sleep(1500 * time.Millisecond)
	g := r.Gateways[0]
	r.must(g.Kill())
	r.must(g.Restart(r.ctx))
	r.must(<-sent)
	r.publishedAndErased(me, v.ID, unharmed)
}

// A gateway freezes in the middle of a PATCH, and another takes the upload over.
// What the first commits when it wakes up is refused: nothing but the right
// bytes become the video. It may freeze in a transaction: PostgreSQL ends that.
func TestGatewayFrozenDuringPatch(t *testing.T) {
	t.Parallel()
	r, _ := onPostgres(t, stack.Options{Gateways: 2})
	v, u := r.announce(r.as("me"), clip(t, 6, 270, true))
	u.Rate = u.Size / 10
	broken, hangUp := context.WithCancel(r.ctx)
	defer hangUp()
	first := make(chan error, 1)
	go func() { first <- u.Run(broken) }()
	me := r.asAt("me", 1)
	r.until("bytes arrive", 10*time.Second, func() bool { return r.offset(me, v.ID) > 0 })
	r.must(r.Gateways[0].Freeze())
	hangUp() // the phone has moved to another network
	<-first
	stored := r.offset(me, v.ID)

	again := *u
	again.Client, again.URL = me, strings.Replace(u.URL, r.URLs[0], r.URLs[1], 1)
	sent := r.send(&again)
	r.until("the other gateway takes over", 20*time.Second, func() bool { return r.offset(me, v.ID) > stored })
	r.must(r.Gateways[0].Thaw())
	r.must(<-sent)
	r.publishedAndErased(me, v.ID, unharmed)
}

// Temporal restarts in the middle of processing.
func TestTemporalRestarted(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	v := r.upload(me, clip(t, 12, 540, true))
	r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
	temporal := r.Parts["temporal"]
	r.must(temporal.Kill())
	r.must(temporal.Restart(r.ctx))
	r.publishedAndErased(me, v.ID, unharmed)
}

// A backup store is down when the purge begins and comes back later: the purge
// waits for it, says so, and then leaves nothing there either.
func TestStoreDownAtPurge(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	v := r.upload(me, clip(t, 4, 270, false))
	r.stage(me, v.ID, video.Published, time.Minute)
	store := r.Parts["backup-b"]
	r.must(store.Kill())
	r.must(me.Delete(r.ctx, v.ID))
	r.until("the status says which store it waits for", time.Minute, func() bool {
		now, err := me.Video(r.ctx, v.ID)
		if err != nil || now.Stage != video.Purging {
			return false
		}
		states := map[string]string{}
		for _, replica := range now.Replicas {
			states[replica.Store] = replica.State
		}
		return states["backup-b"] == "unreachable" && states["primary"] == "empty" && states["backup-a"] == "empty" && now.Waits() != ""
	})
	r.must(store.Restart(r.ctx))
	r.erased(v.ID, 2*time.Minute)
}
