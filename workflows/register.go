package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// Register gives a worker the workflows of this package, under the names that
// outsiders know. The worker must use Interceptors.
func Register(w worker.WorkflowRegistry) {
	w.RegisterWorkflowWithOptions(Lifecycle, workflow.RegisterOptions{Name: video.LifecycleWorkflow})
	w.RegisterWorkflowWithOptions(Audit, workflow.RegisterOptions{Name: video.AuditWorkflow})
}
