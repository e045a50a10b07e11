package activities

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Control writes the control row and what readers are to see beside it. After a
// pause or an end it returns once no gateway holds the upload any more: one that
// is alive stores what has come and lets go within a second, the lease of one that
// is dead or frozen runs out, for the row keeps it from being renewed.
//
// A video that has no row is erased if a ledger says so, the catalog's or the
// vault's. Otherwise it is unknown, which is an answer and no failure.
func (a *Activities) Control(ctx context.Context, in workflows.ControlInput) (workflows.ControlRow, error) {
	row, err := a.writeControl(ctx, in)
	return a.rowOr(ctx, in.Leg, row, err)
}

// ReadControl is Control for a run that only asks: nothing is written.
func (a *Activities) ReadControl(ctx context.Context, leg workflows.Leg) (workflows.ControlRow, error) {
	row, err := a.Catalog.ControlOf(ctx, leg.ID)
	if err != nil {
		return a.rowOr(ctx, leg, workflows.ControlRow{}, err)
	}
	row.Behind = row.Epoch > leg.Epoch
	told, err := a.told(ctx, row)
	return a.rowOr(ctx, leg, told, err)
}

// rowOr is what a run is told of its row, or that there is none: erased, or unknown.
func (a *Activities) rowOr(ctx context.Context, leg workflows.Leg, row workflows.ControlRow, err error) (workflows.ControlRow, error) {
	erased := is(err, video.Gone)
	if is(err, video.NotFound) {
		if _, erased, err = a.Vault.Ledger(ctx, leg.ID.Hash()); err == nil && !erased {
			return workflows.ControlRow{Epoch: leg.Epoch, Unknown: true}, nil
		}
	}
	if erased {
		return workflows.ControlRow{Epoch: leg.Epoch, Ending: video.ByDeletion, Erased: true}, nil
	}
	return row, err
}

func (a *Activities) writeControl(ctx context.Context, in workflows.ControlInput) (workflows.ControlRow, error) {
	want := catalog.Control{
		Video: in.ID, Epoch: in.Epoch, Paused: in.Paused, Ending: in.Ending, Held: in.Held, Draft: in.Draft, Refused: in.Refused, Fences: in.Fences, KeepHold: !in.HoldSaid,
	}
	row, err := a.Catalog.Control(ctx, want, func(v *catalog.Video) {
		v.Stage, v.Decisions = in.Stage, in.Done
		v.WaitingFor, v.Overdue, v.Trouble, v.Stray = in.WaitingFor, in.Overdue, in.Trouble, in.Stray
		v.Failure, v.WasDraft, v.DecidedBy = in.Rejection, in.WasDraft, in.DecidedBy
		// Only a life that is scheduled has a date to tell, and one that is past that
		// has none any more: before, the row keeps what its author asked for.
		if !in.PublishAt.IsZero() || in.Stage == video.Publishing || in.Stage == video.Published {
			v.PublishAt = in.PublishAt
		}
		if !in.ExpiresAt.IsZero() || in.Stage.OnTheWay() {
			v.PurgeAt = in.ExpiresAt
		}
	})
	if err != nil {
		return workflows.ControlRow{}, err
	}
	told, err := a.told(ctx, row)
	if err != nil {
		return workflows.ControlRow{}, err
	}
	if in.HoldSaid && !row.Behind && (in.Stage == video.Published || in.Stage == video.PendingDeletion) {
		if err := a.renewFacts(ctx, catalog.Leg{Video: in.ID, Epoch: row.Epoch, Ending: row.Ending != ""}); err != nil {
			return workflows.ControlRow{}, err
		}
	}
	if in.Paused || in.Ending != "" || in.Draft {
		err = a.untilLetGo(ctx, in.ID)
	}
	return told, err
}

// told is the row as its run is to know it.
func (a *Activities) told(ctx context.Context, row catalog.Control) (told workflows.ControlRow, err error) {
	told = workflows.ControlRow{Epoch: row.Epoch, Ending: row.Ending, Held: row.Held}
	if row.Behind {
		told.Further, err = a.carried(ctx, row)
	}
	return told, err
}

// carried is where a life really stands.
func (a *Activities) carried(ctx context.Context, row catalog.Control) (*video.Carried, error) {
	v, err := a.Catalog.Video(ctx, row.Video)
	if err != nil {
		return nil, err
	}
	u, err := a.Catalog.UploadOf(ctx, row.Video)
	if err != nil {
		return nil, err
	}
	return carriedOf(v, row, u)
}

// untilLetGo waits until nobody holds the lease of the upload.
func (a *Activities) untilLetGo(ctx context.Context, id video.ID) error {
	for {
		held, err := a.Catalog.Leased(ctx, id)
		if err != nil || !held {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// CheckUpload reads how far the upload is, and marks it as stalled or not. The
// next byte takes the mark away again.
func (a *Activities) CheckUpload(ctx context.Context, in workflows.CheckInput) (workflows.UploadState, error) {
	if err := a.Catalog.Enter(ctx, fence(in.Leg), nil); err != nil {
		return workflows.UploadState{}, err
	}
	u, err := a.Catalog.UploadOf(ctx, in.ID)
	if err != nil {
		return workflows.UploadState{}, err
	}
	last := u.LastByteAt
	if last.Before(in.Since) {
		last = in.Since
	}
	complete := !u.FinishedAt.IsZero()
	stalled := !complete && in.Stall > 0 && time.Since(last) >= in.Stall
	return workflows.UploadState{Complete: complete, Stalled: stalled, Offset: u.Offset, LastByteAt: u.LastByteAt},
		a.Catalog.MarkStalled(ctx, in.ID, stalled)
}
