package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// publish brings the backup replicas up to date, then makes the video visible
// everywhere at one moment. The published life goes on in a fresh, short history.
func (l *life) publish() error {
	l.enter(video.Publishing)
	if len(l.state.Done) > 0 {
		l.project() // somebody decided this, and looks at what became of it
	}
	if err := l.leg(l.replicate); err != nil {
		return err
	}
	published := false
	for !published {
		err := l.leg(func(ctx workflow.Context, leg Leg) error {
			return run(ctx, "Publish", "publish", PublishInput{leg, l.in.Backups}, nil)
		})
		if err != nil {
			return err
		}
		// A pause or cancel that came while the row was written has taken it back.
		published = !l.asked()
	}
	l.enter(video.Published)
	return l.continueAsNew()
}

// replicate copies to every backup side by side. A store that is down holds up
// publication: a video is public only once it is safe.
func (l *life) replicate(ctx workflow.Context, leg Leg) error {
	l.progress(0, len(l.in.Backups))
	return l.eachStore(ctx, l.in.Backups, func(ctx workflow.Context, store string) error {
		return l.untilDone(ctx, "CopyReplica", "copy to "+store, StoreInput{leg, store})
	})
}

// eachStore runs work for all stores side by side and waits for all of it.
func (l *life) eachStore(ctx workflow.Context, stores []string, work func(workflow.Context, string) error) error {
	left := len(stores)
	var first error
	for _, store := range stores {
		workflow.Go(ctx, func(ctx workflow.Context) {
			err := work(ctx, store)
			if err == nil {
				l.progress(l.done+1, l.total)
			} else if first == nil {
				first = err
			}
			left--
		})
	}
	l.await(func() bool { return left == 0 })
	return first
}

// untilDone runs an activity on one store for as long as the store is down. The
// first attempts are few, so that the wait is soon shown; the later ones keep at
// it for an hour each.
func (l *life) untilDone(ctx workflow.Context, activity, summary string, in StoreInput) error {
	for attempt := 1; ; attempt++ {
		err := persist(ctx, attempt, activity, summary, in, nil)
		if err == nil || ctx.Err() != nil || !passing(err) {
			l.reached(in.Store)
			return err
		}
		l.unreached(in.Store)
		if err := workflow.NewTimerWithOptions(ctx, backoff(attempt), workflow.TimerOptions{
			Summary: in.Store + " is down: wait before another attempt",
		}).Get(ctx, nil); err != nil {
			return err
		}
	}
}

// published waits for the end.
func (l *life) published() error {
	l.enter(video.Published)
	for {
		l.await(func() bool {
			return l.state.Ending != "" || workflow.GetInfo(l.root).GetContinueAsNewSuggested()
		})
		if l.state.Ending != "" {
			return errEnding
		}
		return l.continueAsNew()
	}
}
