package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// command is the only place where a command changes anything.
func (l *life) command(c video.Command, request video.CommandRequest) error {
	if err := l.kept.Check(c); err != nil {
		return err
	}
	l.kept.Asked = l.kept.Asked || c == video.Delete                               // also where the life ends already, for another reason
	again := c == video.Cancel && request.KeepDraft && l.kept.Stage == video.Draft // a draft already
	if l.kept.Repeats(c) || again {
		return nil
	}
	switch c {
	case video.Pause:
		l.kept.Paused = true
	case video.Resume, video.Restore:
		l.resume(c)
	case video.Cancel:
		l.cancel(request.KeepDraft || l.in.KeepDraft)
	case video.Delete:
		l.delete()
	case video.Hold, video.Release:
		l.kept.Held, l.rows.holdSaid = c == video.Hold, true
	case video.Reject:
		l.reject(video.Rejection{Code: "reviewer", Message: "A reviewer has rejected this video."})
		l.decide(c)
		l.kept.DecidedBy = request.By
	case video.Approve, video.Publish:
		if c == video.Approve {
			l.kept.DecidedBy = request.By
		}
		l.decide(c)
	}
	l.spread(c)
	l.rows.add(l.kept.Epoch, signaled{c, request})
	return nil
}

// cancel gives the video up. The stage changes at once, though work may still be
// stopping: whether the next command is allowed must depend on the order of the
// commands alone, not on how fast a worker is.
func (l *life) cancel(keep bool) {
	stage := l.kept.Stage
	if l.kept.WasDraft = stage == video.Draft; !l.kept.WasDraft {
		l.kept.ResumeStage = stage
	}
	l.end(video.ByCancellation)
	switch {
	case keep && !l.kept.WasDraft:
		l.kept.Ending = ""
		l.setAside(video.Draft)
	case l.in.Policy.CancelGrace > 0:
		l.setAside(video.Canceled)
	}
}

// reject refuses the video, hides it and keeps it for a while: the judgement of a
// machine or a person may be wrong.
func (l *life) reject(why video.Rejection) {
	l.kept.ResumeStage, l.kept.WasDraft, l.kept.Rejection = l.kept.Stage, false, &why
	l.end(video.ByRejection)
	l.setAside(video.Rejected)
}

// delete ends the life for good.
func (l *life) delete() {
	if l.kept.HiddenAt.IsZero() {
		l.kept.HiddenAt = workflow.Now(l.root)
	}
	l.end(video.ByDeletion)
}

// resume ends a pause, takes up a draft, or takes a cancel or a rejection back.
func (l *life) resume(c video.Command) {
	l.kept.Paused, l.failures = false, 0
	l.forgetTrouble()
	switch {
	case c == video.Restore && l.kept.WasDraft:
		l.kept.Ending, l.kept.WasDraft = "", false
		l.setAside(video.Draft)
	case l.kept.Stage == video.Draft || c == video.Restore:
		l.resumeAt(l.kept.ResumeStage)
	}
	if c == video.Restore {
		l.decide(c)
	}
}

func (l *life) decide(c video.Command) { l.kept.Done = append(l.kept.Done, c) }

func (l *life) undecide(commands ...video.Command) {
	l.kept.Done = slices.DeleteFunc(slices.Clone(l.kept.Done), func(c video.Command) bool { return slices.Contains(commands, c) })
}

// spread makes a command that changed something known: to work under way, to the
// control row, and to whoever looks.
func (l *life) spread(c video.Command) {
	switch c {
	case video.Resume, video.Cancel, video.Delete:
		l.kept.Stray = false // a person has decided
	}
	switch c {
	case video.Pause, video.Cancel, video.Delete, video.Reject:
		l.interruptLeg()
		l.writeFence()
	case video.Resume, video.Restore:
		l.writeFence()
	case video.Hold, video.Release:
		l.writeShown()
	}
	l.setAttributesButStage()
	l.render()
}

// setAttributesButStage leaves the stage to whoever enters it: a stage that is only
// passed through costs no action.
func (l *life) setAttributesButStage() {
	if now, ok := workflow.GetTypedSearchAttributes(l.root).GetBool(pausedAttribute); !ok || now != l.kept.Paused {
		l.setAttributes()
	}
}

// end gives the life a reason to end. A pause is over with it, and so is what it
// waited for.
func (l *life) end(why video.Ending) {
	l.kept.Ending = why
	l.shown.forget(waitReason)
	l.forgetTrouble()
	l.clearDeadlines()
	l.kept.Paused = false
}

// answer waits until the command has taken hold.
func (l *life) answer(ctx workflow.Context, c video.Command) (video.Status, error) {
	held := l.rows.written
	switch c {
	case video.Pause:
		held = func() bool { return l.idle() || !l.kept.Paused }
	case video.Cancel, video.Reject:
		held = func() bool { return l.idle() || l.renewing && l.rows.written() }
	case video.Approve:
		held = func() bool { return l.movedOn(video.Reviewing) }
	case video.Publish:
		held = func() bool { return l.movedOn(video.Reviewing, video.Scheduled) }
	case video.Delete:
		held = func() bool { return l.hidden || l.renewing && l.rows.written() } // the row hides it, too
	}
	if err := workflow.Await(ctx, held); err != nil {
		return video.Status{}, err
	}
	if c == video.Pause && !l.kept.Paused {
		return video.Status{}, refusal(video.Errorf(video.Conflict, "The pause was overtaken by another command; the video is %s.", l.sentence()))
	}
	return l.status(), nil
}

// movedOn reports whether a decision has led the life out of these stages, and
// readers of the catalog see it; or something else holds the life up.
func (l *life) movedOn(stages ...video.Stage) bool {
	return l.rows.written() && (l.mustStop() || l.renewing || !slices.Contains(stages, l.kept.Stage))
}
