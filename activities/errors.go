package activities

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/video"
)

// Interceptor gives every failure of an activity its code as type, and makes the
// permanent ones final. Only the safe sentence goes into the history; the cause
// is logged here.
func Interceptor(log *slog.Logger) interceptor.WorkerInterceptor { return &coded{log: log} }

type coded struct {
	interceptor.WorkerInterceptorBase
	log *slog.Logger
}

func (c *coded) InterceptActivity(ctx context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &codedInbound{log: c.log}
	in.Next = next
	return in
}

type codedInbound struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

func (c *codedInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	result, err := c.Next.ExecuteActivity(ctx, in)
	if err == nil {
		return result, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // canceled, paused or reset: the server knows what to make of it
	}
	info := activity.GetInfo(ctx)
	c.log.Warn("activity failed", "activity", info.ActivityType.Name, "workflow", info.WorkflowExecution.ID,
		"attempt", info.Attempt, "error", err)
	return nil, failure(err)
}

// failure is what Temporal keeps of an error: a code and a safe sentence.
func failure(err error) error {
	coded, ok := errors.AsType[*video.Error](err)
	if !ok {
		coded = video.Errorf(video.Internal, "Something went wrong; the worker's log says what.")
	}
	return temporal.NewApplicationErrorWithOptions(coded.Detail, string(coded.Code),
		temporal.ApplicationErrorOptions{NonRetryable: coded.Code.Permanent()})
}
