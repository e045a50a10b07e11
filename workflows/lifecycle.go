// Package workflows tells the life of a video as a deterministic Temporal
// workflow. lifecycle.go reads as the story; each phase has a file of its own
// (upload, process, review, publish, aside, erase); interrupt.go is the one
// mechanism for pause and cancel, control.go writes the control row and learns from
// it, mailbox.go and commands.go take what people ask, trouble.go decides what a
// failure means, details.go is what people are shown. The package imports only the
// video package and the SDK: everything it wants from the world is in the Activities
// interface.
package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// Lifecycle is the life of one video, from the first byte of its upload to the
// receipt of its erasure. Many doors lead in, one leads out: whatever ends the
// life - deletion, cancellation, rejection, expiry, a cancel of the workflow
// itself - ends in erase, and the workflow completes with the receipt.
func Lifecycle(ctx workflow.Context, in video.LifecycleInput) (video.ReceiptSummary, error) {
	l := newLife(ctx, in)
	if err := l.registerHandlers(ctx); err != nil {
		return video.ReceiptSummary{}, err
	}
	if l.kept.Stray {
		l.writeFence() // its former run may have work under way
	}
	for {
		receipt, err := l.live()
		if !errors.Is(err, errMoved) {
			return receipt, err
		}
		l.moved = false // on from where the rows say that it stands
	}
}

// live goes from where the life stands to its end. It fails with the error that
// continues it as a new run, or with errMoved.
func (l *life) live() (video.ReceiptSummary, error) {
	for {
		if err := l.publishIt(); !errors.Is(err, errEnding) {
			return video.ReceiptSummary{}, err
		}
		taken, err := l.waitAside()
		if err != nil {
			return video.ReceiptSummary{}, err
		}
		if !taken {
			return l.erase()
		}
	}
}

// publishIt goes through the phases that are still ahead, then waits as a published
// video. It returns errEnding when something ended the life or set it aside.
func (l *life) publishIt() error {
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

var (
	// errEnding leaves every phase: something has ended the life, or set it aside.
	errEnding = errors.New("the life is ending")
	// errMoved leaves every phase: the rows say that the life stands elsewhere.
	errMoved = errors.New("the life stands elsewhere")
)

// life is what a run of the workflow knows.
type life struct {
	in   video.LifecycleInput
	root workflow.Context // does not end with Temporal's own cancel: that is one more command
	kept video.Carried    // all that another run of this life has to know; handed on whole

	mailbox mailbox
	legs    legs
	rows    controlRows
	shown   shown

	// Of this run alone.
	moved    bool         // the rows say that the life stands elsewhere; see adopt
	renewing bool         // about to continue as new
	hidden   bool         // nobody but its owner sees it any more
	failures int          // of the leg under way, one after the other
	stored   int64        // bytes of the upload at the last look
	copied   int64        // of those, what the backups were told to copy
	safe     bool         // the backups have all of the packaged video
	encoded  map[int]bool // pieces that are done
}

func newLife(ctx workflow.Context, in video.LifecycleInput) *life {
	root, _ := workflow.NewDisconnectedContext(ctx)
	l := &life{in: in, root: root, encoded: map[int]bool{}}
	l.kept.Stage = video.Uploading
	if in.Carried != nil {
		l.keep(*in.Carried)
		l.in.Carried = nil
	}
	return l
}

// keep takes over what another run of the life has left, or the rows tell.
func (l *life) keep(c video.Carried) {
	l.kept = c
	l.hidden = slices.Contains([]video.Stage{video.PendingDeletion, video.Purging, video.Purged}, c.Stage)
	if l.hidden && c.Ending == "" {
		l.kept.Ending = video.ByDeletion // nothing else leads there without saying so
	}
}

// order is that of a life that goes well.
var order = append(append([]video.Stage{}, video.BeforePublication...), video.Published)

// past reports whether the life is already further than the stage.
func (l *life) past(stage video.Stage) bool {
	return slices.Index(order, l.kept.Stage) > slices.Index(order, stage)
}

// leaving reports whether the life is to end, or was set aside.
func (l *life) leaving() bool { return l.kept.Ending != "" || l.kept.Stage == video.Draft }

// mustStop reports whether work under way has to stop.
func (l *life) mustStop() bool { return l.kept.Paused || l.leaving() || l.moved }

// enter begins a stage: search attributes for lists, current details for whoever looks.
func (l *life) enter(stage video.Stage) {
	l.kept.Stage = stage
	l.shown.forget(waitReason)
	l.shown.done, l.shown.total = 0, 0
	l.setAttributes()
	l.render()
}

var (
	stageAttribute   = temporal.NewSearchAttributeKeyKeyword(video.StageAttribute)
	pausedAttribute  = temporal.NewSearchAttributeKeyBool(video.PausedAttribute)
	overdueAttribute = temporal.NewSearchAttributeKeyBool(video.OverdueAttribute)
	troubleAttribute = temporal.NewSearchAttributeKeyBool(video.TroubleAttribute)
)

// setAttributes brings the search attributes up to date, with one upsert if any
// has changed.
func (l *life) setAttributes() {
	now := workflow.GetTypedSearchAttributes(l.root)
	var updates []temporal.SearchAttributeUpdate
	if was, _ := now.GetKeyword(stageAttribute); was != string(l.kept.Stage) {
		updates = append(updates, stageAttribute.ValueSet(string(l.kept.Stage)))
	}
	for _, b := range []struct {
		key temporal.SearchAttributeKeyBool
		so  bool
	}{
		{pausedAttribute, l.kept.Paused}, {troubleAttribute, l.inTrouble()}, {overdueAttribute, l.shown.overdue},
	} {
		if was, _ := now.GetBool(b.key); was != b.so {
			updates = append(updates, b.key.ValueSet(b.so))
		}
	}
	if l.kept.Stage == video.Purged {
		updates = append(updates, temporal.NewSearchAttributeKeyKeyword(video.OwnerAttribute).ValueUnset())
	}
	if len(updates) == 0 {
		return
	}
	// It can fail only for attributes that can't be encoded, which these can.
	if err := workflow.UpsertTypedSearchAttributes(l.root, updates...); err != nil {
		workflow.GetLogger(l.root).Error("search attributes not updated", "error", err)
	}
}
