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
// with the primary, and puts the facts of the published video into every store: where
// anything is missing nothing becomes visible.
func (a *Activities) Publish(ctx context.Context, in workflows.PublishInput) error {
	leg := fence(in.Leg)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return err
	}
	at, err := a.mustBeWhole(ctx, leg.Video, in.Backups)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond) // as a row keeps it
	published := func(v *catalog.Video) {
		v.Stage, v.WaitingFor, v.PublishAt = video.Published, "", time.Time{}
		v.Unit, v.Done, v.Total = "", 0, 0
		if v.PublishedAt.IsZero() {
			v.PublishedAt = now
		}
	}
	if err := a.keepFacts(ctx, leg, published); err != nil {
		return err
	}
	if err := a.showComplete(ctx, leg, in.Backups, at); err != nil {
		return err
	}
	return a.Catalog.Project(ctx, leg, published)
}

// mustBeWhole says what is missing of a video that is to be published, or nil and since
// when the primary is known to be whole.
func (a *Activities) mustBeWhole(ctx context.Context, id video.ID, backups []string) (at time.Time, err error) {
	v, err := a.Catalog.Video(ctx, id)
	if err != nil {
		return at, err
	}
	plan, _, err := findingsIn(v)
	if err != nil {
		return at, err
	}
	stored, at, err := a.listed(ctx, id, a.Stores.Primary)
	if err != nil {
		return at, err
	}
	if len(plan.Ladder) == 0 || len(v.Renditions) == 0 {
		return at, video.Errorf(video.Internal, "The video is not packaged.")
	}
	if err := plan.mustHaveAll(stored); err != nil {
		return at, err
	}
	return at, a.mustHaveCopies(ctx, id, stored, backups)
}

// mustHaveCopies says which backup lacks something of what the primary has, or nil. Facts
// are not asked for: Publish brings them; nor captions, which may have come since the copies
// were made: gateways copy those.
func (a *Activities) mustHaveCopies(ctx context.Context, id video.ID, stored []catalog.Object, backups []string) error {
	all, err := a.Catalog.Objects(ctx, id, catalog.Filter{Stored: true})
	if err != nil {
		return err
	}
	want := slices.DeleteFunc(stored, func(o catalog.Object) bool { return o.Kind == catalog.KindFacts || o.Kind == catalog.KindCaption })
	for _, store := range backups {
		if n := len(lacking(want, ofStore(all, store))); n > 0 {
			return video.Errorf(video.Internal, "The store %q lacks %d of %d objects of the video.", store, n, len(want)).At(store)
		}
	}
	return nil
}

// showComplete shows the replicas, which have all of the video, as complete, the facts
// counted: a copier that was thought dead may have shown something else since.
func (a *Activities) showComplete(ctx context.Context, leg catalog.Leg, backups []string, at time.Time) error {
	held, err := a.Catalog.Holdings(ctx, leg.Video)
	if err != nil {
		return err
	}
	replicas, err := a.Catalog.Replicas(ctx, leg.Video)
	if err != nil {
		return err
	}
	primary := catalog.Replica{Store: a.Stores.Primary.Name(), VerifiedAt: at}
	replicas = slices.DeleteFunc(replicas, func(r catalog.Replica) bool { return !slices.Contains(backups, r.Store) })
	for _, r := range append(replicas, primary) {
		r.State, r.Objects, r.Bytes = catalog.ReplicaComplete, held[r.Store].Objects, held[r.Store].Bytes
		if err := a.Catalog.SetReplica(ctx, leg, r); err != nil {
			return err
		}
	}
	return nil
}
