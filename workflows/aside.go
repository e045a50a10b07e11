package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// waitAside waits while an ending can still be taken back: a draft by resume, a cancel
// or a rejection by restore. It reports whether the life goes on where it stood.
func (l *life) waitAside() (taken bool, err error) {
	for l.leaving() {
		switch s := l.kept.State; {
		case s.Stage == video.Draft && s.Ending == "":
			expired, err := l.keepUntilExpiry("draft until it expires")
			if err != nil {
				return false, err
			}
			if expired {
				l.end(video.ByExpiry)
			}
		case s.Stage == video.Canceled && s.Ending == video.ByCancellation, s.Stage == video.Rejected && s.Ending == video.ByRejection:
			expired, err := l.keepUntilExpiry(string(s.Stage) + " until it is erased")
			if err != nil {
				return false, err
			}
			if expired {
				if back, err := l.waitForRelease(l.takenBack(s)); err != nil || !back {
					return false, err
				}
			}
		default:
			return false, nil
		}
	}
	return true, nil
}

// takenBack reports whether a command has led the life out of a state since.
func (l *life) takenBack(from video.State) func() bool {
	return func() bool { return l.kept.Ending != from.Ending || l.kept.Stage != from.Stage }
}

// setAside moves the life into a stage that a command leads out of, or time. It
// changes what readers see at once; keepUntilExpiry is the waiting.
func (l *life) setAside(stage video.Stage) {
	d := map[video.Stage]time.Duration{
		video.Draft: l.in.Policy.DraftTTL, video.Canceled: l.in.Policy.CancelGrace, video.Rejected: l.in.Policy.RejectedTTL,
	}[stage]
	l.kept.Stage = stage
	l.kept.ExpiresAt = workflow.Now(l.root).Add(d)
	l.shown.waitFor(asideReason[stage])
	l.undecide(video.Restore)
}

// asideReason is what a life waits for that was set aside.
var asideReason = map[video.Stage]string{
	video.Draft:    "a resume, or the draft's expiry",
	video.Canceled: "an operator's restore, or the end of the grace",
	video.Rejected: "an operator's restore, or the end of the time for which it is kept",
}

// resumeAt ends that.
func (l *life) resumeAt(stage video.Stage) {
	l.kept.Stage, l.kept.Ending, l.kept.Rejection = stage, "", nil
	l.undecide(video.Reject)
	l.shown.forget(waitReason)
	l.clearDeadlines()
}

// keepUntilExpiry stays where the life was set aside until a command leads out of
// there. It reports whether the time was up instead.
func (l *life) keepUntilExpiry(summary string) (expired bool, err error) {
	from := l.kept.State
	l.enter(from.Stage)
	l.waitFor(asideReason[from.Stage])
	rest := max(0, l.kept.ExpiresAt.Sub(workflow.Now(l.root)))
	left := l.takenBack(from)
	if err := l.waitOutside(rest, summary, left); err != nil {
		return false, err
	}
	return !left(), nil
}
