package workflows

import (
	"encoding/json"
	"errors"
	"slices"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// listen opens the ears of the workflow: every command as an update and as a
// signal, the gateway's word that the upload is complete, Temporal's own cancel,
// and the query.
func (l *life) listen(ctx workflow.Context) error {
	l.sent = workflow.GetSignalChannel(ctx, sentChannel) // handlers look at it
	for _, c := range video.Commands {
		if err := l.hear(ctx, c); err != nil {
			return err
		}
		// Nobody reads this channel; it is there for the UI's list of signals.
		workflow.GetSignalChannelWithOptions(ctx, string(c), workflow.SignalChannelOptions{Description: meaning[c]})
	}
	workflow.Go(l.root, func(ctx workflow.Context) {
		for {
			var s sent
			l.sent.Receive(ctx, &s)
			l.hearing = true
			l.heard(s)
			settle(ctx) // the life goes on before it hears the next one
			l.hearing = false
		}
	})
	workflow.Go(l.root, func(root workflow.Context) {
		workflow.GetSignalChannel(ctx, video.UploadedSignal).Receive(root, nil)
		l.uploaded = true
	})
	workflow.Go(l.root, func(root workflow.Context) {
		ctx.Done().Receive(root, nil)
		l.workflowCanceled()
	})
	return workflow.SetQueryHandlerWithOptions(ctx, video.StatusQuery, func() (video.Status, error) { return l.status(), nil },
		workflow.QueryHandlerOptions{Description: "where the video stands, and what can be asked of it"})
}

// meaning is what the Temporal UI shows beside each signal and update.
var meaning = map[video.Command]string{
	video.Pause:   "stop the work under way; nothing runs until resume",
	video.Resume:  "go on after a pause, or take up a draft",
	video.Cancel:  `give the video up before it is public; {"keep_draft":true} keeps it as a draft`,
	video.Delete:  "hide the video at once and erase it everywhere; there is no undelete",
	video.Approve: "let a video under review pass",
	video.Reject:  "refuse a video under review",
	video.Publish: "publish now, without waiting for review or time",
	video.Restore: "take a cancel back while its grace runs",
	video.Hold:    "legal hold: nothing is erased until release",
	video.Release: "end a legal hold",
}

// hear answers updates of one command, once it has taken hold.
func (l *life) hear(ctx workflow.Context, c video.Command) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, string(c),
		func(ctx workflow.Context, arg converter.RawValue) (video.Status, error) {
			// Disconnected: Temporal's own cancel must not fail the answers that wait.
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			var request video.CommandRequest
			_ = json.Unmarshal(arg.Payload().GetData(), &request) // any other payload is ignored
			// Signals that were there before come first.
			settle(ctx)
			if err := workflow.Await(ctx, l.attentive); err != nil {
				return video.Status{}, err
			}
			if err := l.command(c, request); err != nil {
				return video.Status{}, refusal(err)
			}
			return l.answer(ctx, c)
		},
		workflow.UpdateHandlerOptions{
			Description: meaning[c],
			Validator:   func(converter.RawValue) error { return refusal(l.state.Check(c)) },
		})
}

// refusal carries the code of a refusal to the client as the type of its error.
func refusal(err error) error {
	if e, ok := errors.AsType[*video.Error](err); ok {
		return temporal.NewNonRetryableApplicationError(e.Detail, string(e.Code), nil)
	}
	return err
}

// heard takes a command that came as a signal: nobody waits for an answer, so a
// refusal is counted, logged and shown.
func (l *life) heard(s sent) {
	if err := l.command(s.Command, s.Request); err != nil {
		l.refused++
		workflow.GetLogger(l.root).Warn("signal refused", "signal", s.Command, "reason", err)
		l.show()
	}
}

// workflowCanceled makes Temporal's own cancel one more sender of commands.
func (l *life) workflowCanceled() {
	c := video.Cancel
	if !l.state.Stage.OnTheWay() && l.state.Stage != video.Draft {
		c = video.Delete
	}
	l.in.KeepDraft = false // the workflow is to end
	l.heard(sent{Command: c})
}

// command is the only place where a command changes anything.
func (l *life) command(c video.Command, request video.CommandRequest) error {
	if err := l.state.Check(c); err != nil {
		return err
	}
	again := c == video.Cancel && request.KeepDraft && l.state.Stage == video.Draft // a draft already
	if l.state.Repeats(c) || again {
		return nil
	}
	switch c {
	case video.Pause:
		l.state.Paused = true
	case video.Resume, video.Restore:
		l.resume(c)
	case video.Cancel:
		l.cancel(request.KeepDraft || l.in.KeepDraft)
	case video.Delete:
		l.delete()
	case video.Hold, video.Release:
		l.state.Held = c == video.Hold
	case video.Reject:
		l.rejection = &video.Rejection{Code: "reviewer", Message: "A reviewer has rejected this video."}
		l.end(video.ByRejection)
		l.decide(c)
	case video.Approve, video.Publish:
		l.decide(c)
	}
	l.took(c)
	return nil
}

// cancel gives the video up. The stage changes at once, though work may still be
// stopping: whether the next command is allowed must depend on the order of the
// commands alone, not on how fast a worker is.
func (l *life) cancel(keep bool) {
	stage := l.state.Stage
	if l.wasDraft = stage == video.Draft; !l.wasDraft {
		l.stood = stage
	}
	l.state.Done = slices.DeleteFunc(l.state.Done, func(c video.Command) bool { return c == video.Restore })
	l.end(video.ByCancellation)
	switch {
	case keep && !l.wasDraft:
		l.state.Ending = ""
		l.setAside(video.Draft)
	case l.in.Policy.CancelGrace > 0:
		l.setAside(video.Canceled)
	}
}

// resume ends a pause, takes up a draft, or takes a cancel back.
func (l *life) resume(c video.Command) {
	l.state.Paused = false
	switch {
	case c == video.Restore && l.wasDraft:
		l.state.Ending, l.wasDraft = "", false
		l.setAside(video.Draft)
	case l.state.Stage == video.Draft || c == video.Restore:
		l.takeUp(l.stood)
	}
	if c == video.Restore {
		l.decide(c)
	}
}

func (l *life) decide(c video.Command) { l.state.Done = append(l.state.Done, c) }

// took spreads the news of a command that changed something.
func (l *life) took(c video.Command) {
	switch c {
	case video.Pause, video.Cancel, video.Delete, video.Reject:
		l.halt()
		l.tell()
	case video.Resume, video.Restore:
		l.tell()
	case video.Hold, video.Release:
		l.project()
	}
	if c == video.Pause || c == video.Resume {
		l.upsert(pausedAttribute.ValueSet(l.state.Paused))
	}
	l.show()
}

// end gives the life a reason to end. A pause is over with it, and so is what it
// waited for.
func (l *life) end(why video.Ending) {
	l.state.Ending, l.waitingFor = why, ""
	delete(l.deadlines, "expires_at")
	if l.state.Paused {
		l.state.Paused = false
		l.upsert(pausedAttribute.ValueSet(false))
	}
}

// delete ends the life for good. A rejected one keeps its reason: only the wait
// until its author has read it is cut short.
func (l *life) delete() {
	if l.state.Stage == video.Rejected {
		l.decide(video.Delete)
		return
	}
	if l.hiddenAt.IsZero() {
		l.hiddenAt = workflow.Now(l.root)
	}
	l.end(video.ByDeletion)
}

// answer waits until the command has taken hold.
func (l *life) answer(ctx workflow.Context, c video.Command) (video.Status, error) {
	held := func() bool { return l.telling == 0 }
	switch c {
	case video.Pause:
		held = func() bool { return l.still() || !l.state.Paused }
	case video.Cancel, video.Reject:
		held = l.still
	case video.Approve:
		held = func() bool { return l.movedOn(video.Reviewing) }
	case video.Publish:
		held = func() bool { return l.movedOn(video.Reviewing, video.Scheduled) }
	case video.Delete:
		held = func() bool { return l.hidden }
	}
	if err := workflow.Await(ctx, held); err != nil {
		return video.Status{}, err
	}
	if c == video.Pause && !l.state.Paused {
		return video.Status{}, refusal(video.Errorf(video.Conflict, "The pause was overtaken by another command; the video is %s.", l.sentence()))
	}
	return l.status(), nil
}

// movedOn reports whether a decision has led the life out of these stages, and
// readers of the catalog see it; or something else holds the life up.
func (l *life) movedOn(stages ...video.Stage) bool {
	return l.telling == 0 && (l.asked() || l.renewing || !slices.Contains(stages, l.state.Stage))
}

// continueAsNew hands the life over to a fresh history, with no command lost:
// first everything that has arrived is taken, and every handler answers.
func (l *life) continueAsNew() error {
	l.renewing = true
	defer func() { l.renewing = false }()
	// A deletion is answered only later: it doesn't let this run end.
	quiet := func() bool {
		return l.attentive() && l.telling == 0 && (l.leaving() || workflow.AllHandlersFinished(l.root))
	}
	for settle(l.root); !quiet(); settle(l.root) {
		l.await(quiet)
	}
	if l.leaving() {
		return errEnding
	}
	next := l.in
	next.Carried = &video.Carried{
		State: l.state, Epoch: l.epoch, Refused: l.refused, Plan: l.plan, Uploaded: l.uploaded, Waited: l.waited,
	}
	return workflow.NewContinueAsNewError(l.root, video.LifecycleWorkflow, next)
}

// attentive reports whether no signal waits to be taken.
func (l *life) attentive() bool { return !l.hearing && l.sent.Len() == 0 }

// settle lets every other coroutine go on as far as it can. What arrived with
// this workflow task has been handed to one that listens, but that one may not
// have run yet: looking into the channel would not find it.
func settle(ctx workflow.Context) {
	settled := false
	workflow.Go(ctx, func(workflow.Context) { settled = true }) // runs after those that are there
	_ = workflow.Await(ctx, func() bool { return settled })     // its context is never cancelled
}
