package workflows

import (
	"slices"

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
	err := l.leg(func(ctx workflow.Context, _ Leg) error {
		return workflow.Await(ctx, func() bool { return l.decided(video.Approve, video.Reject, video.Publish) })
	})
	if err == nil && l.decided(video.Reject) {
		return l.accept(&video.Rejection{Code: "reviewer", Message: "A reviewer has rejected this video."})
	}
	return err
}

// schedule waits for the delay, which counts unpaused time, and for the date,
// which is wall-clock.
func (l *life) schedule() error {
	delay := l.in.Policy.PublishDelay
	date := l.in.PublishAt.Sub(workflow.Now(l.root))
	if l.decided(video.Publish) || (delay <= 0 && (l.in.PublishAt.IsZero() || date <= 0)) {
		return nil
	}
	l.enter(video.Scheduled)
	l.deadlines["publish_at"] = later(l.in.PublishAt, workflow.Now(l.root).Add(delay))
	l.waitFor("the time to publish")
	l.project()
	now := func() bool { return l.decided(video.Publish) }
	if err := l.sleep(delay, "delay before publishing", now); err != nil {
		return err
	}
	err := l.leg(func(ctx workflow.Context, _ Leg) error {
		date := l.in.PublishAt.Sub(workflow.Now(ctx))
		if l.in.PublishAt.IsZero() || date <= 0 || now() {
			return nil
		}
		_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: date, TimerOptions: workflow.TimerOptions{Summary: "until the date to publish"},
		}, now)
		return err
	})
	delete(l.deadlines, "publish_at")
	return err
}

func (l *life) decided(commands ...video.Command) bool {
	return slices.ContainsFunc(commands, func(c video.Command) bool { return slices.Contains(l.state.Done, c) })
}
