package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/video"
)

// Lives is all that the gateway needs of the workflows. Every method fails with
// Unavailable when they can't be reached, and may be called again.
type Lives interface {
	// Start begins the life of a video. One that has begun, or is over, is no error.
	Start(ctx context.Context, in video.LifecycleInput) error
	// Command asks something of a life and returns once it has taken hold. It
	// fails with the code of a refusal, and with NotFound when no life of this id
	// is running.
	Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (video.Status, error)
	// Uploaded tells a life that every byte is stored. It fails with NotFound
	// when no life of this id is running.
	Uploaded(ctx context.Context, id video.ID) error
	// Ready says whether lives can be reached.
	Ready(ctx context.Context) error
}

// patience is how long a command may take to hold. It must outlast a frozen
// worker, whose activity is given up after its heartbeat timeout and then some.
const patience = 40 * time.Second

// temporalLives are the workflows themselves, started and asked by name.
type temporalLives struct{ client client.Client }

// Start implements Lives. The id of a workflow is never used again, also after it
// was terminated: then the audit starts its purge.
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
		),
	}, video.LifecycleWorkflow, in)
	if _, again := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); again {
		return nil
	}
	return outage(err)
}

// Command implements Lives.
func (t temporalLives) Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (video.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var status video.Status
	handle, err := t.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id.WorkflowID(), UpdateName: string(c), Args: []any{r},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &status)
	}
	return status, answered(err)
}

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
	return outage(err)
}

func notRunning(cause error) error {
	return video.Errorf(video.NotFound, "The video takes no commands any more.").Because(cause)
}

func outage(err error) error {
	if err == nil {
		return nil
	}
	return video.Errorf(video.Unavailable, "The command was not confirmed in time. Look at the video and try again.").Because(err)
}
