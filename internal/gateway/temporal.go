package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/video"
)

// Lives is all that the gateway needs of the workflows. Every method fails with
// Unavailable when they can't be reached, and may be called again.
type Lives interface {
	// Start begins the life of a video. One that has begun, or is over, is no error.
	Start(ctx context.Context, in video.LifecycleInput) error
	// Command asks something of a life and returns once the life has accepted it, so
	// that it is on record there; hold waits until it has taken hold. Either fails with
	// the code of a refusal, with NotFound when no life of this id is running, and with
	// Unavailable because of errBlocked when this life can take none.
	Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (hold func(context.Context) (video.Status, error), err error)
	// Signal puts a command on record, whatever state the life is in. It fails with
	// NotFound when no life of this id is running.
	Signal(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error
	// Obstacle says why a life doesn't answer; nil when no reason is known.
	Obstacle(ctx context.Context, id video.ID) (*Obstacle, error)
	// Uploaded tells a life that every byte is stored. It fails with NotFound
	// when no life of this id is running.
	Uploaded(ctx context.Context, id video.ID) error
	// Ready says whether lives can be reached.
	Ready(ctx context.Context) error
	// Unattended returns the roles of which no worker asks for work, in their order.
	Unattended(ctx context.Context) ([]string, error)
}

// errBlocked is the cause of a command's failure when its life takes no commands:
// Obstacle says why.
var errBlocked = errors.New("the workflow takes no updates")

// temporalLives are the workflows themselves, started and asked by name.
type temporalLives struct{ client client.Client }

// Start implements Lives. The id of a workflow is never used again, also after it
// was terminated: then the audit begins the life again.
func (t temporalLives) Start(ctx context.Context, in video.LifecycleInput) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := t.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                    in.ID.WorkflowID(),
		TaskQueue:             video.ControlQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:         "the life of one video",
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(video.StageAttribute).ValueSet(string(video.Uploading)),
			temporal.NewSearchAttributeKeyKeyword(video.OwnerAttribute).ValueSet(in.Owner),
			temporal.NewSearchAttributeKeyBool(video.PausedAttribute).ValueSet(false),
			temporal.NewSearchAttributeKeyBool(video.OverdueAttribute).ValueSet(false),
			temporal.NewSearchAttributeKeyBool(video.TroubleAttribute).ValueSet(false),
		),
	}, video.LifecycleWorkflow, in)
	if _, again := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); again {
		return nil
	}
	return outage(err)
}

// Command implements Lives.
func (t temporalLives) Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (func(context.Context) (video.Status, error), error) {
	handle, err := t.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id.WorkflowID(), UpdateName: string(c), Args: []any{r},
		WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	if err != nil {
		return nil, answered(err)
	}
	return func(ctx context.Context) (status video.Status, err error) {
		err = handle.Get(ctx, &status)
		return status, answered(err)
	}, nil
}

// Signal implements Lives.
func (t temporalLives) Signal(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error {
	return answered(t.client.SignalWorkflow(ctx, id.WorkflowID(), "", string(c), r))
}

// Obstacle implements Lives.
func (t temporalLives) Obstacle(ctx context.Context, id video.ID) (*Obstacle, error) {
	life, err := t.client.DescribeWorkflowExecution(ctx, id.WorkflowID(), "")
	if err != nil {
		return nil, answered(err)
	}
	if life.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED {
		pause := life.GetWorkflowExtendedInfo().GetPauseInfo()
		return &Obstacle{Reason: workflowPaused, Since: pause.GetPausedTime().AsTime(), By: pause.GetIdentity(), Why: pause.GetReason()}, nil
	}
	queue, err := t.client.DescribeTaskQueue(ctx, video.ControlQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return nil, answered(err)
	}
	if !slices.ContainsFunc(queue.GetPollers(), polled) || t.untaken(ctx, life, queue.GetPollers()) {
		return &Obstacle{Reason: noWorker}, nil
	}
	task := life.GetPendingWorkflowTask()
	failing := task.GetAttempt() > fewAttempts
	if task.GetAttempt() > 1 && !failing {
		if failing, err = t.taskFailed(ctx, life.GetWorkflowExecutionInfo().GetExecution()); err != nil {
			return nil, answered(err)
		}
	}
	if failing {
		return &Obstacle{Reason: workflowFailing, Since: task.GetOriginalScheduledTime().AsTime()}, nil
	}
	return nil, nil
}

// taskFailed reports whether the last workflow task of a run ended because the workflow
// code panicked or isn't deterministic. One that a killed worker had has timed out.
func (t temporalLives) taskFailed(ctx context.Context, run *commonpb.WorkflowExecution) (failed bool, err error) {
	events := t.client.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return false, err
		}
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
			cause := e.GetWorkflowTaskFailedEventAttributes().GetCause()
			failed = cause == enumspb.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE ||
				cause == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
			failed = false
		}
	}
	return failed, nil
}

const (
	// pollEnds is how old the last poll of a worker can be that is there: a poll lasts
	// a minute.
	pollEnds = 75 * time.Second
	// fewAttempts of a workflow task may fail for reasons that pass, as when a worker is killed.
	fewAttempts = 2
)

// Uploaded implements Lives.
func (t temporalLives) Uploaded(ctx context.Context, id video.ID) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return answered(t.client.SignalWorkflow(ctx, id.WorkflowID(), "", video.UploadedSignal, nil))
}

// Ready implements Lives.
func (t temporalLives) Ready(ctx context.Context) error {
	_, err := t.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return outage(err)
}

// polled reports whether a worker is likely to be there: it asked for work lately.
func polled(p *taskqueue.PollerInfo) bool {
	return time.Since(p.GetLastAccessTime().AsTime()) < pollEnds
}

// roles are those of workers, with a task queue that only they poll.
var roles = []struct {
	name, queue string
	kind        enumspb.TaskQueueType
}{
	{"control", video.ControlQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW},
	{"transfer", video.TransferQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
	{"media", video.MediaQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
}

// Unattended implements Lives. A worker that was killed is missed after a minute.
func (t temporalLives) Unattended(ctx context.Context) (without []string, err error) {
	for _, role := range roles {
		queue, err := t.client.DescribeTaskQueue(ctx, role.queue, role.kind)
		if err != nil {
			return nil, outage(err)
		}
		if !slices.ContainsFunc(queue.GetPollers(), polled) {
			without = append(without, role.name)
		}
	}
	return without, nil
}

// answered tells refusals, which carry our own codes, from a life that is not
// there and from an outage.
func answered(err error) error {
	if refusal, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		if code := video.Code(refusal.Type()); slices.Contains(video.Codes, code) {
			return video.Errorf(code, "%s", refusal.Message()).Because(err)
		}
		// The workflow ended, or went on as a new run, before the update was done.
		return notRunning(err)
	}
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return notRunning(err)
	}
	_, paused := errors.AsType[*serviceerror.FailedPrecondition](err)
	_, failing := errors.AsType[*serviceerror.WorkflowNotReady](err)
	if paused || failing {
		return blocked(err)
	}
	return outage(err)
}

func blocked(cause error) error {
	return video.Errorf(video.Unavailable, "The video can't take commands right now. Please try again.").Because(errors.Join(errBlocked, cause))
}

// notRunning says that there is no life to be told, or told any more.
func notRunning(cause error) error {
	return video.Errorf(video.NotFound, "The video takes no commands any more.").Because(cause)
}

func outage(err error) error {
	if err == nil {
		return nil
	}
	return video.Errorf(video.Unavailable, "The command was not confirmed in time; it may still take hold. Look at the video and try again.").Because(err)
}
