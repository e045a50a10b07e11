package workflows

import (
	"encoding/json"
	"errors"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// listen opens the ears of the workflow: every command as an update and as a
// signal, the gateway's word that the upload is complete, Temporal's own cancel,
// and the query.
func (l *life) listen(ctx workflow.Context) error {
	for _, c := range video.Commands {
		if err := l.hear(ctx, c); err != nil {
			return err
		}
		// Nobody reads this channel; it is there for the UI's list of signals.
		workflow.GetSignalChannelWithOptions(ctx, string(c), workflow.SignalChannelOptions{Description: meaning[c]})
	}
	l.sent = workflow.GetSignalChannel(ctx, sentChannel)
	workflow.Go(l.root, func(ctx workflow.Context) {
		for {
			var s sent
			l.sent.Receive(ctx, &s)
			l.heard(s)
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
	if l.state.Repeats(c) {
		return nil
	}
	switch c {
	case video.Pause:
		l.state.Paused = true
	case video.Resume:
		l.reprieve = l.state.Stage == video.Draft
		l.state.Paused = false
	case video.Cancel:
		l.keep = l.state.Stage != video.Draft && (request.KeepDraft || l.in.KeepDraft)
		l.end(video.ByCancellation)
	case video.Delete:
		l.delete()
	case video.Restore:
		l.reprieve = true
	case video.Hold, video.Release:
		l.state.Held = c == video.Hold
	case video.Approve, video.Reject, video.Publish:
		l.state.Done = append(l.state.Done, c)
	}
	l.took(c)
	return nil
}

// took spreads the news of a command that changed something.
func (l *life) took(c video.Command) {
	switch c {
	case video.Pause, video.Cancel, video.Delete:
		l.halt()
		l.tell()
	case video.Resume:
		l.tell()
	case video.Hold, video.Release:
		l.project()
	}
	if c == video.Pause || c == video.Resume {
		l.upsert(pausedAttribute.ValueSet(l.state.Paused))
	}
	l.show()
}

// end gives the life a reason to end. A pause is over with it.
func (l *life) end(why video.Ending) {
	l.state.Ending = why
	if l.state.Paused {
		l.state.Paused = false
		l.upsert(pausedAttribute.ValueSet(false))
	}
}

// delete ends the life for good. A rejected one keeps its reason: only the wait
// until its author has read it is cut short.
func (l *life) delete() {
	l.keep = false
	if l.state.Stage == video.Rejected {
		l.state.Done = append(l.state.Done, video.Delete)
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
		held = func() bool { return l.still() || !l.state.Paused || l.state.Ending != "" }
	case video.Cancel:
		held = l.still
	case video.Delete:
		held = func() bool { return l.hidden }
	}
	if err := workflow.Await(ctx, held); err != nil {
		return video.Status{}, err
	}
	if c == video.Pause && (!l.state.Paused || l.state.Ending != "") {
		return video.Status{}, refusal(video.Errorf(video.Conflict, "The pause was overtaken by another command; the video is %s.", l.sentence()))
	}
	return l.status(), nil
}

// continueAsNew hands the life over to a fresh history, with no command lost:
// first every handler answers and every signal that has arrived is taken.
func (l *life) continueAsNew() error {
	for {
		l.await(func() bool { return l.telling == 0 && workflow.AllHandlersFinished(l.root) })
		var s sent
		if l.sent.ReceiveAsync(&s) {
			l.heard(s)
			continue
		}
		if l.state.Ending != "" {
			return errEnding
		}
		next := l.in
		next.Carried = &video.Carried{State: l.state, Done: l.state.Done, Epoch: l.epoch, Refused: l.refused, Plan: l.plan}
		return workflow.NewContinueAsNewError(l.root, video.LifecycleWorkflow, next)
	}
}
