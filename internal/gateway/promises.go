package gateway

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// A deletion and a cancel are promises as soon as they are on record in the catalog,
// whatever state the workflow is in: paused in Temporal, failing, without a worker, or
// out of reach. From then on the video is hidden, or its upload takes no more bytes.
// Whoever put it on record also sends the signal, which Temporal keeps in each of these
// states; if they die before, or can't, every gateway's loop sends it again until the
// workflow's rows show that it was taken up.

const (
	signalPatience = 500 * time.Millisecond
	// acceptPatience is how long a cancel waits to be accepted before it becomes a signal.
	acceptPatience = 700 * time.Millisecond
	// holdPatience is how long a cancel that was accepted may take to hold before it is
	// answered as one that is on record.
	holdPatience = 5 * time.Second
)

// hide hides a video for good and tells its life. The deletion does not depend on that.
func (g *Gateway) hide(ctx context.Context, before catalog.Video) error {
	row, err := g.catalog.HideFor(ctx, before.ID, g.roleFor(ctx, before))
	if err == nil && row.DeletionAsked() {
		g.signal(ctx, row, video.Delete)
	}
	return err
}

// roleFor is in which role the caller asks for the end of a video. Who has the address of its
// upload, and says no more, is taken for its author.
func (g *Gateway) roleFor(ctx context.Context, row catalog.Video) string {
	who, err := people.Caller(ctx)
	if err == nil && who.Operator && g.people.OwnerID(who.Name) != row.Owner {
		return video.AskedByOperator
	}
	return video.AskedByAuthor
}

// signal tells the life of a video what is on record, once.
func (g *Gateway) signal(ctx context.Context, row catalog.Video, c video.Command) {
	if err := g.sendSignal(context.WithoutCancel(ctx), row, c); err != nil {
		g.log.Warn("a workflow was not told yet", "video", row.ID, "command", c, "error", err)
	}
}

func (g *Gateway) sendSignal(ctx context.Context, row catalog.Video, c video.Command) error {
	ctx, cancel := context.WithTimeout(ctx, signalPatience)
	defer cancel()
	return g.lives.Signal(ctx, row.ID, c, video.CommandRequest{KeepDraft: c == video.Cancel && row.CancelKeeps})
}

// cancel puts a cancel on record, which closes the gate of the upload, and tells the
// life of it. It returns recorded when that doesn't answer; a refusal is passed on and
// taken off the record.
func (g *Gateway) cancel(ctx context.Context, row catalog.Video, r video.CommandRequest) (outcome, error) {
	// Told from the row, not left to the life: a cancel that it hears of twice must not
	// throw away the draft that the first has kept.
	keep := r.KeepDraft || row.KeepDraft && row.Stage != video.Draft
	row, asked, err := g.catalog.AskCancelFor(ctx, row.ID, keep, g.roleFor(ctx, row))
	switch {
	case err != nil && video.CodeOf(err) == video.Gone:
		return erased, nil
	case err != nil:
		return taken, err
	case row.CancelAskedAt.IsZero(): // ended, or gone on, meanwhile
		return taken, row.State().Check(video.Cancel)
	case !asked: // somebody else is telling the life
		return g.untilSettled(ctx, row.ID)
	}
	ctx = context.WithoutCancel(ctx) // whoever asked may go; the answer still has to be noted
	accepted, err := g.tellCancel(ctx, row)
	code := video.CodeOf(err)
	switch {
	case err == nil:
		return taken, g.catalog.SettleCancel(ctx, row)
	case code.Permanent() && code != video.NotFound:
		if settleErr := g.catalog.SettleCancel(ctx, row); settleErr != nil {
			g.log.Warn("a refused cancel is still on record", "video", row.ID, "error", settleErr)
		}
		return taken, err
	case !accepted:
		g.signal(ctx, row, video.Cancel)
	}
	return recorded, nil
}

// tellCancel asks a life to cancel, and reports whether it has accepted that.
func (g *Gateway) tellCancel(ctx context.Context, row catalog.Video) (accepted bool, err error) {
	accepting, cancel := context.WithTimeout(ctx, acceptPatience)
	defer cancel()
	hold, err := g.lives.Command(accepting, row.ID, video.Cancel, video.CommandRequest{KeepDraft: row.CancelKeeps})
	if err != nil {
		return false, err
	}
	holding, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	_, err = hold(holding)
	return true, err
}

// untilSettled waits a moment for a cancel that is on record to be taken up.
func (g *Gateway) untilSettled(ctx context.Context, id video.ID) (outcome, error) {
	for end := time.Now().Add(acceptPatience); ; time.Sleep(50 * time.Millisecond) {
		row, err := g.catalog.Video(ctx, id)
		switch {
		case err != nil && video.CodeOf(err) == video.Gone:
			return erased, nil
		case err != nil:
			return taken, err
		case row.CancelAskedAt.IsZero():
			return taken, row.State().Check(video.Cancel)
		case time.Now().After(end):
			return recorded, nil
		}
	}
}

// promise is one thing on record that a life has to be told.
type promise struct {
	id      video.ID
	command video.Command
}

// telling is what this gateway knows of a promise: when it tells it again. Each signal
// costs something and a run takes 10,000 of them, so that one which Temporal has
// recorded is repeated ever more seldom. One that it has not is tried again soon, but
// not so soon that a life which takes none would keep others from being told.
type telling struct {
	next      time.Time
	wait      time.Duration // after the next signal that is recorded
	afterFail time.Duration // after the next that is not
}

const (
	promiseEvery  = 2 * time.Second
	promiseAfter  = 2 * time.Second // time for the request itself to tell it
	firstTelling  = 10 * time.Second
	seldomTelling = 24 * time.Hour
	firstRetry    = 2 * time.Second
	slowestRetry  = time.Minute
	promisePage   = 100
	// fewFailures in a row mean that Temporal is out of reach, rather than one life.
	fewFailures = 3
)

// keepPromises tells lives what is on record and not taken up, until ctx ends.
func (g *Gateway) keepPromises(ctx context.Context) {
	known := map[promise]telling{}
	for tick := time.NewTicker(promiseEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		if err := g.tellPromised(ctx, known); err != nil && ctx.Err() == nil {
			g.log.Warn("what is on record could not be told", "error", err)
		}
	}
}

// tellPromised goes through all promises once, and forgets those of known that have
// been kept. It fails with the last error when several in a row could not be told.
func (g *Gateway) tellPromised(ctx context.Context, known map[promise]telling) error {
	open, failed := map[promise]bool{}, 0
	for _, command := range []video.Command{video.Delete, video.Cancel} {
		for after := video.ID(""); ; {
			page, err := g.catalog.Promised(ctx, command, time.Now().Add(-promiseAfter), after, promisePage)
			if err != nil {
				return err
			}
			for _, row := range page {
				p := promise{row.ID, command}
				open[p] = true
				if time.Now().Before(known[p].next) {
					continue
				}
				if err := g.tellAgain(ctx, row, p, known); err == nil {
					failed = 0
				} else if failed++; failed == fewFailures {
					return err
				}
			}
			if len(page) < promisePage {
				break
			}
			after = page[len(page)-1].ID
		}
	}
	for p := range known {
		if !open[p] {
			delete(known, p)
		}
	}
	return nil
}

// tellAgain tells the life of one promise, and notes when to do so again. It fails when
// Temporal can't be reached.
func (g *Gateway) tellAgain(ctx context.Context, row catalog.Video, p promise, known map[promise]telling) error {
	if p.command == video.Cancel && row.CancelSettled() {
		if row.DeletionAsked() {
			return nil // which the life hears of instead
		}
		return g.catalog.SettleCancel(ctx, row)
	}
	err := g.sendSignal(ctx, row, p.command)
	if video.CodeOf(err) == video.NotFound && err != nil {
		err = g.startAndTell(ctx, row, p.command)
	}
	if err != nil {
		g.log.Warn("a workflow was not told yet", "video", row.ID, "command", p.command, "error", err)
	}
	now := known[p]
	if err != nil && video.CodeOf(err) != video.NotFound {
		wait := max(now.afterFail, firstRetry)
		known[p] = telling{time.Now().Add(wait), now.wait, min(2*wait, slowestRetry)}
		return err
	}
	wait := max(now.wait, firstTelling)
	known[p] = telling{next: time.Now().Add(wait), wait: min(4*wait, seldomTelling)}
	return nil
}

// startAndTell is for a life that has never begun: its gateway died, or had no Temporal.
// One that was lost since fails with NotFound; it is the audit that begins it again.
func (g *Gateway) startAndTell(ctx context.Context, row catalog.Video, c video.Command) error {
	control, err := g.catalog.ControlOf(ctx, row.ID)
	if err != nil {
		return err
	}
	if control.Epoch != 0 {
		return notRunning(nil)
	}
	if err := g.creation.Start(ctx, row); err != nil {
		return err
	}
	return g.sendSignal(ctx, row, c)
}
