package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// legs are the stretches of work of a run, one after the other.
type legs struct {
	running   int // 0 or 1
	interrupt workflow.CancelFunc
}

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
	l.failures = 0
	for {
		if err := l.mayBegin(); err != nil {
			return err
		}
		err := l.runLeg(work)
		switch {
		case err == nil:
			l.endTrouble()
			return nil // a pause that came at the last moment holds up the next leg
		case l.mustStop() || errors.Is(err, errInterrupted):
			l.failures = 0
		case errors.Is(err, errEnding):
			return err
		default:
			l.afterFailure(err)
		}
	}
}

// errInterrupted is the end of a leg that was told to stop, whatever its activities said.
var errInterrupted = errors.New("interrupted")

func (l *life) runLeg(work func(workflow.Context, Leg) error) error {
	var ctx workflow.Context
	ctx, l.legs.interrupt = workflow.WithCancel(l.root)
	l.kept.Epoch++
	l.legs.running++
	err := work(ctx, Leg{l.in.ID, l.kept.Epoch})
	l.legs.running--
	interrupted := ctx.Err() != nil
	l.legs.interrupt()
	l.legs.interrupt = nil
	if err != nil && interrupted {
		return errInterrupted
	}
	return err
}

func (l *life) interruptLeg() {
	if l.legs.interrupt != nil {
		l.legs.interrupt()
	}
}

// mayBegin waits until a leg may begin: not paused, and no control row under way.
func (l *life) mayBegin() error {
	for {
		l.await(func() bool {
			return l.rows.written() && (l.moved || l.leaving() || !l.kept.Paused || l.renewalIsDue())
		})
		switch {
		case l.moved:
			return errMoved
		case l.leaving():
			return errEnding
		case l.renewalIsDue():
			if err := l.continueAsNew(func() bool { return !l.moved && !l.leaving() }); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// idle reports whether what was asked has taken hold: nothing runs, and the
// control row says so.
func (l *life) idle() bool { return l.legs.running == 0 && l.rows.written() }

// await blocks the main coroutine. Its context is never cancelled, so it can't fail.
func (l *life) await(ready func() bool) { _ = workflow.Await(l.root, ready) }

// waitUntil waits until ready, for d at most. It reports whether it became ready.
// The timer goes with the wait: a command that ends it leaves none open.
func waitUntil(ctx workflow.Context, d time.Duration, summary string, ready func() bool) (bool, error) {
	if ready() || d <= 0 {
		return ready(), ctx.Err()
	}
	timed, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimerWithOptions(timed, d, workflow.TimerOptions{Summary: summary})
	err := workflow.Await(ctx, func() bool { return ready() || timer.IsReady() })
	return ready(), err
}

// waitOutside waits outside of legs - set aside, or on the way out - until over, for
// d at most, or without end if d is negative. It fails with errMoved, or with the
// error that continues the life as a new run.
func (l *life) waitOutside(d time.Duration, summary string, over func() bool) error {
	until := workflow.Now(l.root).Add(d)
	for {
		ready := func() bool { return over() || l.moved || l.renewalIsDue() }
		if d < 0 {
			l.await(ready)
		} else if _, err := waitUntil(l.root, until.Sub(workflow.Now(l.root)), summary, ready); err != nil {
			return err
		}
		switch {
		case l.moved:
			return errMoved
		case over() || !l.renewalIsDue():
			return nil
		}
		if err := l.continueAsNew(func() bool { return !over() && !l.moved }); err != nil {
			return err
		}
	}
}

// renewalIsDue reports whether the run nears the server's limits of events, signals or
// updates: the server counts them.
func (l *life) renewalIsDue() bool { return workflow.GetInfo(l.root).GetContinueAsNewSuggested() }

// continueAsNew hands the life over to a fresh history, with no command lost: first
// everything that has arrived is taken, and every handler answers. It returns nil
// instead when what the life waits for has changed by then: stays says whether not.
func (l *life) continueAsNew(stays func() bool) error {
	l.renewing = true
	defer func() { l.renewing = false }()
	quiet := func() bool {
		return l.mailbox.empty() && l.rows.written() && workflow.AllHandlersFinished(l.root)
	}
	letOthersRun(l.root)
	for stays() && !quiet() {
		l.await(func() bool { return quiet() || !stays() })
		letOthersRun(l.root)
	}
	if !stays() {
		return nil
	}
	next, kept := l.in, l.kept
	next.Carried = &kept
	return workflow.NewContinueAsNewError(l.root, video.LifecycleWorkflow, next)
}
