package activities

import (
	"context"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Publish makes the video visible: one row, so everywhere at one moment. Before, it
// compares the manifest with the plan, the primary with the manifest, and each backup
// with the primary: where anything is missing nothing becomes visible.
func (a *Activities) Publish(ctx context.Context, in workflows.PublishInput) error {
	leg := fence(in.Leg)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return err
	}
	if err := a.mustBeWhole(ctx, leg, in.Backups); err != nil {
		return err
	}
	return a.Catalog.Project(ctx, leg, func(v *catalog.Video) {
		v.Stage, v.WaitingFor, v.PublishAt = video.Published, "", time.Time{}
		v.Unit, v.Done, v.Total = "", 0, 0
		if v.PublishedAt.IsZero() {
			v.PublishedAt = time.Now()
		}
	})
}

// mustBeWhole says what is missing of a video that is to be published, or nil, and
// shows each replica that has all of it as complete: a copier that was thought dead
// may have shown something else since.
func (a *Activities) mustBeWhole(ctx context.Context, leg catalog.Leg, backups []string) error {
	v, err := a.Catalog.Video(ctx, leg.Video)
	if err != nil {
		return err
	}
	plan, _, err := findingsIn(v)
	if err != nil {
		return err
	}
	stored, at, err := a.listed(ctx, leg.Video, a.Stores.Primary)
	if err != nil {
		return err
	}
	if len(plan.Ladder) == 0 || len(v.Renditions) == 0 {
		return video.Errorf(video.Internal, "The video is not packaged.")
	}
	if err := plan.mustHaveAll(stored); err != nil {
		return err
	}
	if err := a.mustHaveCopies(ctx, leg, stored, backups); err != nil {
		return err
	}
	return a.Catalog.SetReplica(ctx, leg, catalog.Replica{
		Video: leg.Video, Store: a.Stores.Primary.Name(), State: catalog.ReplicaComplete,
		Objects: len(stored), Bytes: total(stored), VerifiedAt: at,
	})
}

// mustHaveCopies says which backup lacks something of what the primary has, or nil. Captions
// may have come since the copies were made: gateways copy those.
func (a *Activities) mustHaveCopies(ctx context.Context, leg catalog.Leg, stored []catalog.Object, backups []string) error {
	all, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Stored: true})
	if err != nil {
		return err
	}
	replicas, err := a.Catalog.Replicas(ctx, leg.Video)
	if err != nil {
		return err
	}
	stored = slices.DeleteFunc(slices.Clone(stored), func(o catalog.Object) bool { return o.Kind == catalog.KindCaption })
	for _, store := range backups {
		if n := len(lacking(stored, ofStore(all, store))); n > 0 {
			return video.Errorf(video.Internal, "The store %q lacks %d of %d objects of the video.", store, n, len(stored)).At(store)
		}
		for _, r := range replicas {
			if r.Store != store || r.State == catalog.ReplicaComplete {
				continue
			}
			r.State, r.Objects, r.Bytes = catalog.ReplicaComplete, len(stored), total(stored)
			if err := a.Catalog.SetReplica(ctx, leg, r); err != nil {
				return err
			}
		}
	}
	return nil
}
