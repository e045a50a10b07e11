package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// audited is a stack whose audit comes every second and waits for nothing.
var audited = stack.Options{Env: []string{"REELFLOW_AUDIT_EVERY=1s", "REELFLOW_AUDIT_SETTLE=3s"}}

// Terminate, in the Temporal UI, stops a workflow and ends no life: the audit begins it
// again where it stood, before publication paused, until a person decides.
func TestTerminated(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me := r.as("me")
	c := r.temporal()
	terminate := func(id video.ID) { r.must(c.TerminateWorkflow(r.ctx, id.WorkflowID(), "", "by an operator")) }
	published := r.upload(me, clip(t, 4, 270, false)).ID
	r.stage(me, published, video.Published, 2*time.Minute)
	terminate(published)
	begun, _ := r.uploading(me)
	terminate(begun.ID)
	processing := r.upload(me, clip(t, 6, 540, true)).ID
	r.until("an encoder runs", time.Minute, func() bool { return r.encoders() > 0 })
	terminate(processing)

	r.lives(published, video.Published)
	r.plays(me, published)
	for id, stage := range map[video.ID]video.Stage{begun.ID: video.Uploading, processing: video.Processing} {
		r.lives(id, stage)
		r.until("it waits for a person", time.Minute, func() bool {
			v, err := me.Video(r.ctx, id)
			return err == nil && v.Paused && strings.Contains(v.Waits(), "terminated") && r.plain(string(id)).status().Paused
		})
	}
	r.until("no encoder runs", time.Minute, func() bool { return r.encoders() == 0 })
	r.ask(me, processing, video.Resume)
	r.stage(me, processing, video.Published, 2*time.Minute)
	r.plays(me, processing)
	r.ask(me, begun.ID, video.Cancel)
	r.staysGone(begun.ID)
	r.must(me.Delete(r.ctx, published))
	r.staysGone(published)
}

// lives waits until a video is in its stage, and has an open workflow that says the same.
func (r *rig) lives(id video.ID, stage video.Stage) {
	r.t.Helper()
	c := r.temporal()
	r.until(fmt.Sprintf("%s lives at %s", id, stage), time.Minute, func() bool {
		v, err := r.as("me").Video(r.ctx, id)
		if err != nil || v.Stage != stage {
			return false
		}
		d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
		return err == nil && d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING &&
			r.plain(string(id)).status().Stage == string(stage)
	})
}

// A workflow that is deleted is as one that was lost: the life goes on where it stood. One
// deleted after the purge leaves the id gone all the same.
func TestExecutionDeleted(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me := r.as("me")
	remove := func(id video.ID) {
		_, err := r.temporal().WorkflowService().DeleteWorkflowExecution(r.ctx, &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id.WorkflowID()},
		})
		r.must(err)
	}
	id := r.upload(me, clip(t, 4, 270, false)).ID
	r.stage(me, id, video.Published, 2*time.Minute)
	remove(id)
	r.lives(id, video.Published)
	r.must(me.Delete(r.ctx, id))
	r.staysGone(id)
	remove(id)
	r.staysGone(id)
}

// A reset makes a published video live its life again from where it is reset to,
// with nothing lost.
func TestPublishedReset(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me := r.as("me")
	id := r.upload(me, clip(t, 4, 270, false)).ID
	r.stage(me, id, video.Published, 2*time.Minute)
	for _, run := range r.runs(id) {
		r.reset(id, run)
		r.until("the reset run stands where the video stood", 2*time.Minute, func() bool {
			s := r.plain(string(id)).status()
			return s.Stage == string(video.Published) && s.Ending == ""
		})
		r.stage(me, id, video.Published, time.Minute)
		r.plays(me, id)
	}
	r.must(me.Delete(r.ctx, id))
	r.staysGone(id)
}

// A reset of a purged video, to the beginning of any of its runs, brings nothing
// back: the workflow finds the video in the ledger and ends.
func TestPurgedReset(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me := r.as("me")
	id := r.upload(me, clip(t, 4, 270, false)).ID
	r.stage(me, id, video.Published, 2*time.Minute)
	r.must(me.Delete(r.ctx, id))
	r.erased(id, time.Minute)
	for _, run := range r.runs(id) {
		r.reset(id, run)
		r.staysGone(id)
	}
}

// staysGone waits until a video is erased and its workflow, if there is one, has
// ended, and checks that it stays so for some audits more.
func (r *rig) staysGone(id video.ID) {
	r.t.Helper()
	r.erased(id, 2*time.Minute)
	c := r.temporal()
	ended := func() bool {
		d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
		return err != nil || d.GetWorkflowExecutionInfo().GetCloseTime() != nil // a paused one is open
	}
	r.until("the workflow has ended", time.Minute, ended)
	time.Sleep(3 * time.Second)
	if !ended() {
		r.t.Errorf("a workflow of the erased video %s runs again", id)
	}
	r.nothingOf(id)
	if code := get(r.t, r.URLs[0]+"/v1/videos/"+string(id)); code != http.StatusGone {
		r.t.Errorf("the erased video answers %d, want 410", code)
	}
}

// runs are the runs of a workflow, the first one first: a second one begins at
// publication, unless it is deleted at once. Each has done a workflow task.
func (r *rig) runs(id video.ID) []string {
	r.t.Helper()
	d, err := r.temporal().DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
	r.must(err)
	runs := slices.Compact([]string{d.GetWorkflowExecutionInfo().GetFirstRunId(), d.GetWorkflowExecutionInfo().GetExecution().GetRunId()})
	for _, run := range runs {
		r.until("the run has done a workflow task", time.Minute, func() bool { return r.firstTask(id, run) > 0 })
	}
	return runs
}

// reset takes a run back to its first workflow task.
func (r *rig) reset(id video.ID, run string) {
	r.t.Helper()
	_, err := r.temporal().ResetWorkflowExecution(r.ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id.WorkflowID(), RunId: run},
		Reason: "by an operator", RequestId: run, WorkflowTaskFinishEventId: r.firstTask(id, run),
	})
	r.must(err)
}

func (r *rig) firstTask(id video.ID, run string) int64 {
	r.t.Helper()
	events := r.temporal().GetWorkflowHistory(r.ctx, id.WorkflowID(), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		r.must(err)
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return e.GetEventId()
		}
	}
	return 0
}
