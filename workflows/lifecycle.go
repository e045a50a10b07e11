// Package workflows tells the life of a video as a deterministic Temporal
// workflow. lifecycle.go reads as the story; each phase has a file of its own
// (upload, process, review, publish, erase); interrupt.go is the one mechanism
// for pause and cancel, commands.go takes what people ask, order.go keeps their
// signals in order. The package imports only the video package and the SDK:
// everything it wants from the world is in the Activities interface.
package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// Lifecycle is the life of one video, from the first byte of its upload to the
// receipt of its erasure. Many doors lead in, one leads out: whatever ends the
// life - deletion, cancellation, rejection, expiry, a cancel of the workflow
// itself - ends in erase, and the workflow completes with the receipt.
func Lifecycle(ctx workflow.Context, in video.LifecycleInput) (video.Receipt, error) {
	l := newLife(ctx, in)
	if err := l.listen(ctx); err != nil {
		return video.Receipt{}, err
	}
	for {
		if err := l.live(); !errors.Is(err, errEnding) {
			return video.Receipt{}, err // to be continued as new
		}
		if l.reprieved() {
			continue // a draft taken up again, or a cancel taken back
		}
		return l.erase()
	}
}

// live goes through the phases that are still ahead. It returns errEnding when
// something ended the life, or the error that continues the workflow as new.
func (l *life) live() error {
	for _, phase := range []struct {
		stage video.Stage
		run   func() error
	}{
		{video.Uploading, l.upload},
		{video.Processing, l.process},
		{video.Reviewing, l.review},
		{video.Scheduled, l.schedule},
		{video.Publishing, l.publish},
		{video.Published, l.published},
	} {
		if l.past(phase.stage) {
			continue
		}
		if l.leaving() { // asked for at the last moment of the phase before
			return errEnding
		}
		if err := phase.run(); err != nil {
			return err
		}
	}
	return errEnding
}

// life is what a run of the workflow knows.
type life struct {
	in    video.LifecycleInput
	root  workflow.Context // does not end with Temporal's own cancel: that is one more command
	state video.State
	plan  video.Plan
	epoch int64 // of the latest leg or control row; fences everything before it

	legs    int                 // legs running now: 0 or 1
	stop    workflow.CancelFunc // interrupts the running leg
	telling int                 // control rows being written

	stale bool // the row is to be written once more when that is done

	uploaded  bool        // the gateway said that every byte is stored
	stored    int64       // bytes of the upload at the last look
	copied    int64       // of those, what the backups were told to copy
	stood     video.Stage // where a life that was set aside goes on
	wasDraft  bool        // the cancel threw a draft away
	hidden    bool        // nobody but its owner sees it
	rejection *video.Rejection
	hiddenAt  time.Time
	waited    time.Duration // how much of the publish delay is over

	sent     workflow.ReceiveChannel // signals, in the server's order
	hearing  bool                    // one of them is being taken
	renewing bool                    // about to continue as new
	refused  int                     // signals that were not allowed

	// What people are shown.
	waitingFor string
	overdue    bool
	deadlines  map[string]time.Time
	done       int
	total      int
}

func newLife(ctx workflow.Context, in video.LifecycleInput) *life {
	root, _ := workflow.NewDisconnectedContext(ctx)
	l := &life{in: in, root: root, deadlines: map[string]time.Time{}}
	l.state.Stage = video.Uploading
	if c := in.Carried; c != nil {
		l.state, l.plan, l.epoch, l.refused = c.State, c.Plan, c.Epoch, c.Refused
		l.uploaded, l.waited = c.Uploaded, c.Waited
	}
	return l
}

// order is that of a life that goes well.
var order = append(append([]video.Stage{}, video.BeforePublication...), video.Published)

// past reports whether the life is already further than the stage.
func (l *life) past(stage video.Stage) bool {
	return slices.Index(order, l.state.Stage) > slices.Index(order, stage)
}

// enter begins a stage: search attributes for lists, current details for whoever looks.
func (l *life) enter(stage video.Stage) {
	l.state.Stage, l.waitingFor, l.done, l.total = stage, "", 0, 0
	if now, _ := workflow.GetTypedSearchAttributes(l.root).GetKeyword(stageAttribute); now != string(stage) {
		l.upsert(stageAttribute.ValueSet(string(stage)))
	}
	l.show()
}

var (
	stageAttribute   = temporal.NewSearchAttributeKeyKeyword(video.StageAttribute)
	pausedAttribute  = temporal.NewSearchAttributeKeyBool(video.PausedAttribute)
	overdueAttribute = temporal.NewSearchAttributeKeyBool(video.OverdueAttribute)
)

// upsert can fail only for attributes that can't be encoded, which these can.
func (l *life) upsert(updates ...temporal.SearchAttributeUpdate) {
	if err := workflow.UpsertTypedSearchAttributes(l.root, updates...); err != nil {
		workflow.GetLogger(l.root).Error("search attributes not updated", "error", err)
	}
}
