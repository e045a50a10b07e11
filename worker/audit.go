package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/video"
)

// scheduleAudit gives the schedule that runs the audit another interval when the
// setting has changed, and the policy of this release. It is there already: it was
// made when the installation was founded, or adopted. Several workers may do so at once.
func scheduleAudit(ctx context.Context, c client.Client, every time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	spec, policy := identity.AuditSpec(every), identity.AuditPolicy()
	err := c.ScheduleClient().GetHandle(ctx, video.AuditSchedule).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			have := in.Description.Schedule
			sameSpec := len(have.Spec.Intervals) == 1 && have.Spec.Intervals[0].Every == every
			if sameSpec && have.Policy != nil && *have.Policy == policy {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			have.Spec, have.Policy = &spec, &policy
			return &client.ScheduleUpdate{Schedule: &have}, nil
		},
	})
	if err != nil && !errors.Is(err, temporal.ErrSkipScheduleUpdate) {
		return fmt.Errorf("schedule the audit: %w", err)
	}
	return nil
}
