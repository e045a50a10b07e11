package main

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// What was stored before, and what is sent twice, is no speed.
func TestPaceCountsWhatGoesNow(t *testing.T) {
	var p pace
	start := time.Now()
	at := func(ms int, done int64) { p.observe(start.Add(time.Duration(ms)*time.Millisecond), done) }
	at(0, 1_000_000)
	if p.rate() != 0 {
		t.Errorf("%v before anything moved", p.rate())
	}
	for ms := 10; ms <= 2000; ms += 10 {
		at(ms, 1_000_000+int64(ms)*1000)
	}
	if r := p.rate(); r < 0.99e6 || r > 1.01e6 {
		t.Errorf("%v instead of 1 MB/s", r)
	}
	at(2010, 500_000)
	if p.rate() != 0 {
		t.Errorf("%v after it began again", p.rate())
	}
	for ms := 2110; ms <= 12010; ms += 100 {
		at(ms, 500_000+int64(ms-2010)*3000)
	}
	if r := p.rate(); r < 2.99e6 || r > 3.01e6 || len(p.seen) > 60 {
		t.Errorf("%v instead of 3 MB/s, from %d sightings", r, len(p.seen))
	}
}

func TestLinesSayHowFastAndWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &lines{out: &out}
		for offset := int64(20_000_000); offset <= 50_000_000; offset += 5_000_000 {
			l.Sent(offset, 100_000_000)
			time.Sleep(time.Second)
		}
		l.Waits("stalled", "No way out.")
		l.Waits("stalled", "No way out.")
		l.Sent(50_000_000, 100_000_000)
		l.Video(client.Video{Video: video.Video{Stage: video.Processing, Progress: &video.Progress{Done: 1, Total: 4, Unit: "segments", PerSecond: new(0.5), ETA: new(6.0)}}})
		l.Video(client.Video{Video: video.Video{Stage: video.Processing, Paused: true, Progress: &video.Progress{Done: 1, Total: 4, Unit: "segments"}}})
		l.Close()
		l.Video(client.Video{Video: video.Video{Stage: video.Published}})
		want := `uploading 20% of 100 MB
uploading 30% of 100 MB, 5.0 MB/s, 14 s left
uploading 40% of 100 MB, 5.0 MB/s, 12 s left
uploading 50% of 100 MB, 5.0 MB/s, 10 s left
uploading, stalled: No way out.
uploading 50% of 100 MB, 4.0 MB/s, 13 s left
processing 20% of 4 segments, 0.5 segments/s, 6 s left
processing, paused
`
		if out.String() != want {
			t.Errorf("got\n%s", out.String())
		}
	})
}

// What a stage that waits or is over still counts belongs to the one before.
func TestOnlyAStageThatIsMeasuredHasAShare(t *testing.T) {
	for _, stage := range video.Stages {
		v := client.Video{Video: video.Video{Stage: stage, Progress: &video.Progress{Stage: stage, Done: 3, Total: 3, Unit: "replicas"}}}
		var out bytes.Buffer
		(&lines{out: &out}).Video(v)
		want := string(stage)
		switch stage {
		case video.Uploading, video.Processing, video.Publishing, video.Purging:
			want += " 100% of 3 replicas"
		}
		if said := strings.TrimSpace(stageOf(v) + " " + progressOf(v)); said != want || out.String() != want+"\n" {
			t.Errorf("%q, and in a line %q, instead of %q", said, out.String(), want)
		}
	}
}

// screen is what a terminal is sent, without the movements of its cursor.
type screen struct {
	sync.Mutex
	bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.Buffer.Write(p)
}

func (s *screen) lines() []string {
	s.Lock()
	defer s.Unlock()
	text := regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`).ReplaceAllString(s.String(), "")
	return strings.Split(strings.TrimSpace(text), "\n")
}

func TestBarsLeaveAStageEach(t *testing.T) {
	var out screen
	b := newBars(&out, mpb.WithAutoRefresh())
	see := func(stage video.Stage, done, total int64, unit string) {
		b.Video(client.Video{Video: video.Video{Stage: stage, Progress: &video.Progress{Done: done, Total: total, Unit: unit}}})
	}
	b.Sent(10_000_000, 50_000_000)
	b.Waits("stalled", "There is no connection.")
	eventuallyShown(t, &out, `^There is no connection\.`)
	eventuallyShown(t, &out, `^uploading, stalled +\[=+>-+\] +10 MB / 50 MB`)
	b.Sent(50_000_000, 50_000_000)
	see(video.Processing, 0, 0, "")
	see(video.Processing, 1, 4, "segments")
	eventuallyShown(t, &out, `^processing +\[=+>-+\] +1 / 4 segments`)
	see(video.Publishing, 1, 2, "replicas")
	b.Video(client.Video{Video: video.Video{Stage: video.Published}})
	b.Close()
	last := strings.Join(out.lines()[max(0, len(out.lines())-4):], "\n")
	want := `^uploading +\[=+\] +50 MB / 50 MB +in under 1 s *
processing +\[=+\] +4 / 4 segments +in under 1 s *
publishing +\[=+\] +2 / 2 replicas +in under 1 s *
published *$`
	if !regexp.MustCompile(want).MatchString(last) {
		t.Errorf("what is left on the screen:\n%s", last)
	}
	b.Sent(1, 2) // after Close: nothing
}

func eventuallyShown(t *testing.T, out *screen, pattern string) {
	t.Helper()
	shown := regexp.MustCompile("(?m)" + pattern)
	for end := time.Now().Add(10 * time.Second); !shown.MatchString(strings.Join(out.lines(), "\n")); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s was never shown:\n%s", pattern, strings.Join(out.lines(), "\n"))
		}
	}
}
