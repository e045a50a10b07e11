package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// limits are the timeouts and the priority of one activity.
type limits struct {
	queue     string
	once      time.Duration // one attempt, StartToClose
	heartbeat time.Duration // long work is found dead after this; zero for short work
	attempts  int32         // zero: as many as it takes
	priority  int           // 1 goes first, 5 last
}

// alive is the heartbeat timeout of long work: with it a cancel is noticed even
// where the server can't push it, and a killed worker's work begins again. Work
// without a heartbeat is short, for a killed worker's is noticed no sooner than
// its time is over, and a pause is promised within alive and ten seconds.
const alive = 10 * time.Second

// table holds the limits of every activity. Media work, imports and merging that keep
// failing come back to the workflow, which says so; everything else is tried for as long as
// it takes, or as patiently does.
//
// What people wait for goes first: hiding and erasing, then the first pieces of a
// video, which can be played before the others are there.
var table = map[string]limits{
	"Control":      {queue: video.ControlQueue, once: 8 * time.Second, priority: 1},
	"ReadControl":  {queue: video.ControlQueue, once: 8 * time.Second, priority: 3},
	"Hide":         {queue: video.ControlQueue, once: 8 * time.Second, priority: 1},
	"DestroyKey":   {queue: video.ControlQueue, once: 15 * time.Second, priority: 1},
	"CheckUpload":  {queue: video.ControlQueue, once: 8 * time.Second, priority: 3},
	"SealUpload":   {queue: video.ControlQueue, once: 15 * time.Second, priority: 2},
	"Publish":      {queue: video.ControlQueue, once: 15 * time.Second, priority: 2},
	"PurgeReplica": {queue: video.TransferQueue, once: time.Hour, heartbeat: alive, priority: 1},
	"CloseReceipt": {queue: video.TransferQueue, once: 10 * time.Minute, heartbeat: alive, priority: 1},
	"Import":       {queue: video.TransferQueue, once: 6 * time.Hour, heartbeat: alive, attempts: 6, priority: 3},
	"MergeUpload":  {queue: video.TransferQueue, once: time.Hour, heartbeat: alive, attempts: 5, priority: 2},
	"CopyReplica":  {queue: video.TransferQueue, once: time.Hour, heartbeat: alive, priority: 2},
	"CopyAhead":    {queue: video.TransferQueue, once: time.Hour, heartbeat: alive, attempts: 1, priority: 4},
	"Probe":        {queue: video.MediaQueue, once: 5 * time.Minute, heartbeat: alive, attempts: 5, priority: 2},
	"EncodeAudio":  {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5, priority: 2},
	"EncodePiece":  {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5, priority: 3},
	"Package":      {queue: video.MediaQueue, once: time.Hour, heartbeat: alive, attempts: 5, priority: 2},
}

// firstPieces of a video are encoded before the others of other videos.
const firstPieces = 1

// withOptions gives an activity its limits, the summary that the UI shows, and its
// place in the queue: among equals, owners take turns.
func (l *life) withOptions(ctx workflow.Context, activity, summary string) workflow.Context {
	limits := table[activity]
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           limits.queue,
		StartToCloseTimeout: limits.once,
		HeartbeatTimeout:    limits.heartbeat,
		WaitForCancellation: true, // so that 'paused' means that nothing runs any more
		Summary:             summary,
		Priority:            temporal.Priority{PriorityKey: limits.priority, FairnessKey: l.fairnessKey()},
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: limits.attempts,
		},
	})
}

// fairnessKey is as much of the opaque owner as tells owners apart: it stands in the
// history of each activity.
func (l *life) fairnessKey() string { return l.in.Owner[:min(len(l.in.Owner), 12)] }

// start begins an activity.
func (l *life) start(ctx workflow.Context, activity, summary string, in any) workflow.Future {
	return workflow.ExecuteActivity(l.withOptions(ctx, activity, summary), activity, in)
}

// run begins an activity and waits for its result; out may be nil.
func (l *life) run(ctx workflow.Context, activity, summary string, in, out any) error {
	return l.start(ctx, activity, summary, in).Get(ctx, out)
}

// untaken is how long work may lie in its queue until people are told that no worker
// takes it.
const untaken = 30 * time.Second

// patiently is run for the n-th attempt, counted from 1, at what may be down for a
// week. Each has an end to its retries, so that the workflow can say what it
// waits for: the first after three, the others after an hour. Retries begin at a
// second and slow down to one in ten minutes: waiting must not cost an action every
// minute.
func (l *life) patiently(ctx workflow.Context, attempt int, activity, summary string, in, out any) error {
	ctx = l.withOptions(ctx, activity, summary)
	options := workflow.GetActivityOptions(ctx)
	if attempt == 1 {
		options.RetryPolicy.MaximumAttempts, options.ScheduleToStartTimeout = 3, untaken
	} else {
		options.RetryPolicy.MaximumAttempts = 0
		options.ScheduleToCloseTimeout, options.ScheduleToStartTimeout = time.Hour, slowest
		options.RetryPolicy.InitialInterval = min(time.Second<<min(4*(attempt-1), 12), slowest)
		options.RetryPolicy.MaximumInterval = slowest
	}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, in).Get(ctx, out)
}
