package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// What a real server says of a life that can't answer, and that a signal is kept in
// each of these states.
func TestObstaclesOfTemporal(t *testing.T) {
	c := temporalOf(t)
	lives := temporalLives{c}
	begin := func() video.ID {
		id := video.NewID()
		if err := lives.Start(t.Context(), video.LifecycleInput{ID: id, Owner: "opaque"}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	signal := func(id video.ID) {
		t.Helper()
		if err := lives.Signal(t.Context(), id, video.Delete, video.CommandRequest{}); err != nil {
			t.Errorf("the signal was not kept: %v", err)
		}
	}

	unworked := begin()
	expectObstacle(t, lives, unworked, noWorker)
	if err := briefly(t, lives, unworked); errors.Is(err, errBlocked) || video.CodeOf(err) != video.Unavailable {
		t.Errorf("a command without a worker: %v", err)
	}
	signal(unworked)

	var broken atomic.Bool
	startWorker(t, c, func(ctx workflow.Context, in video.LifecycleInput) (video.Receipt, error) {
		if broken.Load() {
			panic("a bad deploy")
		}
		return obedient(ctx, in)
	})
	expectEnd(t, c, unworked)

	paused := begin()
	if _, err := commanded(t.Context(), lives, paused, video.Pause, video.CommandRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := c.WorkflowService().PauseWorkflowExecution(t.Context(), &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowId: paused.WorkflowID(), Identity: "ops@example.org", Reason: "a look at disk 7", RequestId: "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	o := expectObstacle(t, lives, paused, workflowPaused)
	if age := time.Since(o.Since); o.By != "ops@example.org" || o.Why != "a look at disk 7" || age < 0 || age > time.Minute {
		t.Errorf("%+v", o)
	}
	if err := briefly(t, lives, paused); !errors.Is(err, errBlocked) {
		t.Errorf("a command while paused: %v", err)
	}
	signal(paused)
	_, err = c.WorkflowService().UnpauseWorkflowExecution(t.Context(), &workflowservice.UnpauseWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowId: paused.WorkflowID(), RequestId: "2",
	})
	if err != nil {
		t.Fatal(err)
	}
	expectEnd(t, c, paused)

	broken.Store(true)
	failing := begin()
	eventually(t, "the first attempt has failed", func() bool { return taskAttempt(t, c, failing) > 1 })
	o, err = lives.Obstacle(t.Context(), failing)
	if err != nil || o == nil || o.Reason != workflowFailing {
		t.Errorf("after attempt %d: %+v, %v", taskAttempt(t, c, failing)-1, o, err)
	}
	// The server refuses commands itself only some attempts later.
	eventually(t, "the server says so itself", func() bool { return taskAttempt(t, c, failing) > fewAttempts })
	expectObstacle(t, lives, failing, workflowFailing)
	if err := briefly(t, lives, failing); !errors.Is(err, errBlocked) {
		t.Errorf("a command while its task fails: %v", err)
	}
	signal(failing)
	broken.Store(false)
	expectEnd(t, c, failing)
}

// taskAttempt is that of the workflow task under way.
func taskAttempt(t *testing.T, c client.Client, id video.ID) int32 {
	t.Helper()
	d, err := c.DescribeWorkflowExecution(t.Context(), id.WorkflowID(), "")
	if err != nil {
		t.Fatal(err)
	}
	return d.GetPendingWorkflowTask().GetAttempt()
}

// briefly gives a command and waits a moment for it to be accepted.
func briefly(t *testing.T, lives Lives, id video.ID) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := lives.Command(ctx, id, video.Resume, video.CommandRequest{})
	return err
}

func expectObstacle(t *testing.T, lives Lives, id video.ID, reason string) (o *Obstacle) {
	t.Helper()
	eventually(t, reason, func() bool {
		var err error
		if o, err = lives.Obstacle(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return o != nil && o.Reason == reason
	})
	return o
}

func expectEnd(t *testing.T, c client.Client, id video.ID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.GetWorkflow(ctx, id.WorkflowID(), "").Get(ctx, nil); err != nil {
		t.Errorf("the signal was not taken up: %v", err)
	}
}
