package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// bars draws one bar at a time on a terminal; those of earlier stages stay above it.
type bars struct {
	mu     sync.Mutex
	all    *mpb.Progress
	bar    *mpb.Bar
	stage  video.Stage
	since  time.Time
	last   video.Progress
	pace   pace
	shown  *atomic.Pointer[caption] // of the present bar; the drawing loop reads it and must never wait for mu
	advice string                   // that was given last
	closed bool
}

// caption is what stands around a bar.
type caption struct{ stage, amount, pace string }

func newBars(out io.Writer, options ...mpb.ContainerOption) *bars {
	return &bars{all: mpb.New(append(options, mpb.WithOutput(out), mpb.WithWidth(60))...)}
}

func (b *bars) Video(v client.Video) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var p video.Progress
	if now := measured(v); now != nil {
		p = *now
	}
	if !plain(v) {
		p.PerSecond, p.ETA = nil, nil
	}
	b.show(v.Stage, stageOf(v), p)
}

func (b *bars) Sent(offset, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advice = ""
	b.show(video.Uploading, string(video.Uploading), sending(&b.pace, offset, total))
}

// Waits marks the bar, and writes the advice above it once.
func (b *bars) Waits(state, advice string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.last
	p.PerSecond, p.ETA = nil, nil
	b.show(video.Uploading, string(video.Uploading)+", "+state, p)
	if !b.closed && advice != b.advice {
		b.advice = advice
		fmt.Fprintln(b.all, advice) // fails only after Close
	}
}

func (b *bars) show(stage video.Stage, label string, p video.Progress) {
	if b.closed {
		return
	}
	if b.bar == nil || stage != b.stage {
		b.begin(stage)
	}
	b.last = p
	b.shown.Store(&caption{label, counted(p), paceOf(p)})
	if p.Total > 0 {
		b.bar.SetTotal(p.Total, false)
		b.bar.SetCurrent(p.Done)
	}
}

func (b *bars) begin(stage video.Stage) {
	b.finish(stage)
	b.stage, b.since, b.last = stage, time.Now(), video.Progress{}
	shown := new(atomic.Pointer[caption])
	shown.Store(&caption{stage: string(stage)})
	b.shown = shown
	part := func(of func(caption) string, layout decor.WC) decor.Decorator {
		return decor.Any(func(decor.Statistics) string { return of(*shown.Load()) }, layout)
	}
	name := mpb.PrependDecorators(part(func(c caption) string { return c.stage }, decor.WCSyncSpaceR))
	if !stage.OnTheWay() || stage == video.Reviewing || stage == video.Scheduled {
		b.bar = b.all.New(0, mpb.NopStyle(), name) // nothing to measure
		return
	}
	b.bar = b.all.New(0, mpb.BarStyle(), name, mpb.AppendDecorators(
		part(func(c caption) string { return c.amount }, decor.WCSyncSpace),
		part(func(c caption) string { return "  " + c.pace }, decor.WCSyncWidthR)))
}

// finish completes the present bar when the next stage shows that its own is done.
func (b *bars) finish(next video.Stage) {
	if b.bar == nil {
		return
	}
	if !next.OnTheWay() && next != video.Published {
		b.bar.Abort(false)
		return
	}
	p := b.last
	p.Done = p.Total
	b.shown.Store(&caption{string(b.stage), counted(p), "in " + remaining(time.Since(b.since).Seconds())})
	b.bar.SetTotal(max(p.Total, 1), false)
	b.bar.SetCurrent(max(p.Total, 1))
	b.bar.SetTotal(-1, true)
}

func counted(p video.Progress) string {
	switch {
	case p.Total == 0:
		return ""
	case p.Unit == "bytes":
		return bytesOf(p.Done) + " / " + bytesOf(p.Total)
	}
	return fmt.Sprintf("%d / %d %s", p.Done, p.Total, p.Unit)
}

func (b *bars) Close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	if b.bar != nil {
		b.bar.Abort(false)
	}
	b.mu.Unlock()
	b.all.Wait()
}
