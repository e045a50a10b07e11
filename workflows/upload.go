package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// upload waits while the gateways store the bytes. Nothing of it runs in a
// worker: the control row tells the gateways of a pause or cancel. An import is
// work like any other.
func (l *life) upload() error {
	l.enter(video.Uploading)
	if l.in.Import {
		return l.leg(l.fetch)
	}
	l.waitFor("the rest of the upload")
	return l.leg(l.arrive)
}

// arrive returns when every byte is stored, or ends the life of an upload that
// nobody goes on with. Paused time does not count: each leg begins its wait anew.
func (l *life) arrive(ctx workflow.Context, leg Leg) error {
	idle := l.in.Policy.UploadIdle
	since := workflow.Now(ctx)
	for {
		arrived, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: idle - workflow.Now(ctx).Sub(since), TimerOptions: workflow.TimerOptions{Summary: "an upload without a byte expires"},
		}, func() bool { return l.uploaded })
		if arrived || err != nil {
			return err
		}
		var upload UploadState
		if err := run(ctx, "CheckUpload", "how far is the upload", leg, &upload); err != nil {
			return err
		}
		if upload.Complete {
			return nil // the gateway's signal was lost
		}
		since = later(since, upload.LastByteAt)
		if workflow.Now(ctx).Sub(since) >= idle {
			l.end(video.ByExpiry)
			return errEnding
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
