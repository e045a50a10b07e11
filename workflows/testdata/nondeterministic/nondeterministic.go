// Package nondeterministic has a workflow that comes out differently in each
// replay. No program imports it: `make lint` checks it together with the real
// workflows, and trusts a check only if that finds the fault in here.
package nondeterministic

import (
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Register makes this package one that registers a workflow, as workflowcheck
// looks for them.
func Register(w worker.WorkflowRegistry) { w.RegisterWorkflow(Clock) }

// Clock reads the clock of the machine, in a function that it calls.
func Clock(workflow.Context) (time.Time, error) { return now(), nil }

func now() time.Time { return time.Now() }
