package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// display shows a video on its way: a bar for each stage on a terminal, lines
// elsewhere. Its methods may be called from anywhere; after Close they do nothing.
type display interface {
	// Video shows what the gateway says.
	Video(client.Video)
	// Sent shows how far our own upload is.
	Sent(offset, total int64)
	// Waits says that nothing is sent: paused or stalled, and what one can do.
	// The next byte sent takes it back.
	Waits(state, advice string)
	Close()
}

func newDisplay(s *shell) display {
	if s.terminal {
		return newBars(s.out)
	}
	return &lines{out: s.out}
}

// lines says something at each stage, each pause and each tenth of a stage.
type lines struct {
	mu     sync.Mutex
	out    io.Writer
	last   string // what was said, without what changes all the time
	pace   pace
	closed bool
}

func (l *lines) Video(v client.Video) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := measured(v); p != nil && plain(v) {
		l.tenth(v.Stage, *p)
		return
	}
	l.say(stageOf(v), "")
}

func (l *lines) Sent(offset, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenth(video.Uploading, sending(&l.pace, offset, total))
}

func (l *lines) Waits(state, advice string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(fmt.Sprintf("%s, %s: %s", video.Uploading, state, advice), "")
}

func (l *lines) tenth(stage video.Stage, p video.Progress) {
	tenth := int64(0)
	if p.Total > 0 {
		tenth = 10 * p.Done / p.Total
	}
	pace := paceOf(p)
	if pace != "" {
		pace = ", " + pace
	}
	l.say(fmt.Sprintf("%s %d%% of %s", stage, 10*tenth, amount(p.Total, p.Unit)), pace)
}

func (l *lines) say(line, more string) {
	if l.closed || line == l.last {
		return
	}
	l.last = line
	fmt.Fprintln(l.out, line+more)
}

func (l *lines) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// sending is the progress of our own upload.
func sending(p *pace, offset, total int64) video.Progress {
	p.observe(time.Now(), offset)
	progress := video.Progress{Stage: video.Uploading, Done: offset, Total: total, Unit: "bytes"}
	if rate := p.rate(); rate > 0 {
		progress.PerSecond, progress.ETA = &rate, new(float64(total-offset)/rate)
	}
	return progress
}

// plain reports whether there is nothing to say of the video but how far it is.
func plain(v client.Video) bool { return stageOf(v) == string(v.Stage) }

// measured is how far the stage is, or nil where nobody knows and in stages that wait or
// are over: what the gateway still counts there was the stage before.
func measured(v client.Video) *video.Progress {
	switch v.Stage {
	case video.Uploading, video.Processing, video.Publishing, video.Purging:
		if v.Progress != nil && v.Progress.Total > 0 {
			return v.Progress
		}
	}
	return nil
}

// progressOf is how far the stage is, in words; empty where nobody knows.
func progressOf(v client.Video) string {
	p := measured(v)
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("%d%% of %s", 100*p.Done/p.Total, amount(p.Total, p.Unit))
	if pace := paceOf(*p); pace != "" && plain(v) {
		text += ", " + pace
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
