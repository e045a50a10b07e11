package activities

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// auditBounds say how much one audit does; the next goes on where it stopped.
type auditBounds struct {
	page    int           // rows at once
	rows    int           // rows in all
	time    time.Duration // for the rows, and for each store
	toBegin int           // lives without a run that are collected before any is begun
	entries int           // of each store's listing
	listing int           // entries of one listing, before it is divided
}

// Two hundred questions a second, eight at once, are little beside what lives ask of
// a Temporal server themselves.
const (
	auditAsksPerSecond = 200
	auditAsksAtOnce    = 8
	auditListing       = 500 // executions a page of Temporal's list
	// After an operator adopted a Temporal that has lost all lives, they come back in
	// one audit rather than in a stretch every hour.
	auditAdopted = 40 * time.Minute
)

var usualBounds = auditBounds{
	page: 100, rows: 20_000, time: 5 * time.Minute, toBegin: 1000, entries: 50_000, listing: 10_000,
}

// audit is one attempt at an audit.
type audit struct {
	*Activities
	auditBounds
	auditState
	began     time.Time // the same in all attempts
	factsWait bool      // a store is down: facts are left to the next audit
	adopted   bool      // an operator said within a day that this Temporal is to be gone on with
	pace      *rate.Limiter
	snapshot  atomic.Pointer[auditState]
}

// auditState is how far an audit is: what its heartbeats carry to the next attempt.
type auditState struct {
	Step    string                `json:"step"`
	Place   string                `json:"place,omitempty"`   // within the step
	Start   string                `json:"start,omitempty"`   // where the stretch of rows began
	Wrapped bool                  `json:"wrapped,omitempty"` // the stretch went on from the first row
	Missing []missing             `json:"missing,omitempty"` // found, and not begun yet
	Report  workflows.AuditReport `json:"report"`
}

type auditStep struct {
	name string
	run  func(*audit, context.Context) error
}

// auditSteps in their order. Nothing is begun or erased before the ledgers agree.
var auditSteps = []auditStep{
	{"ledgers", (*audit).checkLedgers},
	{"closed", (*audit).lookAtClosed},
	{"rows", (*audit).lookAtRows},
	{"begin", (*audit).beginMissing},
	{"open", (*audit).lookAtOpen},
	{"trouble", (*audit).lookForTrouble},
	{"stores", (*audit).lookIntoStores},
}

// Audit compares catalog, ledger, workflows and stores, in both directions.
func (a *Activities) Audit(ctx context.Context) (workflows.AuditReport, error) {
	if err := a.checkInstallation(ctx); err != nil {
		return workflows.AuditReport{}, err
	}
	if _, err := ledger.Apply(ctx, a.Vault, a.Catalog); err != nil {
		return workflows.AuditReport{}, err
	}
	run, err := a.newAudit(ctx)
	if err != nil {
		return workflows.AuditReport{}, err
	}
	defer run.beat(ctx)()
	for at := run.step(); at < len(auditSteps); at++ {
		if run.Step != auditSteps[at].name {
			run.Step, run.Place = auditSteps[at].name, ""
			run.reached()
		}
		if err := auditSteps[at].run(run, ctx); err != nil {
			activity.RecordHeartbeat(ctx, *run.snapshot.Load()) // for the next attempt
			return run.Report, err
		}
	}
	a.Log.Info("audit", "report", run.Report)
	return run.Report, nil
}

// step is the index of the present step, or of the first where the state is of
// another release.
func (a *audit) step() int {
	return max(0, slices.IndexFunc(auditSteps, func(s auditStep) bool { return s.name == a.Step }))
}

// newAudit goes on where a heartbeat says an earlier attempt stood.
func (a *Activities) newAudit(ctx context.Context) (*audit, error) {
	run := &audit{
		Activities: a, auditBounds: a.audits, began: activity.GetInfo(ctx).ScheduledTime,
		pace: rate.NewLimiter(auditAsksPerSecond, auditAsksAtOnce),
	}
	if run.auditBounds == (auditBounds{}) {
		run.auditBounds = usualBounds
	}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &run.auditState); err != nil {
			a.Log.Warn("an audit can't read how far it was, and begins anew", "error", err)
			run.auditState = auditState{}
		}
	}
	run.reached()
	var err error
	run.adopted, err = a.Catalog.TemporalAdopted(ctx)
	return run, err
}

// reached makes the present state the one that another attempt goes on from.
func (a *audit) reached() {
	state := a.auditState
	state.Missing = slices.Clone(state.Missing)
	state.Report.Unreachable = slices.Clone(state.Report.Unreachable)
	a.snapshot.Store(&state)
}

// beat is heart with how far the audit is.
func (a *audit) beat(ctx context.Context) (stop func()) {
	return heartWith(ctx, func() { activity.RecordHeartbeat(ctx, *a.snapshot.Load()) })
}

// ask asks Temporal at the audit's pace, and again as long as it says that it is
// asked too much.
func (a *audit) ask(ctx context.Context, question func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		if err := a.pace.Wait(ctx); err != nil {
			return err
		}
		err := question()
		if _, busy := errors.AsType[*serviceerror.ResourceExhausted](err); !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// failed counts a video that could not be dealt with. What only that video may have
// caused doesn't keep the audit from the others; everything else is returned.
func (a *audit) failed(id video.ID, err error) error {
	if err == nil {
		return nil
	}
	if !ofOneVideo(err) {
		return err
	}
	a.Report.Failed++
	a.Log.Error("the audit can't deal with a video", "video", id, "error", err)
	return nil
}

// ofOneVideo reports whether an error may come of one video's rows or run, rather
// than of a database or a server that doesn't answer.
func ofOneVideo(err error) bool {
	return video.CodeOf(err) != video.Unavailable && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// list goes through the executions that a query selects, from a place on ("" for the
// first page), and says with each page what the next one's is.
func (a *audit) list(ctx context.Context, query, place string, visit func(page []*workflow.WorkflowExecutionInfo, next string) error) error {
	for {
		token, err := base64.StdEncoding.DecodeString(place)
		if err != nil {
			return err
		}
		var page *workflowservice.ListWorkflowExecutionsResponse
		err = a.ask(ctx, func() (err error) {
			page, err = a.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
				Query: query, PageSize: auditListing, NextPageToken: token,
			})
			return err
		})
		if err != nil {
			return unreachableTemporal(err)
		}
		place = base64.StdEncoding.EncodeToString(page.GetNextPageToken())
		if err := visit(page.GetExecutions(), place); err != nil || place == "" {
			return err
		}
	}
}

// signal tells a run something. One that has ended meanwhile needs no telling.
func (a *audit) signal(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (told bool, err error) {
	return a.tell(ctx, id, string(c), r)
}

// tell is signal for any name and payload.
func (a *audit) tell(ctx context.Context, id video.ID, name string, payload any) (told bool, err error) {
	err = a.ask(ctx, func() error { return a.Temporal.SignalWorkflow(ctx, id.WorkflowID(), "", name, payload) })
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return false, nil
	}
	return err == nil, ofTemporal(err)
}

// ofTemporal tells a refusal, which may be about one run, from a server that can't be
// asked.
func ofTemporal(err error) error {
	if err == nil {
		return nil
	}
	_, invalid := errors.AsType[*serviceerror.InvalidArgument](err)
	_, internal := errors.AsType[*serviceerror.Internal](err)
	_, lost := errors.AsType[*serviceerror.DataLoss](err)
	if invalid || internal || lost {
		return video.Errorf(video.Internal, "The Temporal server refuses it.").Because(err)
	}
	return unreachableTemporal(err)
}

func unreachableTemporal(err error) error {
	if err == nil {
		return nil
	}
	return video.Errorf(video.Unavailable, "The Temporal server does not answer.").Because(err)
}

// isOpen reports whether a status is of an execution that goes on. A paused one does: Temporal
// holds it, and it takes signals.
func isOpen(s enums.WorkflowExecutionStatus) bool {
	switch s {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_PAUSED,
		enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: // the chain's last run decides
		return true
	}
	return false
}
