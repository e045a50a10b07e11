package workflows

import (
	"encoding/json"
	"errors"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// mailbox takes the commands that come as signals, one at a time, in the server's order.
type mailbox struct {
	signals workflow.ReceiveChannel
	taking  bool // one of them is being taken
}

// empty reports whether no signal waits to be taken.
func (m *mailbox) empty() bool { return !m.taking && m.signals.Len() == 0 }

// registerHandlers takes every command as an update and as a signal, the gateway's
// word that the upload is complete, the audit's that the rows may be further, Temporal's
// own cancel, and the query.
func (l *life) registerHandlers(ctx workflow.Context) error {
	l.mailbox.signals = workflow.GetSignalChannel(ctx, signalChannel) // handlers look at it
	for _, c := range video.Commands {
		if err := l.registerUpdate(ctx, c); err != nil {
			return err
		}
		// Nobody reads this channel; it is there for the UI's list of signals.
		workflow.GetSignalChannelWithOptions(ctx, string(c), workflow.SignalChannelOptions{Description: meaning[c]})
	}
	workflow.Go(l.root, func(ctx workflow.Context) {
		for {
			var s signaled
			l.mailbox.signals.Receive(ctx, &s)
			l.mailbox.taking = true
			l.takeSignal(s)
			letOthersRun(ctx) // the life goes on before the next one is taken
			l.mailbox.taking = false
		}
	})
	workflow.Go(l.root, func(root workflow.Context) {
		workflow.GetSignalChannel(ctx, video.UploadedSignal).Receive(root, nil)
		l.kept.Uploaded = true
	})
	workflow.Go(l.root, func(root workflow.Context) {
		for rereads := workflow.GetSignalChannel(ctx, video.RereadSignal); ; {
			rereads.Receive(root, nil)
			l.readRow()
		}
	})
	workflow.Go(l.root, func(root workflow.Context) {
		ctx.Done().Receive(root, nil)
		l.takeWorkflowCancel()
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
	video.Restore: "take a cancel or a rejection back while the video is kept",
	video.Hold:    "legal hold: nothing is erased until release",
	video.Release: "end a legal hold",
}

// registerUpdate answers updates of one command, once it has taken hold.
func (l *life) registerUpdate(ctx workflow.Context, c video.Command) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, string(c),
		func(ctx workflow.Context, arg converter.RawValue) (video.Status, error) {
			// Disconnected: Temporal's own cancel must not fail the answers that wait.
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			var request video.CommandRequest
			_ = json.Unmarshal(arg.Payload().GetData(), &request) // any other payload is ignored
			// Signals that were there before come first.
			letOthersRun(ctx)
			if err := workflow.Await(ctx, l.mailbox.empty); err != nil {
				return video.Status{}, err
			}
			if err := l.command(c, request); err != nil {
				return video.Status{}, refusal(err)
			}
			return l.answer(ctx, c)
		},
		workflow.UpdateHandlerOptions{
			Description: meaning[c],
			Validator:   func(converter.RawValue) error { return refusal(l.kept.Check(c)) },
		})
}

// refusal carries the code of a refusal to the client as the type of its error.
func refusal(err error) error {
	if e, ok := errors.AsType[*video.Error](err); ok {
		return temporal.NewNonRetryableApplicationError(e.Detail, string(e.Code), nil)
	}
	return err
}

// takeSignal takes a command that came as a signal: nobody waits for an answer, so a
// refusal is counted, logged and shown.
func (l *life) takeSignal(s signaled) {
	if err := l.command(s.Command, s.Request); err != nil {
		l.kept.Refused++
		workflow.GetLogger(l.root).Warn("signal refused", "signal", s.Command, "reason", err)
		l.render()
	}
}

// takeWorkflowCancel makes Temporal's own cancel one more sender of commands.
func (l *life) takeWorkflowCancel() {
	c := video.Cancel
	if !l.kept.Stage.OnTheWay() && l.kept.Stage != video.Draft {
		c = video.Delete
	}
	l.in.KeepDraft = false // the workflow is to end
	l.takeSignal(signaled{Command: c})
}

// letOthersRun lets every other coroutine go on as far as it can. What arrived with
// this workflow task has been handed to one that listens, but that one may not
// have run yet: looking into the channel would not find it.
func letOthersRun(ctx workflow.Context) {
	ran := false
	workflow.Go(ctx, func(workflow.Context) { ran = true }) // runs after those that are there
	_ = workflow.Await(ctx, func() bool { return ran })     // its context is never cancelled
}
