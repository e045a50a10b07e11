package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// limits are the timeouts of one activity.
type limits struct {
	queue     string
	once      time.Duration // one attempt, StartToClose
	heartbeat time.Duration // long work is found dead after this; zero for short work
	attempts  int32         // zero: as many as it takes
}

// alive is the heartbeat timeout of long work: with it a cancel is noticed even
// where the server can't push it, and a killed worker's work begins again.
const alive = 10 * time.Second

// table holds the limits of every activity. Media work and imports that keep
// failing come back to the workflow, which says so; everything else is tried for as long as
// it takes, or as long as runFor allows.
var table = map[string]limits{
	"Control":      {queue: video.ControlQueue, once: 30 * time.Second},
	"CheckUpload":  {queue: video.ControlQueue, once: 30 * time.Second},
	"SealUpload":   {queue: video.ControlQueue, once: time.Minute},
	"Publish":      {queue: video.ControlQueue, once: 30 * time.Second},
	"Hide":         {queue: video.ControlQueue, once: 30 * time.Second},
	"DestroyKey":   {queue: video.ControlQueue, once: time.Minute},
	"Import":       {queue: video.TransferQueue, once: 6 * time.Hour, heartbeat: alive, attempts: 6},
	"Probe":        {queue: video.MediaQueue, once: 5 * time.Minute, heartbeat: alive, attempts: 5},
	"EncodePiece":  {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5},
	"EncodeAudio":  {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5},
	"Package":      {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5},
	"CopyAhead":    {queue: video.TransferQueue, once: time.Hour, heartbeat: alive, attempts: 1},
	"CopyReplica":  {queue: video.TransferQueue, once: time.Hour, heartbeat: alive},
	"PurgeReplica": {queue: video.TransferQueue, once: time.Hour, heartbeat: alive},
	"CloseReceipt": {queue: video.TransferQueue, once: 10 * time.Minute, heartbeat: alive},
}

// withOptions gives an activity its limits and the summary that the UI shows.
func withOptions(ctx workflow.Context, activity, summary string) workflow.Context {
	l := table[activity]
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           l.queue,
		StartToCloseTimeout: l.once,
		HeartbeatTimeout:    l.heartbeat,
		WaitForCancellation: true, // so that 'paused' means that nothing runs any more
		Summary:             summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: l.attempts,
		},
	})
}

type work = workflow.Future

// start begins an activity.
func start(ctx workflow.Context, activity, summary string, in any) work {
	return workflow.ExecuteActivity(withOptions(ctx, activity, summary), activity, in)
}

// run begins an activity and waits for its result; out may be nil.
func run(ctx workflow.Context, activity, summary string, in, out any) error {
	return start(ctx, activity, summary, in).Get(ctx, out)
}

// persist is run for the n-th attempt, counted from 1, at what may be down for a
// week. Each has an end to its retries, so that the workflow can say what it
// waits for: the first after seconds, the others after an hour. Retries begin at
// a second and slow down to one in ten minutes: waiting must not cost an action
// every minute.
func persist(ctx workflow.Context, attempt int, activity, summary string, in, out any) error {
	ctx = withOptions(ctx, activity, summary)
	options := workflow.GetActivityOptions(ctx)
	options.ScheduleToCloseTimeout = time.Hour
	if attempt == 1 {
		options.ScheduleToCloseTimeout = 15 * time.Second
	}
	options.StartToCloseTimeout = min(options.StartToCloseTimeout, options.ScheduleToCloseTimeout)
	options.RetryPolicy.InitialInterval = min(time.Second<<min(4*(attempt-1), 12), slowest)
	options.RetryPolicy.MaximumInterval = slowest
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, in).Get(ctx, out)
}

// slowest is the longest pause between two attempts at anything.
const slowest = 10 * time.Minute

// passing reports whether trying again may help without anything else being done.
func passing(err error) bool { return !codeOf(err).Permanent() }
