package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// review waits for people, if it was asked for.
func (l *life) review() error {
	if !l.in.Review {
		return nil
	}
	l.enter(video.Reviewing)
	l.waitFor("reviewers to approve or reject")
	l.project()
	return l.leg(func(ctx workflow.Context, _ Leg) error {
		return workflow.Await(ctx, func() bool { return l.decided(video.Approve, video.Publish) })
	})
}

// schedule waits for the delay, which counts unpaused time, and for the date,
// which is wall-clock.
func (l *life) schedule() error {
	now := func() bool { return l.decided(video.Publish) }
	delay := func() time.Duration { return l.in.Policy.PublishDelay - l.waited }
	date := func() time.Duration { return l.in.PublishAt.Sub(workflow.Now(l.root)) }
	if now() || (delay() <= 0 && date() <= 0) {
		return nil
	}
	l.enter(video.Scheduled)
	defer delete(l.deadlines, "publish_at")
	return l.leg(func(ctx workflow.Context, _ Leg) error {
		// Known anew after each pause: the delay stands still meanwhile.
		l.deadlines["publish_at"] = later(l.in.PublishAt, workflow.Now(ctx).Add(delay()))
		l.waitFor("the time to publish")
		l.project()
		from := workflow.Now(ctx)
		err := wait(ctx, delay(), "delay before publishing", now)
		l.waited += workflow.Now(ctx).Sub(from)
		if err != nil {
			return err
		}
		return wait(ctx, date(), "until the date to publish", now)
	})
}

// wait waits until enough is true, at most d.
func wait(ctx workflow.Context, d time.Duration, summary string, enough func() bool) error {
	if d <= 0 || enough() {
		return nil
	}
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary},
	}, enough)
	return err
}

func (l *life) decided(commands ...video.Command) bool {
	return slices.ContainsFunc(commands, func(c video.Command) bool { return slices.Contains(l.state.Done, c) })
}
