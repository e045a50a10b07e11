package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// reprieved waits while an ending can still be taken back: a draft by resume, a
// cancel by restore. It reports whether the life goes on where it stood.
func (l *life) reprieved() bool {
	for l.leaving() {
		switch state := l.state; {
		case state.Stage == video.Draft && state.Ending == "":
			if l.linger() {
				l.end(video.ByExpiry)
			}
		case state.Stage == video.Canceled && state.Ending == video.ByCancellation:
			if l.linger() && l.unheld() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// setAside moves the life into a stage that a command leads out of, or time. It
// changes what readers see at once; linger is the waiting.
func (l *life) setAside(stage video.Stage) {
	d := l.in.Policy.CancelGrace
	l.waitingFor = "an operator's restore, or the end of the grace"
	if stage == video.Draft {
		d = l.in.Policy.DraftTTL
		l.waitingFor = "a resume, or the draft's expiry"
	}
	l.state.Stage = stage
	l.deadlines["expires_at"] = workflow.Now(l.root).Add(d)
}

// takeUp ends that.
func (l *life) takeUp(stage video.Stage) {
	l.state.Stage, l.state.Ending, l.waitingFor = stage, "", ""
	delete(l.deadlines, "expires_at")
}

// linger stays where the life was set aside until a command leads out of there.
// It reports whether the time was up instead.
func (l *life) linger() bool {
	stage, ending, why := l.state.Stage, l.state.Ending, l.waitingFor
	l.enter(stage)
	l.waitFor(why)
	stays := func() bool { return l.state.Stage == stage && l.state.Ending == ending }
	rest := l.deadlines["expires_at"].Sub(workflow.Now(l.root))
	l.timeout(rest, string(stage)+" until it expires", func() bool { return !stays() })
	if !stays() {
		return false
	}
	delete(l.deadlines, "expires_at")
	return true
}

// unheld waits for the end of a legal hold after the grace of a cancel, which
// can be taken back as long as nothing is erased. It reports whether it wasn't:
// then nothing comes between this moment and the point of no return.
func (l *life) unheld() bool {
	back := func() bool { return l.state.Ending != video.ByCancellation }
	l.await(func() bool { return back() || l.telling == 0 })
	free := l.releasedFromHold()
	l.await(func() bool { return back() || free() })
	return !back()
}

// timeout waits on the main coroutine until decided, at most d.
func (l *life) timeout(d time.Duration, summary string, decided func() bool) {
	_, _ = workflow.AwaitWithOptions(l.root, workflow.AwaitOptions{
		Timeout: d, TimerOptions: workflow.TimerOptions{Summary: summary},
	}, decided) // the root context is never cancelled, so this can't fail
}

// erase is the one door out. Nothing but a legal hold can stop it: it keeps at
// every step for as long as the step takes.
func (l *life) erase() (video.Receipt, error) {
	l.await(func() bool { return l.telling == 0 })
	l.hide()
	l.await(l.releasedFromHold())
	ctx, finished := workflow.WithCancel(l.root)
	workflow.Go(ctx, l.watchDeadline)
	l.destroyKey()
	receipt := l.purge()
	finished()

	l.state.Stage = video.Purged
	l.upsert(stageAttribute.ValueSet(string(video.Purged)), overdueAttribute.ValueSet(false),
		temporal.NewSearchAttributeKeyKeyword(video.OwnerAttribute).ValueUnset())
	l.waitFor("")
	l.await(func() bool { return workflow.AllHandlersFinished(l.root) })
	return receipt, nil
}

// hide makes a published video invisible, then lets the grace of the deletion
// run. A video that was never published is invisible already.
func (l *life) hide() {
	if l.hiddenAt.IsZero() {
		l.hiddenAt = workflow.Now(l.root)
	}
	if l.state.Stage == video.Published {
		l.epoch++
		grace := l.in.Policy.DeleteGrace
		purgeAt := l.hiddenAt.Add(grace)
		l.insist("Hide", "hide", func(leg Leg) any { return HideInput{Leg: leg, HiddenAt: l.hiddenAt, Grace: grace} }, nil)
		l.hidden = true
		if rest := purgeAt.Sub(workflow.Now(l.root)); rest > 0 {
			l.enter(video.PendingDeletion)
			l.deadlines["purge_at"] = purgeAt
			l.waitFor("the grace of the deletion")
			if l.state.Held {
				l.project() // hiding wrote a row that knows of no hold
			}
			_ = workflow.NewTimerWithOptions(l.root, rest, workflow.TimerOptions{Summary: "grace of the deletion, then the purge"}).Get(l.root, nil)
		}
	}
	l.hidden = true
}

// releasedFromHold shows a legal hold as what is waited for.
func (l *life) releasedFromHold() func() bool {
	if l.state.Held {
		l.waitFor("the end of the legal hold")
		l.project()
	}
	return func() bool { return !l.state.Held && l.telling == 0 }
}

// destroyKey is the point of no return.
func (l *life) destroyKey() {
	stage := video.Purging
	if l.rejection != nil && l.state.Ending == video.ByRejection {
		stage = video.Rejected
	}
	l.enter(stage)
	l.total = len(l.stores())
	l.insist("DestroyKey", "record in the ledger, destroy the key", func(leg Leg) any { return l.destroyInput(leg) }, nil)
}

func (l *life) destroyInput(leg Leg) DestroyInput {
	return DestroyInput{Leg: leg, Reason: l.state.Ending, HiddenAt: l.hiddenAt}
}

func (l *life) stores() []string { return append([]string{l.in.Primary}, l.in.Backups...) }

// purge erases the video from every store, for as long as that takes, until an
// independent listing of all of them is empty and the receipt is closed.
func (l *life) purge() video.Receipt {
	read := false
	for attempt := 1; ; attempt++ {
		l.progress(0, len(l.stores()))
		err := l.eachStore(l.root, l.stores(), func(ctx workflow.Context, store string) error {
			return l.untilDone(ctx, "PurgeReplica", "purge "+store, StoreInput{Leg{l.in.ID, l.epoch}, store})
		})
		if err == nil && !read {
			l.lingerRejected()
			read = true
		}
		var receipt video.Receipt
		if err == nil {
			err = persist(l.root, attempt+1, "CloseReceipt", "verify every store, close the receipt", l.destroyInput(Leg{l.in.ID, l.epoch}), &receipt)
		}
		if err == nil {
			return receipt
		}
		l.setback("the purge is not complete", attempt, err)
	}
}

// lingerRejected leaves the author of a rejected video time to read why.
func (l *life) lingerRejected() {
	if l.state.Stage != video.Rejected {
		return
	}
	ttl := l.in.Policy.RejectedTTL
	l.deadlines["expires_at"] = workflow.Now(l.root).Add(ttl)
	l.waitFor("its author to read why it was rejected")
	l.project()
	l.timeout(ttl, "the reason can be read until then", func() bool { return slices.Contains(l.state.Done, video.Delete) })
	delete(l.deadlines, "expires_at")
	l.enter(video.Purging)
}

// insist runs an activity of the way out until it succeeds.
func (l *life) insist(activity, summary string, in func(Leg) any, out any) {
	for attempt := 1; ; attempt++ {
		err := persist(l.root, attempt, activity, summary, in(Leg{l.in.ID, l.epoch}), out)
		if err == nil {
			return
		}
		l.setback(summary+" has failed", attempt, err)
	}
}

// setback shows a failure on the way out and waits before another attempt. After
// a reset by an operator the epoch may lie below the one once reached: telling
// the control row finds out.
func (l *life) setback(what string, attempt int, err error) {
	workflow.GetLogger(l.root).Error(what, "attempt", attempt, "error", err)
	l.waitFor(what + "; the workers' logs say why")
	if !passing(err) {
		l.tell()
	}
	_ = workflow.NewTimerWithOptions(l.root, backoff(attempt), workflow.TimerOptions{Summary: "before another attempt"}).Get(l.root, nil)
	l.await(func() bool { return l.telling == 0 })
	l.waitFor("")
}

// watchDeadline reports a purge that takes too long. It never weakens it.
func (l *life) watchDeadline(ctx workflow.Context) {
	after := l.in.Policy.OverdueAfter
	if after <= 0 {
		return
	}
	l.deadlines["overdue_at"] = workflow.Now(ctx).Add(after)
	l.show()
	err := workflow.NewTimerWithOptions(ctx, after, workflow.TimerOptions{Summary: "the purge is overdue after this"}).Get(ctx, nil)
	if err != nil {
		return // purged in time
	}
	l.overdue = true
	l.upsert(overdueAttribute.ValueSet(true))
	l.project()
	l.show()
}
