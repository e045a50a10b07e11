package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// publish brings the backup replicas up to date, then makes the video visible
// everywhere at one moment. The published life goes on in a fresh, short history.
func (l *life) publish() error {
	l.enter(video.Publishing)
	if len(l.kept.Done) > 0 {
		l.writeShown() // somebody decided this, and looks at what became of it
	}
	if err := l.leg(l.replicate); err != nil {
		return err
	}
	published := false
	for !published {
		err := l.leg(func(ctx workflow.Context, leg Leg) error {
			return l.run(ctx, "Publish", "publish", PublishInput{leg, l.in.Backups}, nil)
		})
		if err != nil {
			return err
		}
		// A pause or cancel that came while the row was written has taken it back.
		published = !l.mustStop()
	}
	l.enter(video.Published)
	l.kept.ResumeStage = ""
	if err := l.continueAsNew(func() bool { return !l.mustStop() }); err != nil {
		return err
	}
	return nil
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
				l.progress(l.shown.done+1, l.shown.total)
			} else if first == nil {
				first = err
			}
			left--
		})
	}
	l.await(func() bool { return left == 0 })
	return first
}

// untilDone runs an activity on one store for as long as the store is down, and says
// what it waits for. Done or not, nothing is said of the store any more when it ends.
func (l *life) untilDone(ctx workflow.Context, activity, summary string, in StoreInput) error {
	defer l.storeDone(in.Store)
	for attempt := 1; ; attempt++ {
		err := l.patiently(ctx, attempt, activity, summary, in, nil)
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		l.showStoreTrouble(in.Store, "another attempt: "+summary, err)
		if renew, err := waitUntil(ctx, untilRetry(workflow.Now(ctx), attempt, err), summary+": wait before another attempt", l.renewalIsDue); err != nil {
			return err
		} else if renew {
			return errInterrupted // to go on in a fresh history
		}
	}
}

// untilRetry is the wait before another attempt at a store: backoff, or until a lock of
// its own is over. One without an end, or that somebody may shorten, is looked at every
// hour.
func untilRetry(now time.Time, attempt int, err error) time.Duration {
	reason, at := setbackOf(err)
	if reason != video.ReasonObjectLock {
		return backoff(attempt)
	}
	if at.IsZero() {
		return lockLook
	}
	return min(max(at.Sub(now), soon), lockLook)
}

// lockLook is how long a store's lock is taken to last without another look.
const lockLook = time.Hour

// published waits for the end.
func (l *life) published() error {
	l.enter(video.Published)
	ended := func() bool { return l.kept.Ending != "" }
	if err := l.waitOutside(-1, "", ended); err != nil {
		return err
	}
	return errEnding
}
