package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// errEnding leaves every phase: something has ended the life.
var errEnding = errors.New("the life is ending")

// leg runs work until it is done, once more after every pause. It is the one
// mechanism by which people stop a life and take it up again.
//
// A leg is a stretch of work between two interruptions. It runs its activities
// with WaitForCancellation, so that when it has returned nothing of it runs any
// more: the transfer or encoder has really stopped. The next leg goes on from
// what is durable. Whether the leg counts as interrupted is decided by what was
// asked, never by the error: an activity that was told to stop may come back as
// cancelled, timed out, failed or completed.
func (l *life) leg(work func(workflow.Context, Leg) error) error {
	for attempt := 1; ; {
		if err := l.clearance(); err != nil {
			return err
		}
		err := l.runLeg(work)
		switch {
		case err == nil:
			return nil // a pause that came at the last moment holds up the next leg
		case l.asked() || errors.Is(err, errInterrupted):
			attempt = 1
		case errors.Is(err, errEnding):
			return err
		default:
			if err := l.survive(err, attempt); err != nil {
				return err
			}
			attempt++
		}
	}
}

// errInterrupted is the end of a leg that was told to stop, whatever its activities said.
var errInterrupted = errors.New("interrupted")

func (l *life) runLeg(work func(workflow.Context, Leg) error) error {
	var ctx workflow.Context
	ctx, l.stop = workflow.WithCancel(l.root)
	l.epoch++
	l.legs++
	err := work(ctx, Leg{l.in.ID, l.epoch})
	l.legs--
	told := ctx.Err() != nil
	l.stop()
	l.stop = nil
	if err != nil && told {
		return errInterrupted
	}
	return err
}

// clearance waits until a leg may begin: not paused, nothing being told.
func (l *life) clearance() error {
	l.await(func() bool { return l.telling == 0 && (l.leaving() || !l.state.Paused) })
	if l.leaving() {
		return errEnding
	}
	if workflow.GetInfo(l.root).GetContinueAsNewSuggested() {
		return l.continueAsNew()
	}
	return nil
}

// survive decides what an uninterrupted failure means. The activity's own
// retries are over by now.
func (l *life) survive(err error, attempt int) error {
	switch codeOf(err) {
	case video.Gone: // ended without us: this run was reset, or comes too late
		l.tell()
		l.await(func() bool { return l.telling == 0 })
		if l.state.Ending == "" {
			l.end(video.ByDeletion)
		}
		return errEnding
	case video.Conflict: // fenced by a later epoch: this run was reset. Go on above it.
		l.tell()
		if attempt == 1 {
			return nil
		}
	}
	workflow.GetLogger(l.root).Error("work failed; trying again", "stage", l.state.Stage, "attempt", attempt, "error", err)
	return l.trouble(backoff(attempt))
}

// trouble waits before another attempt; a command ends the wait.
func (l *life) trouble(d time.Duration) error {
	l.waitFor("another attempt: " + string(l.state.Stage) + " has failed; the workers' logs say why")
	_, err := workflow.AwaitWithOptions(l.root, workflow.AwaitOptions{
		Timeout: d, TimerOptions: workflow.TimerOptions{Summary: "before another attempt"},
	}, l.asked)
	l.waitFor("")
	return err
}

// backoff doubles from a second to ten minutes.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt-1, 10), slowest)
}

func (l *life) asked() bool { return l.state.Paused || l.leaving() }

// leaving reports whether the life is to end, or was set aside.
func (l *life) leaving() bool { return l.state.Ending != "" || l.state.Stage == video.Draft }

// still reports whether what was asked has taken hold: nothing runs, and the
// control row says so.
func (l *life) still() bool { return l.legs == 0 && l.telling == 0 }

func (l *life) halt() {
	if l.stop != nil {
		l.stop()
	}
}

// await blocks the main coroutine. Its context is never cancelled, so it can't fail.
func (l *life) await(ready func() bool) {
	_ = workflow.Await(l.root, ready)
}

// tell writes the control row, in the same workflow task as the interruption
// that it reports: whoever sees the row can be sure that the server knows. It
// fences every leg begun so far.
func (l *life) tell() {
	l.epoch++
	l.write()
}

// project writes where the life stands without fencing what runs. Two writes of
// one epoch could overtake each other: the second waits for the first.
func (l *life) project() {
	if l.telling > 0 {
		l.stale = true
		return
	}
	l.write()
}

func (l *life) write() {
	l.telling++
	l.stale = false
	told := l.epoch
	ctx := withOptions(l.root, "Control", "control row: "+l.sentence())
	written := workflow.ExecuteActivity(ctx, "Control", l.controlInput(told))
	workflow.Go(l.root, func(ctx workflow.Context) {
		var row ControlRow
		if err := written.Get(ctx, &row); err != nil {
			workflow.GetLogger(ctx).Error("control row not written", "error", err)
		}
		l.heed(row, told)
		l.telling--
		if l.telling == 0 && l.stale {
			l.write()
		}
	})
}

// heed learns from the row what happened outside this run's knowledge: a run
// that was reset by an operator starts below the epoch it once reached, and may
// not know of a deletion.
func (l *life) heed(row ControlRow, told int64) {
	if row.Ending == video.ByDeletion && l.state.Ending != video.ByDeletion {
		l.end(video.ByDeletion)
		l.halt()
	}
	if row.Epoch > told && l.epoch == told {
		l.epoch = row.Epoch
		l.tell()
	}
}

func (l *life) controlInput(epoch int64) ControlInput {
	return ControlInput{
		Leg: Leg{l.in.ID, epoch}, State: l.state, Draft: l.state.Stage == video.Draft, Refused: l.refused,
		WaitingFor: l.waitingFor, Overdue: l.overdue,
		PublishAt: l.deadlines["publish_at"], ExpiresAt: l.deadlines["expires_at"],
	}
}

// codeOf is the code that an activity's failure carries as its type.
func codeOf(err error) video.Code {
	if e, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return video.Code(e.Type())
	}
	return video.Internal
}
