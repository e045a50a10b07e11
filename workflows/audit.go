package workflows

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// AuditActivities is what Audit needs of the outside world.
type AuditActivities interface {
	// Audit starts the purge of every video whose workflow was terminated or
	// deleted, and ends workflows of videos that were erased already, as one
	// that was reset. It goes on where a heartbeat says an earlier attempt stood.
	Audit(context.Context) (AuditReport, error)
}

// AuditReport counts what an audit found and set right.
type AuditReport struct {
	Videos int `json:"videos"` // looked at
	Strays int `json:"strays"` // rows without a workflow: their purge was started
	Risen  int `json:"risen"`  // workflows without a row: told to end
}

// Audit looks behind what operators may do around the workflows: terminate,
// reset and delete in the Temporal UI go round the purge. A schedule runs it.
func Audit(ctx workflow.Context) (AuditReport, error) {
	var report AuditReport
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: video.ControlQueue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: alive,
		Summary:     "find strays and the risen",
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 20},
	})
	err := workflow.ExecuteActivity(ctx, "Audit").Get(ctx, &report)
	return report, err
}
