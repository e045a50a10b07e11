package activities

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Publish makes the video visible: one row, so everywhere at one moment.
func (a *Activities) Publish(ctx context.Context, in workflows.Leg) error {
	leg := fence(in)
	err := a.Catalog.Enter(ctx, leg, func(v *catalog.Video) {
		v.Stage, v.WaitingFor, v.PublishAt = video.Published, "", time.Time{}
		v.Unit, v.Done, v.Total = "", 0, 0
		if v.PublishedAt.IsZero() {
			v.PublishedAt = time.Now()
		}
	})
	if err != nil {
		return err
	}
	stored, err := a.Catalog.Objects(ctx, in.ID, catalog.Filter{Store: a.Stores.Primary.Name(), Stored: true})
	if err != nil {
		return err
	}
	return a.Catalog.SetReplica(ctx, leg, catalog.Replica{
		Video: in.ID, Store: a.Stores.Primary.Name(), State: catalog.ReplicaComplete,
		Objects: len(stored), Bytes: total(stored), VerifiedAt: time.Now(),
	})
}
