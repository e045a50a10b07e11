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
	// Audit gives every video whose run is missing a run again, repeats what a run
	// hasn't heard, and erases again what stores still hold of erased videos. It ends
	// no life. It goes on where a heartbeat says an earlier attempt stood. It fails
	// with video.Internal, and does nothing, when the vault is older than the stores.
	Audit(context.Context) (AuditReport, error)
}

// AuditReport counts what an audit found and set right. Of very many videos one audit
// looks at a stretch, and the next goes on from there.
type AuditReport struct {
	Videos    int `json:"videos"`              // rows that were looked at
	Strays    int `json:"strays"`              // their runs were terminated, timed out or failed
	Lost      int `json:"lost,omitempty"`      // their runs are missing, as after the loss of Temporal's database
	Begun     int `json:"begun,omitempty"`     // of both, those that were given a run again
	Unstarted int `json:"unstarted,omitempty"` // their workflows have yet to be started by a gateway

	Unheard int `json:"unheard,omitempty"` // runs that were told again of a deletion or a cancel
	Behind  int `json:"behind,omitempty"`  // waiting runs that show another stage than their rows: told to read them
	Overdue int `json:"overdue,omitempty"` // not erased in time

	Risen            int `json:"risen"`                        // runs of erased videos: told to end
	Unknown          int `json:"unknown,omitempty"`            // runs of videos that neither catalog nor ledger knows: left
	PausedInTemporal int `json:"paused_in_temporal,omitempty"` // runs that Temporal itself holds
	Trouble          int `json:"trouble,omitempty"`            // runs that can take no commands, those included

	Erased         int      `json:"erased,omitempty"`          // erased videos of which a store still held something
	UnknownObjects int      `json:"unknown_objects,omitempty"` // prefixes in stores that neither catalog nor ledger knows: left
	Unreachable    []string `json:"unreachable,omitempty"`     // stores that could not be looked into to the end

	Facts   int `json:"facts,omitempty"`   // published videos whose facts some store lacked: written
	Keyless int `json:"keyless,omitempty"` // videos whose key the vault lacks: shown as in trouble, and left

	Failed int `json:"failed,omitempty"` // videos that could not be dealt with; the workers' logs say why
	// Stopped says why nothing was begun again although there was something to begin.
	Stopped string `json:"stopped,omitempty"`
}

// lowest is the priority of what may wait for everything else.
var lowest = temporal.Priority{PriorityKey: 5}

// Audit looks behind what operators and accidents may do around the workflows:
// terminate and delete in the Temporal UI, or the loss of Temporal's database, take a
// video its run. A schedule runs it.
func Audit(ctx workflow.Context) (AuditReport, error) {
	var report AuditReport
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: video.ControlQueue, StartToCloseTimeout: time.Hour, HeartbeatTimeout: alive,
		Summary: "find lives without a run, and runs without a life", Priority: lowest,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 20},
	})
	err := workflow.ExecuteActivity(ctx, "Audit").Get(ctx, &report)
	return report, err
}
