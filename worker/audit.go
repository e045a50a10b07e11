package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/video"
)

// scheduleAudit makes the schedule that runs the audit, or gives the one that is
// there another interval when the setting has changed. Several workers may do so
// at once. One audit runs at a time.
func scheduleAudit(ctx context.Context, c client.Client, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: video.AuditSchedule, Spec: spec,
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action: &client.ScheduleWorkflowAction{
			ID: video.AuditSchedule, Workflow: video.AuditWorkflow, TaskQueue: video.ControlQueue,
			StaticSummary: "look for videos without a workflow, and workflows without a video",
		},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = c.ScheduleClient().GetHandle(ctx, video.AuditSchedule).Update(ctx, client.ScheduleUpdateOptions{
			DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
				if have := in.Description.Schedule.Spec.Intervals; len(have) == 1 && have[0].Every == every {
					return nil, temporal.ErrSkipScheduleUpdate
				}
				in.Description.Schedule.Spec = &spec
				return &client.ScheduleUpdate{Schedule: &in.Description.Schedule}, nil
			},
		})
	}
	if err != nil && !errors.Is(err, temporal.ErrSkipScheduleUpdate) {
		return fmt.Errorf("schedule the audit: %w", err)
	}
	return nil
}
