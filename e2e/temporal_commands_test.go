package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	batchpb "go.temporal.io/api/batch/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	temporal "go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// What docs/operating-temporal.md says of Temporal's own commands, each asked of the
// server as the command line and the UI ask it. Terminate, delete and reset of single
// workflows are in operators_test.go.

// A workflow that an operator has paused in Temporal: what can be read is read, what is
// under way goes on, what nobody can answer is refused with the reason, and what must not
// wait is on record. What was recorded is taken up after the unpause.
func TestPausedInTemporal(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: []string{"REELFLOW_AUDIT_EVERY=1s", "REELFLOW_AUDIT_SETTLE=1s", "REELFLOW_OVERDUE_AFTER=2s"}})
	me := r.as("me")
	published, canceled := r.upload(me, clip(t, 1, 90, false)).ID, r.upload(me, clip(t, 1, 90, false)).ID
	r.stage(me, published, video.Published, 2*time.Minute)
	r.stage(me, canceled, video.Published, 2*time.Minute)
	begun, u := r.announce(me, clip(t, 1, 90, false))
	c := r.temporal()
	unpause := []func(){r.pausedInTemporal(published), r.pausedInTemporal(canceled), r.pausedInTemporal(begun.ID)}

	r.plays(me, published)
	r.refusedWhilePaused(begun.ID, video.Pause)
	if _, err := c.QueryWorkflow(r.ctx, begun.ID.WorkflowID(), "", video.StatusQuery); err == nil {
		t.Error("Temporal answers a query of a paused workflow: docs/operating-temporal.md says that it doesn't")
	}
	r.must(u.Run(r.ctx)) // bytes are stored, and wait
	if now, err := me.Video(r.ctx, begun.ID); err != nil || now.Stage != video.Uploading || now.Upload.Offset != u.Size {
		t.Errorf("the upload beside the paused workflow: %+v, %v", now, err)
	}
	r.must(c.CancelWorkflow(r.ctx, canceled.WorkflowID(), ""))
	r.plays(me, canceled) // nobody has told the gateway
	r.promptly(func() error { return me.Delete(r.ctx, published) })
	r.hidden(published)
	r.until("lists show which workflows Temporal holds", time.Minute, func() bool {
		found, err := c.ListWorkflow(r.ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "ExecutionStatus = 'Paused'"})
		return err == nil && len(found.GetExecutions()) == len(unpause)
	})
	r.until("the audit reports the erasure as overdue, and the videos as in trouble", time.Minute, func() bool {
		deleted, err := me.Video(r.ctx, published)
		other, otherErr := me.Video(r.ctx, begun.ID)
		return err == nil && otherErr == nil && deleted.Overdue && deleted.Trouble && other.Trouble
	})
	for _, id := range []video.ID{published, canceled, begun.ID} { // audits have begun no second run
		if d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), ""); err != nil ||
			d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED {
			t.Errorf("%s: %v, %v", id, d.GetWorkflowExecutionInfo().GetStatus(), err)
		}
	}

	for _, goOn := range unpause {
		goOn()
	}
	r.erased(published, time.Minute)
	r.erased(canceled, time.Minute)
	r.stage(me, begun.ID, video.Published, 2*time.Minute)
	r.until("it is in trouble no more", time.Minute, func() bool {
		now, err := me.Video(r.ctx, begun.ID)
		return err == nil && !now.Trouble
	})
}

// refusedWhilePaused checks the refusal of a command: who has paused the workflow, since
// when and why is for operators.
func (r *rig) refusedWhilePaused(id video.ID, c video.Command) {
	r.t.Helper()
	for user, told := range map[string]bool{"me": false, "admin": true} {
		var code int
		var said problem
		r.promptly(func() error {
			code, said = r.problem("POST", "/v1/videos/"+string(id)+"/"+string(c), "{}", "dev:"+user)
			return nil
		})
		if code != 409 || said.Reason != "workflow_paused" {
			r.t.Errorf("%s of a paused workflow is answered %d: %+v", c, code, said)
		}
		for _, word := range []string{"operator@host", "a look"} {
			if strings.Contains(said.Detail, word) != told {
				r.t.Errorf("%s is told %q, with or without %q", user, said.Detail, word)
			}
		}
	}
}

// hidden checks that nobody but its owner sees a video, who sees that it goes.
func (r *rig) hidden(id video.ID) {
	r.t.Helper()
	me := r.as("me")
	if _, err := r.as("somebody-else").Video(r.ctx, id); video.CodeOf(err) != video.NotFound {
		r.t.Errorf("of the deleted %s somebody else is told: %v", id, err)
	}
	if _, err := me.Playback(r.ctx, id); video.CodeOf(err) != video.Gone {
		r.t.Errorf("the deleted %s can be watched: %v", id, err)
	}
	if v, err := me.Video(r.ctx, id); err != nil || v.Ends() != video.ByDeletion {
		r.t.Errorf("the owner of the deleted %s sees %s, %s, %v", id, v.Stage, v.Ends(), err)
	}
}

// An operator holds the encoding of one video, gives it other limits and lets it begin
// again. Its author can pause it all the same, no attempt is used up for good, and what is
// made is made once.
func TestEncodingHeldInTemporal(t *testing.T) {
	t.Parallel()
	i := start(t, stack.Options{}).insider()
	me, r := i.as("me"), i.rig
	id := (&wrong{rig: r, me: me}).uploadAs(client.NewVideo{Review: true}, clip(t, 6, 540, true))
	encode := r.activity(id, "EncodePiece")
	r.stopEncoders(encode)
	encode.hold()
	r.until("no encoder runs", time.Minute, func() bool { return r.encoders() == 0 })
	r.promptly(func() error { // between attempts, when no worker would answer
		v, err := me.Command(r.ctx, id, video.Pause, video.CommandBody{})
		if err == nil && !v.Paused {
			err = fmt.Errorf("the pause's answer says %s, not paused", v.Stage)
		}
		return err
	})
	r.ask(me, id, video.Resume)

	r.stopEncoders(encode)
	encode.limit(durationpb.New(2*time.Second), 2)
	encode.hold()
	encode.unhold() // the second and last attempt, which is cut off after two seconds
	r.until("the options hold from the next attempt", time.Minute, func() bool {
		a := encode.info()
		return a.GetAttempt() > 1 && a.GetActivityOptions().GetStartToCloseTimeout().AsDuration() == 2*time.Second
	})
	r.stopEncoders(encode)
	r.until("its author sees that it failed, and that it is tried again", time.Minute, func() bool {
		v, err := me.Video(r.ctx, id)
		return err == nil && v.Stage == video.Processing && strings.Contains(v.Waits(), "another attempt")
	})

	r.stopEncoders(encode)
	encode.hold()
	encode.reset() // and unhold: it begins again as the first attempt
	r.stage(me, id, video.Reviewing, 2*time.Minute)
	i.madeOnce(id)
	r.ask(me, id, video.Cancel)
	r.erased(id, time.Minute)
}

// An operator holds a purge that waits for a store. It goes on where it stood.
func TestPurgeHeldInTemporal(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	id := r.upload(me, clip(t, 1, 90, false)).ID
	r.stage(me, id, video.Published, 2*time.Minute)
	store := r.Parts["backup-a"]
	r.must(store.Freeze())
	r.must(me.Delete(r.ctx, id))
	purge := r.activity(id, "PurgeReplica")
	purge.started()
	purge.hold()
	r.promptly(func() error { return me.Delete(r.ctx, id) })
	purge.limit(durationpb.New(30*time.Minute), 0)
	r.must(store.Thaw())
	time.Sleep(time.Second)
	if _, err := me.Receipt(r.ctx, id); err == nil {
		t.Error("the receipt was closed while the purge was held")
	}
	purge.reset()
	r.erased(id, 2*time.Minute)
	r.wantReceipt(id, video.ByDeletion)
}

// The same commands for all that a query selects.
func TestBatchesInTemporal(t *testing.T) {
	t.Parallel()
	i := start(t, audited).insider()
	r, me := i.rig, i.as("me")
	c := r.temporal()
	published := []video.ID{r.upload(me, clip(t, 1, 90, false)).ID, r.upload(me, clip(t, 1, 90, false)).ID}
	encoding := r.upload(me, clip(t, 6, 540, true)).ID
	encode := r.activity(encoding, "EncodePiece")
	r.stopEncoders(encode)
	encode.hold()
	r.batch([]video.ID{encoding}, &workflowservice.StartBatchOperationRequest{Operation: &updateOptions})
	r.until("the options are updated", time.Minute, func() bool {
		return encode.info().GetActivityOptions().GetStartToCloseTimeout().AsDuration() == 40*time.Minute
	})
	r.batch([]video.ID{encoding}, &workflowservice.StartBatchOperationRequest{Operation: &resetActivities})
	r.until("it begins again, held", time.Minute, func() bool { a := encode.info(); return a.GetAttempt() == 1 && a.GetPaused() })
	r.batch([]video.ID{encoding}, &workflowservice.StartBatchOperationRequest{Operation: &unpauseActivities})
	r.stage(me, encoding, video.Published, 2*time.Minute)
	i.madeOnce(encoding)

	for _, id := range published {
		r.stage(me, id, video.Published, 2*time.Minute)
	}
	for _, operation := range []*workflowservice.StartBatchOperationRequest{
		{Operation: &resetWorkflows},
		{Operation: &workflowservice.StartBatchOperationRequest_TerminationOperation{TerminationOperation: &batchpb.BatchOperationTermination{}}},
		{Operation: &workflowservice.StartBatchOperationRequest_DeletionOperation{DeletionOperation: &batchpb.BatchOperationDeletion{}}},
	} {
		before := r.runIDs(c, published)
		r.batch(published, operation)
		r.until("each has another run", time.Minute, func() bool {
			for n, run := range r.runIDs(c, published) {
				if run == "" || run == before[n] {
					return false
				}
			}
			return true
		})
		for _, id := range published {
			r.lives(id, video.Published)
			r.plays(me, id)
		}
	}
	begun, _ := r.announce(me, clip(t, 1, 90, false))
	r.batch([]video.ID{begun.ID}, &workflowservice.StartBatchOperationRequest{
		Operation: &workflowservice.StartBatchOperationRequest_SignalOperation{SignalOperation: &batchpb.BatchOperationSignal{Signal: "pause"}},
	})
	r.until("it is paused", time.Minute, func() bool { v, err := me.Video(r.ctx, begun.ID); return err == nil && v.Paused })
	r.batch(append(published, begun.ID, encoding), &workflowservice.StartBatchOperationRequest{
		Operation: &workflowservice.StartBatchOperationRequest_CancellationOperation{CancellationOperation: &batchpb.BatchOperationCancellation{}},
	})
	for _, id := range append(published, encoding) {
		r.erased(id, time.Minute)
		r.wantReceipt(id, video.ByDeletion)
	}
	r.erased(begun.ID, time.Minute)
	r.wantReceipt(begun.ID, video.ByCancellation)
}

// What can be asked of all workflows that a query selects.
var (
	resetWorkflows = workflowservice.StartBatchOperationRequest_ResetOperation{ResetOperation: &batchpb.BatchOperationReset{
		Options: &commonpb.ResetOptions{Target: &commonpb.ResetOptions_FirstWorkflowTask{}},
	}}
	unpauseActivities = workflowservice.StartBatchOperationRequest_UnpauseActivitiesOperation{
		UnpauseActivitiesOperation: &batchpb.BatchOperationUnpauseActivities{Activity: &batchpb.BatchOperationUnpauseActivities_MatchAll{MatchAll: true}},
	}
	resetActivities = workflowservice.StartBatchOperationRequest_ResetActivitiesOperation{
		ResetActivitiesOperation: &batchpb.BatchOperationResetActivities{
			Activity: &batchpb.BatchOperationResetActivities_MatchAll{MatchAll: true}, ResetAttempts: true, KeepPaused: true,
		},
	}
	updateOptions = workflowservice.StartBatchOperationRequest_UpdateActivityOptionsOperation{
		UpdateActivityOptionsOperation: &batchpb.BatchOperationUpdateActivityOptions{
			Activity:        &batchpb.BatchOperationUpdateActivityOptions_Type{Type: "EncodePiece"},
			ActivityOptions: &activitypb.ActivityOptions{StartToCloseTimeout: durationpb.New(40 * time.Minute)},
			UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"start_to_close_timeout"}},
		},
	}
)

// batch runs an operation on the open workflows of some videos, as with --query, to its end.
func (r *rig) batch(ids []video.ID, operation *workflowservice.StartBatchOperationRequest) {
	r.t.Helper()
	names := make([]string, len(ids))
	for n, id := range ids {
		names[n] = "'" + id.WorkflowID() + "'"
	}
	operation.Namespace, operation.JobId, operation.Reason = "default", string(video.NewID()), "by an operator"
	operation.VisibilityQuery = fmt.Sprintf("WorkflowId IN (%s) AND ExecutionStatus IN ('Running', 'Paused')", strings.Join(names, ", "))
	service := r.temporal().WorkflowService()
	_, err := service.StartBatchOperation(r.ctx, operation)
	r.must(err)
	r.until(fmt.Sprintf("the batch %T has ended", operation.Operation), time.Minute, func() bool {
		d, err := service.DescribeBatchOperation(r.ctx, &workflowservice.DescribeBatchOperationRequest{Namespace: "default", JobId: operation.JobId})
		if err != nil || d.GetState() == enumspb.BATCH_OPERATION_STATE_RUNNING {
			return false
		}
		if d.GetFailureOperationCount() > 0 || d.GetCompleteOperationCount() != int64(len(ids)) {
			r.t.Fatalf("the batch %T: %v", operation.Operation, d)
		}
		return true
	})
}

// runIDs are the present runs of some videos; "" for one that has none.
func (r *rig) runIDs(c temporal.Client, ids []video.ID) []string {
	runs := make([]string, len(ids))
	for n, id := range ids {
		if d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), ""); err == nil {
			runs[n] = d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
		}
	}
	return runs
}

// activityOf is an activity of a video's workflow as an operator has it in the Temporal UI.
type activityOf struct {
	*rig
	temporal temporal.Client
	id       video.ID
	name     string
}

func (r *rig) activity(id video.ID, name string) activityOf {
	r.t.Helper()
	return activityOf{r, r.temporal(), id, name}
}

func (a activityOf) execution() *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: a.id.WorkflowID()}
}

// info is the first of them that is open, or nil.
func (a activityOf) info() *workflowpb.PendingActivityInfo {
	a.t.Helper()
	d, err := a.temporal.DescribeWorkflowExecution(a.ctx, a.id.WorkflowID(), "")
	a.must(err)
	for _, pending := range d.GetPendingActivities() {
		if pending.GetActivityType().GetName() == a.name {
			return pending
		}
	}
	return nil
}

func (a activityOf) started() {
	a.t.Helper()
	a.until(a.name+" is under way", time.Minute, func() bool { return a.info().GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED })
}

// hold pauses it, and waits until its attempt has ended. That is told at a heartbeat, of
// which there is one in eight seconds at least.
func (a activityOf) hold() {
	a.t.Helper()
	_, err := a.temporal.WorkflowService().PauseActivity(a.ctx, &workflowservice.PauseActivityRequest{
		Namespace: "default", Execution: a.execution(), Identity: "operator@host", Reason: "a look",
		Activity: &workflowservice.PauseActivityRequest_Type{Type: a.name}, RequestId: string(video.NewID()),
	})
	a.must(err)
	a.until(a.name+" is held", time.Minute, func() bool { return a.info().GetState() == enumspb.PENDING_ACTIVITY_STATE_PAUSED })
}

func (a activityOf) unhold() {
	a.t.Helper()
	_, err := a.temporal.WorkflowService().UnpauseActivity(a.ctx, &workflowservice.UnpauseActivityRequest{
		Namespace: "default", Execution: a.execution(), Identity: "operator@host", Activity: &workflowservice.UnpauseActivityRequest_Type{Type: a.name},
	})
	a.must(err)
}

func (a activityOf) reset() {
	a.t.Helper()
	_, err := a.temporal.WorkflowService().ResetActivity(a.ctx, &workflowservice.ResetActivityRequest{
		Namespace: "default", Execution: a.execution(), Identity: "operator@host", ResetHeartbeat: true,
		Activity: &workflowservice.ResetActivityRequest_Type{Type: a.name},
	})
	a.must(err)
}

// limit gives it other options: how long one attempt may take, and how many there may be.
func (a activityOf) limit(once *durationpb.Duration, attempts int32) {
	a.t.Helper()
	_, err := a.temporal.WorkflowService().UpdateActivityOptions(a.ctx, &workflowservice.UpdateActivityOptionsRequest{
		Namespace: "default", Execution: a.execution(), Identity: "operator@host",
		Activity:        &workflowservice.UpdateActivityOptionsRequest_Type{Type: a.name},
		ActivityOptions: &activitypb.ActivityOptions{StartToCloseTimeout: once, RetryPolicy: &commonpb.RetryPolicy{MaximumAttempts: attempts}},
		UpdateMask:      &fieldmaskpb.FieldMask{Paths: []string{"start_to_close_timeout", "retry_policy.maximum_attempts"}},
	})
	a.must(err)
}

// stopEncoders keeps an attempt at encoding from ending by itself: its ffmpeg stands still.
// That of the sound, which may be at work beside it, goes on: nothing holds it.
func (r *rig) stopEncoders(encode activityOf) {
	r.t.Helper()
	r.until("an encoder stands still", time.Minute, func() bool {
		if encode.info().GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return false
		}
		stopped := 0
		for _, w := range r.Workers {
			out, _ := exec.Command("pgrep", "-P", strconv.Itoa(w.Pid()), "-f", "ffmpeg.*libx264").Output()
			for _, pid := range strings.Fields(string(out)) {
				if n, err := strconv.Atoi(pid); err == nil && syscall.Kill(n, syscall.SIGSTOP) == nil {
					stopped++
				}
			}
		}
		return stopped > 0
	})
}

// madeOnce checks that the stores hold what the manifest says and nothing else, and that
// there is one object for each place in the video.
func (i *insider) madeOnce(id video.ID) {
	i.t.Helper()
	rows, err := i.catalog.Objects(i.ctx, id, catalog.Filter{Store: i.stores[0].Name(), Stored: true})
	i.must(err)
	places := map[string]bool{}
	for _, o := range rows {
		place := fmt.Sprint(o.Kind, " ", o.Rendition, " ", o.Index, " ", o.Offset)
		if places[place] {
			i.t.Errorf("there are two of %s", place)
		}
		places[place] = true
	}
	found, err := i.stores[0].Inventory(i.ctx, id.Prefix(), nil)
	i.must(err)
	if found.Objects != len(rows) || len(rows) == 0 {
		i.t.Errorf("the store has %d objects of the video, the manifest %d", found.Objects, len(rows))
	}
}
