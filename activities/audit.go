package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

const auditPage = 100

// Audit compares the catalog with the ledger and with the workflows that run, in
// both directions.
func (a *Activities) Audit(ctx context.Context) (workflows.AuditReport, error) {
	defer heart(ctx)()
	var report workflows.AuditReport
	if err := a.checkInstallation(ctx); err != nil {
		return report, err
	}
	if _, err := ledger.Apply(ctx, a.Vault, a.Catalog); err != nil {
		return report, err
	}
	for after := video.ID(""); ; {
		page, err := a.Catalog.All(ctx, after, auditPage)
		if err != nil {
			return report, err
		}
		if len(page) == 0 {
			break
		}
		for _, v := range page {
			report.Videos++
			stray, err := a.purgeStray(ctx, v)
			if err != nil {
				return report, err
			}
			if stray {
				report.Strays++
			}
		}
		after = page[len(page)-1].ID
	}
	var err error
	report.Risen, err = a.endRisen(ctx)
	return report, err
}

// purgeStray starts the purge of a video that has no open workflow.
func (a *Activities) purgeStray(ctx context.Context, v catalog.Video) (bool, error) {
	if time.Since(v.CreatedAt) < a.Settling {
		return false, nil
	}
	open, err := a.isOpen(ctx, v.ID)
	if err != nil || open {
		return false, err
	}
	row, err := a.Catalog.ControlOf(ctx, v.ID)
	if is(err, video.Gone, video.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.Log.Warn("a video has no open workflow; its purge begins", "video", v.ID, "stage", v.Stage)
	_, err = a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: v.ID.WorkflowID(), TaskQueue: video.ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "purge of a video whose workflow was ended by hand",
	}, video.LifecycleWorkflow, a.strayInput(v, row))
	return err == nil, unreachableTemporal(err)
}

func (a *Activities) strayInput(v catalog.Video, row catalog.Control) video.LifecycleInput {
	in := video.LifecycleInput{
		ID: v.ID, Owner: v.Owner, Primary: a.Stores.Primary.Name(),
		Carried: &video.Carried{State: video.State{Stage: v.Stage, Held: row.Held}, Epoch: row.Epoch, Refused: row.Refused},
	}
	for _, b := range a.Stores.Backups {
		in.Backups = append(in.Backups, b.Name())
	}
	return in
}

func (a *Activities) isOpen(ctx context.Context, id video.ID) (bool, error) {
	d, err := a.Temporal.DescribeWorkflowExecution(ctx, id.WorkflowID(), "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return false, nil
	}
	if err != nil {
		return false, unreachableTemporal(err)
	}
	return d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// endRisen tells workflows whose video the ledger knows as erased to end: they
// were reset by an operator after their purge, and find nothing left to erase.
func (a *Activities) endRisen(ctx context.Context) (int, error) {
	risen := 0
	for token := []byte(nil); ; {
		page, err := a.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query:    fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = 'Running'", video.LifecycleWorkflow),
			PageSize: auditPage, NextPageToken: token,
		})
		if err != nil {
			return risen, unreachableTemporal(err)
		}
		for _, w := range page.GetExecutions() {
			ended, err := a.endIfErased(ctx, w.GetExecution().GetWorkflowId())
			if err != nil {
				return risen, err
			}
			if ended {
				risen++
			}
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			return risen, nil
		}
	}
}

func (a *Activities) endIfErased(ctx context.Context, workflowID string) (bool, error) {
	id, err := video.ParseID(strings.TrimPrefix(workflowID, "video/"))
	if err != nil {
		return false, nil // not one of ours
	}
	if _, err := a.Catalog.Video(ctx, id); video.CodeOf(err) != video.Gone {
		return false, err
	}
	a.Log.Warn("a workflow runs for a video that was erased; it is told to end", "video", id)
	err = a.Temporal.SignalWorkflow(ctx, workflowID, "", string(video.Delete), nil)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return false, nil // it has ended meanwhile
	}
	return err == nil, unreachableTemporal(err)
}

func unreachableTemporal(err error) error {
	if err == nil {
		return nil
	}
	return video.Errorf(video.Unavailable, "The Temporal server does not answer.").Because(err)
}
