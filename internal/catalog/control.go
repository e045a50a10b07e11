package catalog

import (
	"context"

	"github.com/reelflow/reelflow/video"
)

// Leg is one stretch of a workflow's work. Every durable write of the work is
// fenced by it: once a later leg has begun, or the video was paused or is
// ending, nothing of an earlier one is written any more, however late a frozen
// worker wakes up.
type Leg struct {
	Video video.ID `json:"video"`
	Epoch int64    `json:"epoch"`
	// Ending marks work of the way out: allowed only while the life is ending,
	// and also while paused.
	Ending bool `json:"ending,omitempty"`
}

// Control is the row that fences the work on a video and tells every gateway of
// a pause or an end.
type Control struct {
	Video   video.ID `gorm:"primaryKey"`
	Epoch   int64
	Paused  bool
	Ending  video.Ending
	Held    bool
	Draft   bool // kept to be taken up again although it was canceled
	Refused int  // signals that were refused
}

// Enter begins a leg: it claims the epoch and applies the projection (nil for
// none) in one transaction. It fails with Conflict when a later leg has begun or
// the video is paused, and Gone when it is ending, erased or was never there.
// Entering the same leg again is a success.
func (c *Catalog) Enter(ctx context.Context, leg Leg, project func(*Video)) error { panic("todo") }

// EnterEnding is Enter for work of the way out; see Leg.Ending. It fails with
// Conflict when a later leg has begun or the life is not ending.
func (c *Catalog) EnterEnding(ctx context.Context, leg Leg, project func(*Video)) error {
	panic("todo")
}

// Project changes the video's row in the course of a leg that was entered:
// progress, findings, the next stage. It fails as Enter does, and with Conflict
// when the leg is not the present one. The project function may run again.
func (c *Catalog) Project(ctx context.Context, leg Leg, project func(*Video)) error { panic("todo") }

// Control writes the control row, and with it the projection (nil for none). It
// returns the row as it stands afterwards. An epoch lower than the row's changes
// nothing: a workflow that was reset learns from the answer which epoch to go on
// above. An ending "deleted", or any ending once the ledger has the video, stays.
// It fails with NotFound or Gone when there is no such video.
func (c *Catalog) Control(ctx context.Context, want Control, project func(*Video)) (Control, error) {
	panic("todo")
}

// ControlOf returns the control row, or NotFound or Gone.
func (c *Catalog) ControlOf(ctx context.Context, id video.ID) (Control, error) { panic("todo") }
