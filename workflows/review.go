package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// review waits for people, if it was asked for. The backups follow meanwhile.
func (l *life) review() error {
	if !l.in.Review {
		return nil
	}
	l.enter(video.Reviewing)
	l.waitFor("reviewers to approve or reject")
	l.writeShown()
	decided := func() bool { return l.decided(video.Approve, video.Publish) }
	return l.leg(l.followed(func(ctx workflow.Context, _ Leg) error {
		return l.waitInLeg(ctx, -1, "", decided)
	}, true, l.untilSafe()))
}

// schedule waits for the delay, which counts unpaused time, and for the date,
// which is wall-clock. The backups follow meanwhile.
func (l *life) schedule() error {
	now := func() bool { return l.decided(video.Publish) }
	delay := func() time.Duration { return l.in.Policy.PublishDelay - l.kept.Waited }
	date := func() time.Duration { return l.in.PublishAt.Sub(workflow.Now(l.root)) }
	if now() || (delay() <= 0 && date() <= 0) {
		return nil
	}
	l.enter(video.Scheduled)
	defer func() { l.shown.publishAt = time.Time{} }()
	return l.leg(l.followed(func(ctx workflow.Context, _ Leg) error {
		// Known anew after each pause: the delay stands still meanwhile.
		l.shown.publishAt = later(l.in.PublishAt, workflow.Now(ctx).Add(delay()))
		l.waitFor("the time to publish")
		l.writeShown()
		from := workflow.Now(ctx)
		err := l.waitInLeg(ctx, max(0, delay()), "delay before publishing", now)
		l.kept.Waited += workflow.Now(ctx).Sub(from)
		if err != nil {
			return err
		}
		return l.waitInLeg(ctx, max(0, date()), "until the date to publish", now)
	}, true, l.untilSafe()))
}

// waitInLeg waits until enough is true, for d at most, or without end if d is negative.
// Where the history grows too long the leg ends, and the next one begins in a fresh one.
func (l *life) waitInLeg(ctx workflow.Context, d time.Duration, summary string, enough func() bool) error {
	ready := func() bool { return enough() || l.renewalIsDue() }
	var err error
	if d < 0 {
		err = workflow.Await(ctx, ready)
	} else {
		_, err = waitUntil(ctx, d, summary, ready)
	}
	if err == nil && l.renewalIsDue() && !enough() {
		return errInterrupted
	}
	return err
}

func (l *life) decided(commands ...video.Command) bool {
	return slices.ContainsFunc(commands, func(c video.Command) bool { return slices.Contains(l.kept.Done, c) })
}
