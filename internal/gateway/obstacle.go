package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// Reasons why a life can't answer, as Problem.Reason has them.
const (
	workflowPaused  = "workflow_paused"
	workflowFailing = "workflow_failing"
	noWorker        = "no_worker"
)

// Obstacle is why a life can't answer a command, as Temporal tells it.
type Obstacle struct {
	Reason  string
	Since   time.Time
	By, Why string // who paused it, and what for: for operators alone
	Sent    bool   // the command was handed over and may take hold later
}

// Error implements error.
func (o *Obstacle) Error() string { return o.Reason }

// Unwrap tells the code.
func (o *Obstacle) Unwrap() error { return video.Errorf(o.code(), "%s", o.detail(false)) }

func (o *Obstacle) code() video.Code {
	if o.Reason == workflowPaused {
		return video.Conflict
	}
	return video.Unavailable
}

// problem is the answer to whoever gave the command. What names a person is for
// operators alone.
func (o *Obstacle) problem(operator bool) *problem.Problem {
	p := problem.New(o.code(), o.detail(operator))
	p.Reason = o.Reason
	return p
}

func (o *Obstacle) detail(operator bool) string {
	text := ""
	switch o.Reason {
	case workflowPaused:
		text = o.paused(operator)
	case workflowFailing:
		text = "The workflow of this video fails, and takes no commands until an operator has mended that."
		if operator {
			text = "The workflow of this video fails again and again, as after a bad deploy, and takes no commands: the Temporal UI says why."
		}
	default:
		text = "No worker takes up the commands of any video right now. Please try again later."
		if operator {
			text = "No worker polls the task queue " + video.ControlQueue + ": start one with the role control."
		}
	}
	if o.Sent {
		text += " What was asked may still take hold then."
	}
	return text
}

func (o *Obstacle) paused(operator bool) string {
	by, why := "an operator", ""
	if operator && o.By != "" {
		by = o.By
	}
	if operator && o.Why != "" {
		why = "; why: " + o.Why
	}
	return "The workflow of this video was paused in Temporal by " + by + " at " + o.Since.UTC().Format(time.RFC3339) + why +
		". It takes no commands until it is unpaused; a deletion and a cancel are put on record all the same."
}

// takenWithin is how soon a worker that is there takes a workflow task: at once, or when
// the one that had the workflow in memory has not.
const takenWithin = video.StickyTimeout + 500*time.Millisecond

// untaken reports whether a workflow task lies in its queue for longer than that while
// nobody has polled since it came there. Workers that are busy poll; one that is frozen
// has taken the task, or an earlier attempt at it. Where the time isn't over yet it is waited for,
// if ctx lasts so long.
func (t temporalLives) untaken(ctx context.Context, life *workflowservice.DescribeWorkflowExecutionResponse, pollers []*taskqueue.PollerInfo) bool {
	task := life.GetPendingWorkflowTask()
	if task.GetState() != enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED || task.GetAttempt() > 1 {
		return false
	}
	scheduled := task.GetScheduledTime().AsTime()
	polledSince := func(p *taskqueue.PollerInfo) bool { return p.GetLastAccessTime().AsTime().After(scheduled) }
	if slices.ContainsFunc(pollers, polledSince) {
		return false
	}
	rest := time.Until(scheduled.Add(takenWithin))
	if rest <= 0 {
		return true
	}
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= rest {
		return false // not known in time: whoever looks again will see
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rest):
	}
	run := life.GetWorkflowExecutionInfo().GetExecution()
	later, err := t.client.DescribeWorkflowExecution(ctx, run.GetWorkflowId(), run.GetRunId())
	now := later.GetPendingWorkflowTask()
	return err == nil && now.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_SCHEDULED && now.GetScheduledTime().AsTime().Equal(scheduled)
}

// unanswered are the commands of this gateway whose outcome it doesn't know: sent and
// not answered, or given up. What the row shows may change by them at any time, so that
// it can't be said of the next command that it only repeats what is so.
type unanswered struct {
	mu    sync.Mutex
	until map[video.ID][]time.Time
}

// remembered is how long a command that nobody waits for any more may still take hold.
const remembered = 2 * patience

func newUnanswered() *unanswered { return &unanswered{until: map[video.ID][]time.Time{}} }

// add notes a command, until it is answered or long past.
func (u *unanswered) add(id video.ID) (answered func()) {
	end := time.Now().Add(remembered)
	u.mu.Lock()
	u.until[id] = append(u.until[id], end)
	u.mu.Unlock()
	forget := func() { u.remove(id, end) }
	timer := time.AfterFunc(remembered, forget)
	return func() {
		timer.Stop()
		forget()
	}
}

func (u *unanswered) remove(id video.ID, end time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, other := range u.until[id] {
		if other.Equal(end) {
			u.until[id] = append(u.until[id][:i], u.until[id][i+1:]...)
			break
		}
	}
	if len(u.until[id]) == 0 {
		delete(u.until, id)
	}
}

func (u *unanswered) has(id video.ID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.until[id]) > 0
}
