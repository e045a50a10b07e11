package main

import (
	"fmt"
	"time"

	"github.com/reelflow/reelflow/video"
)

// stopwatch prints how long each stage took.
type stopwatch struct {
	shell *shell
	stage video.Stage
	since time.Time
}

func newStopwatch(s *shell, first video.Stage) *stopwatch {
	return &stopwatch{shell: s, stage: first, since: time.Now()}
}

// at notes the stage that a video is in now.
func (w *stopwatch) at(stage video.Stage) {
	if stage == w.stage {
		return
	}
	now := time.Now()
	fmt.Fprintf(w.shell.out, "stage %s seconds=%.2f\n", w.stage, now.Sub(w.since).Seconds())
	w.stage, w.since = stage, now
}
