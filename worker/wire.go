package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/reelflow/reelflow/activities"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// queues are the roles with the task queue of each.
var queues = []struct{ role, queue string }{
	{"control", video.ControlQueue},
	{"transfer", video.TransferQueue},
	{"media", video.MediaQueue},
}

func takes(role, part string) bool { return role == "all" || role == part }

// build makes a Temporal worker for each task queue of the role. Workflows run
// in the control role.
func (w *Worker) build(ctx context.Context, c *config.Config, a *activities.Activities) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancelWork = cancel
	throttle, err := w.heartbeatThrottle(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if !takes(c.Role, q.role) {
			continue
		}
		each := worker.New(w.temporal, q.queue, worker.Options{
			BackgroundActivityContext:          work,
			DisableWorkflowWorker:              q.queue != video.ControlQueue,
			Interceptors:                       append(workflows.Interceptors(), interceptor.WorkerInterceptor(activities.Interceptor(w.log))),
			MaxConcurrentActivityExecutionSize: width(q.role),
			MaxHeartbeatThrottleInterval:       throttle,
			OnFatalError:                       w.fatal,
			StickyScheduleToStartTimeout:       video.StickyTimeout,
			WorkerStopTimeout:                  stopTimeout,
		})
		if q.queue == video.ControlQueue {
			workflows.Register(each)
		}
		a.Register(each, q.queue)
		w.workers = append(w.workers, each)
	}
	return nil
}

// fatal ends Run: a worker that can't poll any more is better started again.
func (w *Worker) fatal(err error) {
	select {
	case w.failed <- fmt.Errorf("temporal refuses this worker: %w", err):
	default: // told before
	}
}

// heartbeatThrottle bounds how late a running activity hears of a cancel where
// the server can't push it. Each heartbeat that gets through costs an action, so
// where it can, the SDK's own interval of 0.8 heartbeat timeouts does.
func (w *Worker) heartbeatThrottle(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, err := w.temporal.WorkflowService().DescribeNamespace(ctx,
		&workflowservice.DescribeNamespaceRequest{Namespace: w.namespace})
	if err != nil {
		return 0, fmt.Errorf("ask what the namespace %q can do: %w", w.namespace, err)
	}
	if answer.GetNamespaceInfo().GetCapabilities().GetWorkerCommands() {
		return 0, nil // the default
	}
	w.log.Warn("this Temporal server doesn't push cancels: activities heartbeat every second, which costs actions")
	return time.Second, nil
}
