package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/video"
)

// What a real server says of a life that can't answer, and that a signal is kept in
// each of these states.
func TestObstaclesOfTemporal(t *testing.T) {
	t.Parallel()
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

// That the last worker has just gone is known as soon as nobody takes the task of a
// command, while its last poll is still young. A worker that has taken it, frozen or not,
// is there, and so is one that has taken another task since.
func TestNoWorkerIsKnownByTheTaskThatNobodyTakes(t *testing.T) {
	t.Parallel()
	address := devstacktest.Start(t, devstacktest.Temporal).Temporal
	c, workers := dial(t, address), dial(t, address)
	register(t, c)
	w := worker.New(workers, video.ControlQueue, worker.Options{StickyScheduleToStartTimeout: video.StickyTimeout})
	w.RegisterWorkflowWithOptions(obedient, workflow.RegisterOptions{Name: video.LifecycleWorkflow})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{lives: temporalLives{c}, log: discard()}
	ids := []video.ID{video.NewID(), video.NewID()}
	for _, id := range ids {
		if err := g.lives.Start(t.Context(), video.LifecycleInput{ID: id, Owner: "opaque"}); err != nil {
			t.Fatal(err)
		}
		if _, err := commanded(t.Context(), g.lives, id, video.Resume, video.CommandRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	workers.Close() // as when it is killed: nobody says good-bye
	w.Stop()
	var told sync.WaitGroup
	for _, id := range ids {
		told.Go(func() {
			asked := time.Now()
			err := g.tellLife(t.Context(), id, video.Pause, video.CommandRequest{})
			o, is := errors.AsType[*Obstacle](err)
			if took := time.Since(asked); !is || o.Reason != noWorker || !o.Sent || took > 25*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
	told.Wait()
	for !pollsAsFrozen(t, c) {
	}
	for _, id := range ids {
		if o, err := g.lives.Obstacle(t.Context(), id); o != nil || err != nil {
			t.Errorf("while a worker has a task, of %s: %+v, %v", id, o, err)
		}
	}
}

// pollsAsFrozen takes a task, if there is one, as a worker that then does nothing, and reports whether
// the queue's root partition, which alone tells of its pollers, knows of it: a poll that
// another partition had a task for isn't told there.
func pollsAsFrozen(t *testing.T, c client.Client) (known bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	_, err := c.WorkflowService().PollWorkflowTaskQueue(ctx, &workflowservice.PollWorkflowTaskQueueRequest{
		Namespace: client.DefaultNamespace, TaskQueue: &taskqueue.TaskQueue{Name: video.ControlQueue}, Identity: "frozen",
	})
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	queue, err := c.DescribeTaskQueue(t.Context(), video.ControlQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(queue.GetPollers(), func(p *taskqueue.PollerInfo) bool { return p.GetIdentity() == "frozen" })
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Logger: log.NewStructuredLogger(discard())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
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
