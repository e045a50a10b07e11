package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// harm is done to a process while a video is in some phase.
type harm struct {
	name string
	do   func(*rig, *stack.Process)
}

// harms are the two ways in which a process fails people: dead, and alive but
// not there, to come back when nobody counts on it any more.
var harms = []harm{
	{"killed", func(r *rig, p *stack.Process) {
		if err := p.Kill(); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := p.Restart(r.ctx); err != nil {
			r.t.Fatal(err)
		}
	}},
	{"frozen", func(r *rig, p *stack.Process) {
		if err := p.Freeze(); err != nil {
			r.t.Fatal(err)
		}
		go func() {
			time.Sleep(25 * time.Second)
			_ = p.Thaw()
		}()
	}},
}

// A worker is harmed while it encodes: the video is published all the same, and
// then erased without a trace.
func TestWorkerHarmedWhileEncoding(t *testing.T) {
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, stack.Options{Workers: 2})
			me := r.as("me")
			v := r.upload(me, clip(t, 24, 540, true))
			r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
			h.do(r, r.encoding())
			r.publishedAndErased(me, v.ID)
		})
	}
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

func (r *rig) publishedAndErased(c *client.Client, id video.ID) {
	r.t.Helper()
	r.stage(c, id, video.Published, 3*time.Minute)
	r.plays(c, id)
	if err := c.Delete(r.ctx, id); err != nil {
		r.t.Fatal(err)
	}
	r.erased(id, time.Minute)
	time.Sleep(time.Second) // for a late writer
	r.nothingOf(id)
}

// The gateway dies in the middle of a PATCH: the upload goes on from the last
// byte stored, at the gateway that comes back.
func TestGatewayKilledDuringPatch(t *testing.T) {
	r := start(t, stack.Options{})
	me := r.as("me")
	v, u := r.announce(me, clip(t, 12, 540, true))
	u.Rate = u.Size / 3
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- u.Run(ctx) }()
	time.Sleep(1500 * time.Millisecond)
	g := r.Gateways[0]
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	r.publishedAndErased(me, v.ID)
}

// Temporal restarts in the middle of processing.
func TestTemporalRestarted(t *testing.T) {
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	v := r.upload(me, clip(t, 12, 540, true))
	r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
	temporal := r.Parts["temporal"]
	if err := temporal.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := temporal.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.publishedAndErased(me, v.ID)
}

// A backup store is down when the purge begins and comes back later: the purge
// waits for it, says so, and then leaves nothing there either.
func TestStoreDownAtPurge(t *testing.T) {
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	v := r.upload(me, clip(t, 4, 270, false))
	r.stage(me, v.ID, video.Published, time.Minute)
	store := r.Parts["backup-b"]
	if err := store.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := me.Delete(r.ctx, v.ID); err != nil {
		t.Fatal(err)
	}
	r.until("the status says which store it waits for", time.Minute, func() bool {
		now, err := me.Video(r.ctx, v.ID)
		if err != nil || now.Stage != video.Purging {
			return false
		}
		states := map[string]string{}
		for _, replica := range now.Replicas {
			states[replica.Store] = replica.State
		}
		return states["backup-b"] == "unreachable" && states["primary"] == "empty" && states["backup-a"] == "empty" && now.WaitingFor != ""
	})
	if err := store.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.erased(v.ID, 2*time.Minute)
}
