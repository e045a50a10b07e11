package workflows

import (
	"cmp"
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// erase is the one door out. Nothing but a legal hold can stop it: it keeps at
// every step for as long as the step takes, in as many runs as that needs.
func (l *life) erase() (video.ReceiptSummary, error) {
	l.await(l.rows.written)
	if l.moved { // the row says that the life goes on elsewhere
		return video.ReceiptSummary{}, errMoved
	}
	for _, step := range []func() error{l.hide, l.waitForGrace, l.holdUp, l.destroyKey} {
		if err := step(); err != nil {
			return video.ReceiptSummary{}, err
		}
	}
	receipt, err := l.purge()
	if err != nil {
		return video.ReceiptSummary{}, err
	}
	l.kept.Stage, l.shown = video.Purged, shown{}
	l.forgetTrouble()
	l.setAttributes()
	l.render()
	l.await(func() bool { return workflow.AllHandlersFinished(l.root) })
	return receipt, nil
}

// hide makes a published video invisible and begins the grace of its deletion. A
// video that was never published is invisible already.
func (l *life) hide() error {
	if l.kept.HiddenAt.IsZero() {
		l.kept.HiddenAt = workflow.Now(l.root)
	}
	known := l.kept.Stage == video.PendingDeletion && !l.kept.PurgeAt.IsZero()
	if !known && (l.kept.Stage == video.Published || l.kept.Stage == video.PendingDeletion) {
		l.kept.Epoch++
		var hidden Hidden
		err := l.untilSucceeded("Hide", "hide", func(leg Leg) any {
			return HideInput{Leg: leg, HiddenAt: l.kept.HiddenAt, Grace: l.in.Policy.DeleteGrace, Asked: l.kept.Asked}
		}, &hidden)
		if err != nil {
			return err
		}
		l.kept.HiddenAt, l.kept.PurgeAt = hidden.HiddenAt, hidden.PurgeAt
		l.kept.Stage = video.PendingDeletion
	}
	l.hidden = true
	return nil
}

// waitForGrace waits for the end of the grace, by the clock on the wall.
func (l *life) waitForGrace() error {
	rest := l.kept.PurgeAt.Sub(workflow.Now(l.root))
	if l.kept.Stage != video.PendingDeletion || rest <= 0 {
		return nil
	}
	l.enter(video.PendingDeletion)
	l.waitFor("the grace of the deletion")
	if l.kept.Held {
		l.writeShown() // hiding wrote a row that knows of no hold
	}
	return l.waitOutside(rest, "grace of the deletion, then the purge", func() bool { return false })
}

// holdUp waits for the end of a legal hold. Then nothing comes between this moment and
// the point of no return.
func (l *life) holdUp() error {
	_, err := l.waitForRelease(func() bool { return false })
	return err
}

// waitForRelease waits while a legal hold lasts, and shows it as what is waited for. It
// reports false once there is none, and true if the ending was taken back before.
func (l *life) waitForRelease(back func() bool) (takenBack bool, err error) {
	l.await(func() bool { return back() || l.moved || l.rows.written() })
	if l.moved {
		return false, errMoved
	}
	if l.kept.Held && !back() && l.kept.Stage != video.Purging {
		l.waitFor("the end of the legal hold")
		l.writeShown()
		if err := l.waitOutside(-1, "", func() bool { return back() || !l.kept.Held && l.rows.written() }); err != nil {
			return false, err
		}
	}
	return back(), nil
}

// destroyKey is the point of no return.
func (l *life) destroyKey() error {
	for {
		stage := l.kept.Stage
		l.enter(video.Purging)
		l.shown.total = len(l.stores())
		workflow.Go(l.root, l.watchDeadline)
		err := l.untilSucceeded("DestroyKey", "record in the ledger, destroy the key", func(leg Leg) any { return l.destroyInput(leg) }, nil)
		if errors.Is(err, errHeld) && stage == video.Purging {
			continue // it was, or nobody could hold it any more
		}
		if !errors.Is(err, errHeld) {
			return err
		}
		l.enter(stage) // back from a point that was not passed
		if err := l.holdUp(); err != nil {
			return err
		}
	}
}

// errHeld stops short of the point of no return: the row has a legal hold that this run
// had not heard of.
var errHeld = errors.New("under legal hold")

func (l *life) destroyInput(leg Leg) DestroyInput {
	return DestroyInput{Leg: leg, Stores: l.stores(), Reason: l.kept.Ending, HiddenAt: l.kept.HiddenAt, Asked: l.kept.Asked, DueAt: l.dueAt()}
}

// dueAt is when the erasure is to be complete: zero where there is no limit.
func (l *life) dueAt() time.Time {
	if l.in.Policy.OverdueAfter <= 0 {
		return time.Time{}
	}
	return later(l.kept.PurgeAt, l.kept.HiddenAt).Add(l.in.Policy.OverdueAfter)
}

func (l *life) stores() []string { return append([]string{l.in.Primary}, l.in.Backups...) }

// purge erases the video from every store, for as long as that takes, until an
// independent listing of all of them is empty and the receipt is closed.
func (l *life) purge() (receipt video.ReceiptSummary, err error) {
	for attempt := 1; ; attempt++ {
		l.progress(0, len(l.stores()))
		err := l.eachStore(l.root, l.stores(), func(ctx workflow.Context, store string) error {
			return l.untilDone(ctx, "PurgeReplica", "purge "+store, StoreInput{Leg{l.in.ID, l.kept.Epoch}, store})
		})
		if err == nil {
			err = l.patiently(l.root, attempt+1, "CloseReceipt", "verify every store, close the receipt", l.destroyInput(Leg{l.in.ID, l.kept.Epoch}), &receipt)
		}
		switch {
		case err == nil:
			return receipt, nil
		case errors.Is(err, errInterrupted):
			err = l.continueAsNew(func() bool { return !l.moved })
			return receipt, cmp.Or(err, errMoved)
		}
		if err := l.waitAfterSetback("the purge is not complete", attempt, err); err != nil {
			return receipt, err
		}
	}
}

// untilSucceeded runs an activity of the way out until it succeeds.
func (l *life) untilSucceeded(activity, summary string, in func(Leg) any, out any) error {
	for attempt := 1; ; attempt++ {
		err := l.patiently(l.root, attempt, activity, summary, in(Leg{l.in.ID, l.kept.Epoch}), out)
		if err == nil {
			l.endTrouble()
			return nil
		}
		if err := l.waitAfterSetback(summary+" has failed", attempt, err); err != nil {
			return err
		}
		if l.kept.Held && activity == "DestroyKey" {
			l.endTrouble()
			return errHeld
		}
	}
}

// waitAfterSetback shows a failure on the way out and waits before another attempt. After
// a reset by an operator the epoch may lie below the one once reached: the control row
// tells. A person's delete ends the wait: where the catalog doesn't know the video, it
// is what was waited for.
func (l *life) waitAfterSetback(what string, attempt int, err error) error {
	workflow.GetLogger(l.root).Error(what, "attempt", attempt, "error", err)
	asked := l.kept.Asked
	switch code := codeOf(err); {
	case code == video.NotFound:
		l.setUnknown(true)
	default:
		if code.Permanent() {
			l.writeFence()
		}
		l.showTrouble("another attempt: " + what + "; the workers' logs say why")
	}
	l.await(l.rows.written)
	return l.waitOutside(backoff(attempt), "before another attempt", func() bool { return l.kept.Asked != asked })
}

// watchDeadline reports a purge that takes too long. It never weakens it.
func (l *life) watchDeadline(ctx workflow.Context) {
	due := l.dueAt()
	if due.IsZero() {
		return
	}
	l.shown.overdueAt = due
	l.render()
	purged := func() bool { return l.kept.Stage != video.Purging }
	over, err := waitUntil(ctx, max(l.shown.overdueAt.Sub(workflow.Now(ctx)), time.Millisecond), "the purge is overdue after this", purged)
	if over || err != nil {
		return // purged in time
	}
	l.shown.overdue = true
	l.setAttributes()
	l.writeShown()
	l.render()
}
