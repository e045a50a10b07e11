package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// upload waits while the gateways store the bytes: the control row tells them of
// a pause or cancel. An import is work like any other. The backups follow both.
func (l *life) upload() error {
	l.enter(video.Uploading)
	if l.in.Import {
		return l.leg(l.followed(l.fetch, false, paced(firstCopy)))
	}
	l.waitFor("the rest of the upload")
	return l.leg(l.followed(l.arrive, false, l.newBytes))
}

// arrive returns when every byte is stored, or ends the life of an upload that
// nobody goes on with. In between it looks now and then whether bytes still
// come, and says so when they don't. Paused time does not count: each leg begins
// its wait anew.
func (l *life) arrive(ctx workflow.Context, leg Leg) error {
	since, stalled := workflow.Now(ctx), false
	for pace := firstCopy; ; pace = min(2*pace, slowest) {
		wait := min(l.nextLook(since, stalled), pace)
		arrived, err := waitUntil(ctx, wait, "look whether bytes still come", func() bool { return l.kept.Uploaded })
		if arrived || err != nil {
			return err
		}
		var upload UploadState
		look := CheckInput{Leg: leg, Since: since, Stall: l.in.Policy.UploadStall}
		if err := l.run(ctx, "CheckUpload", "how far is the upload", look, &upload); err != nil {
			return err
		}
		if upload.Complete {
			return nil // the gateway's signal was lost
		}
		l.stored = upload.Offset
		changed := stalled != upload.Stalled
		since, stalled = later(since, upload.LastByteAt), upload.Stalled
		if workflow.Now(ctx).Sub(since) >= l.in.Policy.UploadIdle {
			return l.expire()
		}
		l.waitForBytes(since, stalled)
		if changed {
			l.writeShown()
			pace = firstCopy // to see soon whether it lasts
		}
		if l.renewalIsDue() {
			return errInterrupted // the next leg begins in a fresh history
		}
	}
}

// expire ends the life of an upload that nobody goes on with.
func (l *life) expire() error {
	if !l.leaving() {
		l.end(video.ByExpiry)
	}
	return errEnding
}

// nextLook is when an upload whose last byte came at a time has to be looked at
// again: when it will have stalled, and when it expires.
func (l *life) nextLook(since time.Time, stalled bool) time.Duration {
	quiet := workflow.Now(l.root).Sub(since)
	next := l.in.Policy.UploadIdle - quiet
	if stall := l.in.Policy.UploadStall; stall > 0 && !stalled {
		next = min(next, max(stall-quiet, stall/4)) // the worker's clock may lag behind
	}
	return max(next, time.Second)
}

func (l *life) waitForBytes(since time.Time, stalled bool) {
	what := "the rest of the upload"
	if stalled {
		what += fmt.Sprintf("; stalled: no byte has come since %s. The client goes on where it stopped once its connection is back; the upload expires at %s",
			since.UTC().Format(time.RFC3339), since.Add(l.in.Policy.UploadIdle).UTC().Format(time.RFC3339))
	}
	l.waitFor(what)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// firstCopy is how long after its beginning an upload is first looked at, and the
// backups begin to follow it. What has arrived by then needs no copying ahead.
const firstCopy = 3 * time.Second

// followed is the work of a leg while the backups follow: what is stored is copied each
// time that there may be more, until all of a whole video is there. It ends with the
// work: only publication waits for the backups.
func (l *life) followed(work func(workflow.Context, Leg) error, whole bool, more func(workflow.Context) error) func(workflow.Context, Leg) error {
	return func(ctx workflow.Context, leg Leg) error {
		copying, stop := workflow.WithCancel(ctx)
		over := false
		workflow.Go(copying, func(ctx workflow.Context) {
			for !l.safe && more(ctx) == nil {
				err := l.run(ctx, "CopyAhead", "copy what has come to the backups", CopyInput{leg, whole}, nil)
				if err != nil && !transient(err) {
					break // fenced off, as the work will find out
				}
				l.safe = whole && err == nil
			}
			over = true
		})
		err := work(ctx, leg)
		stop()
		l.await(func() bool { return over })
		return err
	}
}

// newBytes waits until a look has found bytes that came after the last copying.
func (l *life) newBytes(ctx workflow.Context) error {
	err := workflow.Await(ctx, func() bool { return l.stored > l.copied })
	l.copied = l.stored
	return err
}

// untilSafe doesn't wait the first time, and then ever longer.
func (l *life) untilSafe() func(workflow.Context) error {
	again, first := paced(time.Minute), true
	return func(ctx workflow.Context) error {
		if first {
			first = false
			return ctx.Err()
		}
		return again(ctx)
	}
}

// paced waits ever longer.
func paced(first time.Duration) func(workflow.Context) error {
	wait := first
	return func(ctx workflow.Context) error {
		timer := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{Summary: "before the backups follow"})
		wait = min(2*wait, slowest)
		return timer.Get(ctx, nil)
	}
}
