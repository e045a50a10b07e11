package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// display shows a video on its way: a bar for each stage on a terminal, lines
// elsewhere. Its methods may be called from anywhere; after Close they do nothing.
type display interface {
	Video(client.Video)
	Progress(stage video.Stage, done, total int64, unit string)
	Paused(stage video.Stage, is bool)
	Close()
}

func newDisplay(s *shell) display {
	if s.terminal {
		return &bars{all: mpb.New(mpb.WithOutput(s.out), mpb.WithWidth(64))}
	}
	return &lines{out: s.out}
}

// lines says something at each stage, each pause and each tenth of a stage.
type lines struct {
	mu     sync.Mutex
	out    io.Writer
	last   string
	closed bool
}

func (l *lines) Video(v client.Video) {
	p := v.Progress
	if p != nil && p.Total > 0 && !v.Paused {
		l.Progress(v.Stage, p.Done, p.Total, p.Unit)
		return
	}
	l.say(stageOf(v))
}

func (l *lines) Progress(stage video.Stage, done, total int64, unit string) {
	tenth := 0
	if total > 0 {
		tenth = int(10 * done / total)
	}
	l.say(fmt.Sprintf("%s %d%% of %s", stage, 10*tenth, amount(total, unit)))
}

func (l *lines) Paused(stage video.Stage, is bool) {
	if is {
		l.say(string(stage) + ", paused")
	}
}

func (l *lines) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || line == l.last {
		return
	}
	l.last = line
	fmt.Fprintln(l.out, line)
}

func (l *lines) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// bars draws one bar at a time; those of earlier stages stay above it.
type bars struct {
	mu     sync.Mutex
	all    *mpb.Progress
	bar    *mpb.Bar
	stage  video.Stage
	label  *atomic.Pointer[string] // of the present bar; the drawing loop reads it and must never wait for mu
	closed bool
}

func (b *bars) Video(v client.Video) {
	if p := v.Progress; p != nil && p.Total > 0 {
		b.Progress(v.Stage, p.Done, p.Total, p.Unit)
	} else {
		b.Progress(v.Stage, 0, 0, "")
	}
	b.Paused(v.Stage, v.Paused)
}

func (b *bars) Progress(stage video.Stage, done, total int64, unit string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if b.bar == nil || stage != b.stage {
		b.begin(stage, unit)
	}
	if total > 0 {
		b.bar.SetTotal(total, false)
		b.bar.SetCurrent(done)
	}
}

func (b *bars) begin(stage video.Stage, unit string) {
	b.finish()
	label := new(atomic.Pointer[string])
	b.stage, b.label = stage, label
	b.setLabel(string(stage))
	counter := decor.CountersNoUnit("%d / %d "+unit, decor.WCSyncSpace)
	if unit == "bytes" {
		counter = decor.Counters(decor.SizeB1000(0), "% .1f / % .1f", decor.WCSyncSpace)
	}
	appended := []decor.Decorator{counter}
	if unit == "bytes" {
		appended = append(appended, decor.AverageSpeed(decor.SizeB1000(0), " % .1f"), decor.AverageETA(decor.ET_STYLE_GO))
	}
	b.bar = b.all.AddBar(0,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *label.Load() }, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(appended...))
}

func (b *bars) setLabel(text string) { b.label.Store(&text) }

func (b *bars) Paused(stage video.Stage, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.bar == nil || b.stage != stage:
	case is:
		b.setLabel(string(stage) + ", paused")
	default:
		b.setLabel(string(stage))
	}
}

// finish completes the present bar: the stage is over, however far it said it was.
func (b *bars) finish() {
	if b.bar != nil {
		b.bar.SetTotal(-1, true)
	}
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

// progressOf is how far the stage is, in words; empty where nobody knows.
func progressOf(v client.Video) string {
	p := v.Progress
	if p == nil || p.Total == 0 {
		return ""
	}
	text := fmt.Sprintf("%d%% of %s", 100*p.Done/p.Total, amount(p.Total, p.Unit))
	if p.Unit == "bytes" && p.PerSecond > 0 {
		text += fmt.Sprintf(", %s/s", bytesOf(int64(p.PerSecond)))
	}
	if p.ETA > 0 {
		text += fmt.Sprintf(", %.0f s left", p.ETA)
	}
	return text
}

func amount(total int64, unit string) string {
	if unit == "bytes" {
		return bytesOf(total)
	}
	return fmt.Sprintf("%d %s", total, unit)
}

func bytesOf(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
