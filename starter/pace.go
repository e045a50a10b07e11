package main

import (
	"fmt"
	"time"

	"github.com/reelflow/reelflow/video"
)

// pace measures how fast something goes now: over the last few seconds, and only
// what went while it looked, so that what was there before counts for nothing.
type pace struct{ seen []sighting }

type sighting struct {
	at   time.Time
	done int64
}

const (
	paceWindow = 5 * time.Second
	paceStep   = 200 * time.Millisecond // sightings closer than this are one
)

func (p *pace) observe(at time.Time, done int64) {
	n := len(p.seen)
	if n > 0 && done < p.seen[n-1].done {
		p.seen, n = nil, 0 // sent once more after a connection broke
	}
	if n > 1 && at.Sub(p.seen[n-2].at) < paceStep {
		p.seen = p.seen[:n-1]
	}
	p.seen = append(p.seen, sighting{at, done})
	for len(p.seen) > 2 && at.Sub(p.seen[1].at) >= paceWindow {
		p.seen = p.seen[1:]
	}
}

// rate is in units a second; 0 while that can't be said.
func (p *pace) rate() float64 {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	took := last.at.Sub(first.at)
	if took < paceStep {
		return 0
	}
	return float64(last.done-first.done) / took.Seconds()
}

// paceOf says how fast it goes and how long it still takes, as far as that is known.
func paceOf(p video.Progress) string {
	text := ""
	switch {
	case p.PerSecond == nil || *p.PerSecond <= 0:
	case p.Unit == "bytes":
		text = bytesOf(int64(*p.PerSecond)) + "/s"
	default:
		text = fmt.Sprintf("%.1f %s/s", max(*p.PerSecond, 0.1), p.Unit)
	}
	if p.ETA != nil && *p.ETA > 0 {
		if text != "" {
			text += ", "
		}
		text += remaining(*p.ETA) + " left"
	}
	return text
}

// remaining rounds to what a person would say.
func remaining(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return "under 1 s"
	case d < 100*time.Second:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}
