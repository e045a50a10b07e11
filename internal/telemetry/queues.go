package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/video"
)

// queues are the task queues of workers by their role, as they are polled.
var queues = []struct {
	role, queue string
	kind        enumspb.TaskQueueType
	label       string
}{
	{"control", video.ControlQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW, "workflow"},
	{"control", video.ControlQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY, "activity"},
	{"transfer", video.TransferQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY, "activity"},
	{"media", video.MediaQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY, "activity"},
}

// pollEnds is how old the last poll of a worker can be that is there: a poll lasts a minute.
const pollEnds = 75 * time.Second

// reportedProblems is how Temporal marks workflows that can't go on.
const reportedProblems = "TemporalReportedProblems IS NOT NULL"

// Queues shows how long work waits for a worker, by role, and how many workflows Temporal
// has given up on, as its server knows it: also when no worker is left to tell. Call it once.
func (m *Metrics) Queues(c client.Client, namespace string, log *slog.Logger) {
	ask := func(ctx context.Context) (queueFigures, error) { return askQueues(ctx, c, namespace) }
	m.registry.MustRegister(&queueCollector{kept[queueFigures]{ask: ask, log: log, of: "Temporal"}})
}

type queueFigures struct {
	queues   []backlog // as queues has them
	problems int64
}

// backlog is what waits in a task queue.
type backlog struct {
	tasks   int64
	age     time.Duration // of the first
	pollers int
}

func askQueues(ctx context.Context, c client.Client, namespace string) (queueFigures, error) {
	found := queueFigures{queues: make([]backlog, len(queues))}
	group, ctx := errgroup.WithContext(ctx)
	for i, q := range queues {
		group.Go(func() (err error) {
			found.queues[i], err = askQueue(ctx, c, namespace, q.queue, q.kind)
			return err
		})
	}
	group.Go(func() error {
		answer, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: reportedProblems})
		if err != nil {
			return fmt.Errorf("count workflows with problems: %w", err)
		}
		found.problems = answer.GetCount()
		return nil
	})
	return found, group.Wait()
}

func askQueue(ctx context.Context, c client.Client, namespace, queue string, kind enumspb.TaskQueueType) (backlog, error) {
	answer, err := c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: namespace, TaskQueue: &taskqueue.TaskQueue{Name: queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
		TaskQueueType: kind, ReportStats: true, ReportPollers: true,
	})
	if err != nil {
		return backlog{}, fmt.Errorf("describe the task queue %s: %w", queue, err)
	}
	b := backlog{tasks: answer.GetStats().GetApproximateBacklogCount(), age: answer.GetStats().GetApproximateBacklogAge().AsDuration()}
	for _, p := range answer.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) < pollEnds {
			b.pollers++
		}
	}
	return b, nil
}

// queueCollector makes gauges of what Temporal's server knows.
type queueCollector struct{ figures kept[queueFigures] }

var (
	temporalUp      = gaugeDesc("reelflow_temporal_up", "1 if Temporal could be asked for the figures about queues.")
	queueTasksDesc  = gaugeDesc("reelflow_queue_tasks", "Tasks that wait for a worker, as Temporal reckons.", "role", "kind")
	queueDelayDesc  = gaugeDesc("reelflow_queue_delay_seconds", "How long the first of them has waited.", "role", "kind")
	queuePollerDesc = gaugeDesc("reelflow_queue_pollers", "Workers that have polled lately; one that was killed is counted for some more than a minute.", "role", "kind")
	problemsDesc    = gaugeDesc("reelflow_workflows_reported_problems", "Workflows whose tasks have failed for long (TemporalReportedProblems): they can't take commands.")
)

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(into chan<- prometheus.Metric) {
	figures, err := c.figures.get()
	send := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if err != nil {
		send(temporalUp, 0)
		return
	}
	send(temporalUp, 1)
	send(problemsDesc, float64(figures.problems))
	for i, q := range queues {
		b := figures.queues[i]
		send(queueTasksDesc, float64(b.tasks), q.role, q.label)
		send(queueDelayDesc, b.age.Seconds(), q.role, q.label)
		send(queuePollerDesc, float64(b.pollers), q.role, q.label)
	}
}
