package activities

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/video"
)

// Which store has failed goes into the history beside the code.
func TestFailuresNameThePlace(t *testing.T) {
	t.Parallel()
	for place, err := range map[string]error{
		"backup-a": video.Errorf(video.Unavailable, "It is down.").At("backup-a"), "": video.Errorf(video.Internal, "It failed."),
	} {
		told, ok := errors.AsType[*temporal.ApplicationError](failure(err))
		var got string
		if ok && told.HasDetails() {
			ok = told.Details(&got) == nil
		}
		if !ok || got != place {
			t.Errorf("%v names %q, want %q", err, got, place)
		}
	}
}

// What ended an activity's context decides what Temporal is told.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why    error
		passes bool // a failure that is tried again, rather than what the context says
	}{
		"canceled by the workflow": {temporal.NewCanceledError(), false},
		"paused in Temporal":       {activity.ErrActivityPaused, false},
		"reset in Temporal":        {activity.ErrActivityReset, false},
		"the work was canceled":    {context.Canceled, true},
		"the worker is stopping":   {worker.ErrWorkerShutdown, true},
		"no heartbeat got through": {errors.New("connection refused"), true},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.why)
		err := interruption(ctx)
		told, failed := errors.AsType[*temporal.ApplicationError](err)
		if failed != c.passes || failed && (told.Type() != string(video.Unavailable) || told.NonRetryable()) || !failed && err != context.Canceled {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := interruption(ctx); err != context.DeadlineExceeded {
		t.Errorf("out of time: %v", err)
	}
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// On a real server: what a stopping worker gives back is a failure that passes, what
// was canceled is canceled, and neither is an error in the log. A failure is a warning,
// once.
func TestInterruptedActivitiesOnAServer(t *testing.T) {
	t.Parallel()
	var logged lines
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := client.DialContext(t.Context(), client.Options{
		HostPort: devstacktest.Start(t, devstacktest.Temporal).Temporal, Logger: log.NewStructuredLogger(slog.New(Quiet(logger.Handler()))),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	begun := make(chan struct{}, 1)
	work, stop := context.WithCancel(t.Context())
	w := worker.New(c, "queue", worker.Options{
		BackgroundActivityContext: work, MaxHeartbeatThrottleInterval: 100 * time.Millisecond,
		Interceptors: []interceptor.WorkerInterceptor{Interceptor(logger)},
	})
	w.RegisterActivityWithOptions(func(ctx context.Context) error {
		begun <- struct{}{}
		for ctx.Err() == nil { // so that it hears of a cancel
			activity.RecordHeartbeat(ctx)
			time.Sleep(20 * time.Millisecond)
		}
		return video.Errorf(video.Internal, "Cut off.").Because(ctx.Err())
	}, activity.RegisterOptions{Name: "long"})
	w.RegisterActivityWithOptions(func(context.Context) error {
		return video.Errorf(video.Invalid, "It can't be.")
	}, activity.RegisterOptions{Name: "wrong"})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, name string) error {
		return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second, WaitForCancellation: true,
			RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		}), name).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "once"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	once := func(id, name string) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "queue"}, "once", name)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}

	failed := once("fails", "wrong").Get(t.Context(), nil)
	if told, ok := errors.AsType[*temporal.ApplicationError](failed); !ok || told.Type() != string(video.Invalid) {
		t.Errorf("an activity that fails: %v", failed)
	}
	canceled := once("canceled", "long")
	<-begun
	if err := c.CancelWorkflow(t.Context(), "canceled", ""); err != nil {
		t.Fatal(err)
	}
	if err := canceled.Get(t.Context(), nil); !temporal.IsCanceledError(err) {
		t.Errorf("an activity that was canceled: %v", err)
	}
	cut := once("cut off", "long")
	<-begun
	stop()
	err = cut.Get(t.Context(), nil)
	if told, ok := errors.AsType[*temporal.ApplicationError](err); !ok || told.Type() != string(video.Unavailable) || told.NonRetryable() {
		t.Errorf("an activity whose worker stops: %v", err)
	}
	for line := range strings.Lines(logged.String()) {
		loud := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
		if loud && strings.Contains(line, "ctivity") && !strings.Contains(line, "It can't be.") {
			t.Errorf("an interruption is logged as %s", line)
		}
	}
	if n := strings.Count(logged.String(), `level=WARN msg="activity failed"`); n != 1 || strings.Contains(logged.String(), `level=ERROR msg="Activity error."`) {
		t.Errorf("the failure is logged %d times as a warning:\n%s", n, &logged)
	}
}
