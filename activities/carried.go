package activities

import (
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// carriedOf is a life as its rows tell it: what a run that begins, or finds itself
// behind them, goes on with.
func carriedOf(v catalog.Video, row catalog.Control, u catalog.Upload) (*video.Carried, error) {
	c := &video.Carried{
		State: v.State(), Epoch: row.Epoch, Refused: row.Refused, Uploaded: !u.FinishedAt.IsZero(), Stray: v.Stray,
		Rejection: v.Failure, HiddenAt: v.HiddenAt,
		ResumeStage: resumeStage(v, u), WasDraft: v.WasDraft, DecidedBy: v.DecidedBy,
	}
	c.Paused, c.Held = row.Paused, row.Held
	if row.Ending != "" {
		c.Ending = row.Ending
	}
	c.Asked = c.Ending == video.ByDeletion // by whom else
	switch c.Stage {
	case video.PendingDeletion:
		c.PurgeAt = v.PurgeAt
	case video.Draft, video.Canceled, video.Rejected:
		c.ExpiresAt = v.PurgeAt
	}
	var err error
	c.Plan, err = planIn(v)
	return c, err
}

// resumeStage is where a life that was set aside goes on: what is done by then is
// found in the manifest.
func resumeStage(v catalog.Video, u catalog.Upload) video.Stage {
	switch {
	case u.FinishedAt.IsZero():
		return video.Uploading
	case len(v.Renditions) == 0:
		return video.Processing
	case v.Review:
		return video.Reviewing
	}
	return video.Scheduled
}

// planIn is the plan that a probe has left in the row; the zero plan before one.
func planIn(v catalog.Video) (video.Plan, error) {
	found, there, err := findingsIn(v)
	if err != nil || !there {
		return video.Plan{}, err
	}
	return found.plan(), nil
}
