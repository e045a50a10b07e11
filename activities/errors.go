package activities

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/serviceerror"
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
	info := activity.GetInfo(ctx)
	log := c.log.With("activity", info.ActivityType.Name, "workflow", info.WorkflowExecution.ID, "attempt", info.Attempt, "error", err)
	if ctx.Err() != nil {
		told := interruption(ctx)
		log.Debug("activity interrupted", "as", told)
		return nil, told
	}
	if _, back := errors.AsType[*handedBack](err); back {
		log.Info("activity handed back")
	} else {
		log.Warn("activity failed")
	}
	return nil, failure(err)
}

// interruption is what Temporal is told of an activity whose context has ended. What
// the server itself asked for, or timed out, comes back as it is: the server knows
// what to make of it. Otherwise this worker is stopping or has lost the server, and
// somebody else is to take the work up: a failure that passes.
func interruption(ctx context.Context) error {
	why := context.Cause(ctx)
	if temporal.IsCanceledError(why) || errors.Is(why, activity.ErrActivityPaused) || errors.Is(why, activity.ErrActivityReset) ||
		errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return temporal.NewApplicationErrorWithOptions("The worker was stopped; another one goes on.", string(video.Unavailable),
		temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign})
}

// failure is what Temporal keeps of an error: a code, a safe sentence and, as its
// details, the place that failed, if the error names one, and if it gives a reason that,
// and when to try again.
func failure(err error) error {
	coded, ok := errors.AsType[*video.Error](err)
	if !ok {
		coded = video.Errorf(video.Internal, "Something went wrong; the worker's log says what.")
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: coded.Code.Permanent()}
	if coded.Place != "" {
		options.Details = []any{coded.Place}
	}
	if coded.Place != "" && coded.Reason != "" {
		options.Details = []any{coded.Place, coded.Reason, coded.RetryAt}
		// A lock is waited for in the workflow, which says until when.
		options.NonRetryable = options.NonRetryable || coded.Reason == video.ReasonObjectLock
	}
	if back, ok := errors.AsType[*handedBack](err); ok {
		options.NextRetryDelay, options.Category = back.after, temporal.ApplicationErrorCategoryBenign
	}
	return temporal.NewApplicationErrorWithOptions(coded.Detail, string(coded.Code), options)
}

// Quiet is a handler for the log of Temporal's SDK, which calls every activity that
// didn't end well an error, also one that was paused or canceled, and warns of the
// heartbeat that it broke off. Interceptor logs activities as what they are, so here
// both are for debugging.
func Quiet(h slog.Handler) slog.Handler { return sdkLog{h} }

type sdkLog struct{ slog.Handler }

func (c sdkLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "Activity error." || r.Message == "RecordActivityHeartbeat with error" && wasCanceled(r) {
		if r.Level = slog.LevelDebug; !c.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return c.Handler.Handle(ctx, r)
}

// wasCanceled reports whether the error that is logged is the end of a context.
func wasCanceled(r slog.Record) (canceled bool) {
	r.Attrs(func(a slog.Attr) bool {
		err, _ := a.Value.Any().(error)
		_, call := errors.AsType[*serviceerror.Canceled](err)
		canceled = call || errors.Is(err, context.Canceled)
		return !canceled
	})
	return canceled
}

func (c sdkLog) WithAttrs(attrs []slog.Attr) slog.Handler { return sdkLog{c.Handler.WithAttrs(attrs)} }

func (c sdkLog) WithGroup(name string) slog.Handler { return sdkLog{c.Handler.WithGroup(name)} }
