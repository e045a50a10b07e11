package activities

import (
	"context"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"

	"github.com/reelflow/reelflow/video"
)

// lookAtOpen goes through the runs that are open and looks for those without a row.
// Videos that the ledger knows as erased rose again: an operator reset their workflow
// after the purge; it is told to end, and finds nothing left to erase. What neither
// catalog nor ledger knows may be the catalog's fault, and is left alone.
func (a *audit) lookAtOpen(ctx context.Context) error {
	query := fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus IN ('Running', 'Paused')", video.LifecycleWorkflow)
	return a.list(ctx, query, a.Place, func(page []*workflow.WorkflowExecutionInfo, next string) error {
		ids := idsOf(page)
		rows, err := a.Catalog.AuditedOf(ctx, ids)
		if err != nil {
			return err
		}
		// In this order: a video that is forgotten in between is in the ledger.
		erased, err := a.Catalog.Erased(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, there := rows[id]; there {
				continue
			}
			if err := a.failed(id, a.rowless(ctx, id, erased[id])); err != nil {
				return err
			}
		}
		a.Place = next
		a.reached()
		return nil
	})
}

func (a *audit) rowless(ctx context.Context, id video.ID, erased bool) error {
	if !erased {
		a.Report.Unknown++
		a.Log.Error("a workflow runs for a video that neither catalog nor ledger knows; it is left alone", "video", id)
		return nil
	}
	a.Log.Warn("a workflow runs for a video that was erased; it is told to end", "video", id)
	told, err := a.signal(ctx, id, video.Delete, video.CommandRequest{})
	if told {
		a.Report.Risen++
	}
	return err
}

// mostTroubled bounds what is kept in memory of the runs that can take no commands.
const mostTroubled = 10_000

// lookForTrouble shows which runs can take no commands, since they can't say so
// themselves: Temporal holds them, or their workflow tasks fail.
func (a *audit) lookForTrouble(ctx context.Context) error {
	var troubled []video.ID
	paused := 0
	query := fmt.Sprintf("WorkflowType = '%s' AND (ExecutionStatus = 'Paused' OR (ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL))",
		video.LifecycleWorkflow)
	err := a.list(ctx, query, "", func(page []*workflow.WorkflowExecutionInfo, _ string) error {
		for _, w := range page {
			if w.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_PAUSED {
				paused++
			}
		}
		ids := idsOf(page)
		troubled = append(troubled, ids...)
		return a.Catalog.MarkTrouble(ctx, ids)
	})
	if err != nil {
		return err
	}
	a.Report.PausedInTemporal, a.Report.Trouble = paused, len(troubled)
	if len(troubled) > mostTroubled {
		return nil
	}
	marked, err := a.Catalog.MarkedTrouble(ctx)
	if err != nil {
		return err
	}
	for _, id := range marked { // also of rows that this audit hasn't come to
		lost, err := a.keyLost(ctx, id)
		if err != nil {
			return err
		}
		if lost {
			troubled = append(troubled, id)
		}
	}
	return a.Catalog.ClearTrouble(ctx, troubled)
}
