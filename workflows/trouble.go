package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/reelflow/reelflow/video"
)

// codeOf is the code that an activity's failure carries as its type. What came
// without one - a worker that shut down, a timeout - is Internal, which is transient.
func codeOf(err error) video.Code {
	e, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || e.Type() == "" {
		return video.Internal
	}
	return video.Code(e.Type())
}

// placeOf is the place that an activity's failure names, such as a store; empty if none.
func placeOf(err error) (place string) {
	if e, ok := errors.AsType[*temporal.ApplicationError](err); ok && e.HasDetails() {
		_ = e.Details(&place) // of another form: not ours
	}
	return place
}

// setbackOf is the reason that a store's failure gives, and when trying again may help, if
// it says so.
func setbackOf(err error) (reason string, retryAt time.Time) {
	if e, ok := errors.AsType[*temporal.ApplicationError](err); ok && e.HasDetails() {
		var place string
		_ = e.Details(&place, &reason, &retryAt) // most have a place alone
	}
	return reason, retryAt
}

func isThrottled(err error) bool {
	reason, _ := setbackOf(err)
	return reason == video.ReasonThrottled
}

// transient reports whether trying again may help without anything else being done.
func transient(err error) bool { return !codeOf(err).Permanent() }

// notTaken reports whether no worker has taken an activity.
func notTaken(err error) bool {
	timeout, ok := errors.AsType[*temporal.TimeoutError](err)
	return ok && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

const (
	// slowest is the longest wait between two attempts at what may be down for a week.
	slowest = 10 * time.Minute
	// soon is that between two looks for a row, in the first hour that it is missing.
	soon = 20 * time.Second
	// rarest is that between two attempts at work that fails.
	rarest = time.Hour
	// patience is how long work may fail before the life pauses itself.
	patience = 24 * time.Hour
)

// backoff doubles from a second to ten minutes.
func backoff(attempt int) time.Duration { return min(time.Second<<min(attempt-1, 12), slowest) }

// afterFailure decides what an uninterrupted failure of a leg means, and waits before
// the next leg. The activity's own retries are over by now. It ends no life: a row
// that isn't found is waited for, for it may be looked for in the wrong place.
func (l *life) afterFailure(err error) {
	l.failures++
	workflow.GetLogger(l.root).Error("work failed; trying again", "stage", l.kept.Stage, "attempt", l.failures, "error", err)
	switch codeOf(err) {
	case video.Gone, video.Conflict: // ended or fenced off without this run's knowledge: the row says which
		l.writeFence()
		l.await(l.rows.written)
		if l.mustStop() || l.failures == 1 {
			return
		}
	case video.NotFound:
		l.setUnknown(true)
		most := slowest
		if workflow.Now(l.root).Sub(l.kept.TroubleSince) < time.Hour {
			most = soon // whoever has put the right catalog back looks on
		}
		l.waitForAttempt(min(time.Second<<min(l.failures-1, 12), most))
		return
	}
	if l.shown.text(unknownReason) != "" {
		l.setUnknown(false) // the row is found again: what fails now fails since now
	}
	l.showTrouble(fmt.Sprintf("another attempt: %s has failed; the workers' logs say why", l.stageWords()))
	if workflow.Now(l.root).Sub(l.kept.TroubleSince) >= patience {
		l.pauseItself()
		return
	}
	l.waitForAttempt(min(time.Second<<min(l.failures-1, 12), rarest))
}

// waitForAttempt waits before another attempt; a command ends the wait.
func (l *life) waitForAttempt(d time.Duration) {
	_, _ = waitUntil(l.root, d, "before another attempt", l.mustStop) // the root context is never cancelled
}

// pauseItself stops work that has failed for a day: it costs, and needs a person.
func (l *life) pauseItself() {
	l.shown.set(troubleReason, fmt.Sprintf("it paused itself, because %s has failed since %s; a resume tries again",
		l.stageWords(), l.kept.TroubleSince.UTC().Format(time.RFC3339)))
	l.kept.Paused = true
	l.writeFence()
	l.setAttributes()
	l.render()
}

func (l *life) inTrouble() bool { return !l.kept.TroubleSince.IsZero() }

// showTrouble shows, to lists and readers of the catalog as well, that work fails.
func (l *life) showTrouble(why string) {
	begins := !l.inTrouble()
	if begins {
		l.kept.TroubleSince = workflow.Now(l.root)
	}
	if changed := l.shown.set(troubleReason, why); changed || begins {
		l.setAttributes()
		l.writeShown()
	}
	l.render()
}

// endTrouble takes back what showTrouble said.
func (l *life) endTrouble() {
	if l.forgetTrouble() {
		l.setAttributes()
		l.writeShown()
		l.render()
	}
}

func (l *life) forgetTrouble() (was bool) {
	was = l.inTrouble()
	l.kept.TroubleSince = time.Time{}
	l.shown.forget(troubleReason)
	l.shown.forget(unknownReason)
	return was
}

// setUnknown shows whether neither catalog nor ledger knows the video: somebody has to
// put the right catalog back, or to delete the video. There is no row to show it in.
func (l *life) setUnknown(unknown bool) {
	switch {
	case unknown:
		if l.kept.TroubleSince.IsZero() {
			l.kept.TroubleSince = workflow.Now(l.root)
		}
		l.shown.set(unknownReason, "the catalog, which doesn't know this video, nor does the ledger: is it the right one, and up to date? A delete ends the life")
	case l.shown.text(unknownReason) != "":
		l.forgetTrouble()
	default:
		return
	}
	l.setAttributes()
	l.render()
}
