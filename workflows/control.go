package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// controlRows are the writes of the control row.
type controlRows struct {
	inFlight int
	stale    bool // the row is to be written once more when those are done

	// unconfirmed are the commands that changed something, until a row that was
	// written after them has not turned out to be further than this run.
	unconfirmed []unconfirmed

	// holdSaid is set from a hold or release until a row has it: otherwise the hold is the
	// row's to tell, for a run that was restored with Temporal may not have heard of one.
	holdSaid bool
}

type unconfirmed struct {
	epoch   int64
	command signaled
}

// written reports whether no row is being written.
func (r *controlRows) written() bool { return r.inFlight == 0 }

func (r *controlRows) add(epoch int64, s signaled) {
	r.unconfirmed = append(r.unconfirmed, unconfirmed{epoch, s})
}

func (r *controlRows) confirm(epoch int64) {
	r.unconfirmed = slices.DeleteFunc(r.unconfirmed, func(u unconfirmed) bool { return u.epoch <= epoch })
}

// writeFence writes the control row under a new epoch, in the same workflow task as the
// interruption that it reports: whoever sees the row can be sure that the server
// knows. It fences off every leg begun so far.
func (l *life) writeFence() {
	l.kept.Epoch++
	l.writeRow(true)
}

// writeShown writes where the life stands without fencing what runs. Two writes of
// one epoch could overtake each other: the second waits for the first.
func (l *life) writeShown() {
	if l.rows.inFlight > 0 {
		l.rows.stale = true
		return
	}
	l.writeRow(false)
}

func (l *life) writeRow(fences bool) {
	l.rows.stale = false
	in := l.controlInput(fences)
	l.exchange("Control", "write down: "+l.sentence(), in, in.Epoch, func() {
		if in.HoldSaid && in.Held == l.kept.Held {
			l.rows.holdSaid = false
		}
	})
}

// readRow learns from the row without writing it. The answer to one that is being
// written says the same.
func (l *life) readRow() {
	if l.rows.written() && l.kept.Stage != video.Purged {
		l.exchange("ReadControl", "read where the rows stand", Leg{l.in.ID, l.kept.Epoch}, l.kept.Epoch, func() {})
	}
}

// exchange begins an activity that answers with the control row, and learns from the
// answer. Until then nothing begins that goes by the row.
func (l *life) exchange(activity, summary string, in any, epoch int64, done func()) {
	l.rows.inFlight++
	ctx := l.withOptions(l.root, activity, summary)
	answer := workflow.ExecuteActivity(ctx, activity, in)
	workflow.Go(l.root, func(root workflow.Context) {
		var row ControlRow
		for attempt := 1; ; attempt++ {
			err := answer.Get(root, &row)
			if err == nil {
				break
			}
			// The activity is retried for as long as it takes, so this is a fault of ours: nothing
			// may pass for written that isn't.
			workflow.GetLogger(root).Error("no answer of the control row", "activity", activity, "error", err)
			_ = workflow.NewTimerWithOptions(root, backoff(attempt), workflow.TimerOptions{Summary: "before another attempt"}).Get(root, nil)
			answer = workflow.ExecuteActivity(ctx, activity, in)
		}
		done()
		l.learnFrom(row, epoch)
		l.rows.inFlight--
		if l.rows.inFlight == 0 && l.rows.stale {
			l.writeRow(false)
		}
		if row.Unknown {
			l.writeAgain(root, epoch)
		}
	})
}

// writeAgain writes a row once more that could not be found: when it is there again it must
// say what was asked meanwhile. A later row makes it needless.
func (l *life) writeAgain(root workflow.Context, epoch int64) {
	later := func() bool { return l.kept.Epoch != epoch || !l.rows.written() || l.kept.Stage == video.Purged }
	if over, err := waitUntil(root, slowest, "before the row is looked for again", later); err == nil && !over {
		l.writeShown()
	}
}

func (l *life) controlInput(fences bool) ControlInput {
	in := ControlInput{
		Leg: Leg{l.in.ID, l.kept.Epoch}, Fences: fences, State: l.kept.State, Draft: l.kept.Stage == video.Draft && l.kept.Ending == "",
		WasDraft: l.kept.WasDraft, DecidedBy: l.kept.DecidedBy, Refused: l.kept.Refused, Stray: l.kept.Stray, WaitingFor: l.waiting(), Overdue: l.shown.overdue, Trouble: l.inTrouble(),
		PublishAt: l.shown.publishAt, ExpiresAt: l.kept.ExpiresAt, Rejection: l.kept.Rejection, HoldSaid: l.rows.holdSaid,
	}
	if in.PublishAt.IsZero() && l.kept.Stage.OnTheWay() {
		in.PublishAt = l.in.PublishAt
	}
	return in
}

// learnFrom takes from the row what happened outside of this run's knowledge: a
// deletion that was recorded while the workflow couldn't be told, or a life that
// has gone further than a run that was reset, or restored with Temporal's database.
func (l *life) learnFrom(row ControlRow, epoch int64) {
	l.setUnknown(row.Unknown)
	if row.Held && !l.rows.holdSaid {
		l.kept.Held = true
	}
	switch {
	case row.Further != nil:
		if epoch == l.kept.Epoch { // else a later row is being written, and tells it too
			l.adopt(*row.Further)
		}
		return
	case row.Ending == video.ByDeletion && l.kept.Ending != video.ByDeletion:
		l.kept.Asked = l.kept.Asked || !row.Erased
		l.end(video.ByDeletion)
		l.kept.Stray = false // a person has decided
		l.interruptLeg()
		l.render()
	}
	l.rows.confirm(epoch)
}

// adopt goes on from where the rows say that the life stands. What this run was asked
// meanwhile is later than that, and is asked again.
func (l *life) adopt(further video.Carried) {
	workflow.GetLogger(l.root).Warn("the rows are further than this run; it goes on from there", "stage", further.Stage, "epoch", further.Epoch)
	again := l.rows.unconfirmed
	l.rows.unconfirmed = nil
	further.Refused = max(further.Refused, l.kept.Refused)
	l.keep(further)
	l.shown, l.moved = shown{}, true
	l.interruptLeg()
	for _, u := range again {
		if err := l.command(u.command.Command, u.command.Request); err != nil {
			workflow.GetLogger(l.root).Warn("the command means nothing there", "command", u.command.Command, "reason", err)
		}
	}
	l.setAttributes()
	l.render()
}
