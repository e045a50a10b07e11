package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// fetch has a worker store the bytes from the address that the author gave. An
// address from which nothing comes is asked again, ever more seldom, until the
// import has been idle for as long as an upload may be. Paused time does not
// count: each leg begins its wait anew.
func (l *life) fetch(ctx workflow.Context, leg Leg) error {
	since := workflow.Now(ctx)
	for attempt := 1; ; attempt++ {
		l.waitFor(Importing)
		var got Imported
		err := l.run(ctx, "Import", "fetch the video from its address", leg, &got)
		if err == nil {
			return l.accept(got.Rejected)
		}
		if ctx.Err() != nil || !transient(err) {
			return err
		}
		var upload UploadState
		look := CheckInput{Leg: leg, Since: since, Stall: l.in.Policy.UploadStall}
		if err := l.run(ctx, "CheckUpload", "how far is the import", look, &upload); err != nil {
			return err
		}
		if upload.LastByteAt.After(since) {
			since, attempt = upload.LastByteAt, 1
		}
		idle := workflow.Now(ctx).Sub(since)
		if idle >= l.in.Policy.UploadIdle {
			return l.expire()
		}
		l.waitFor("the address that it is imported from, which gives nothing since " + since.UTC().Format(time.RFC3339))
		l.writeShown()
		if err := workflow.Sleep(ctx, min(backoff(attempt+5), l.in.Policy.UploadIdle-idle)); err != nil {
			return err
		}
	}
}
