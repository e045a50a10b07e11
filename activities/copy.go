package activities

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// copiesAtOnce keeps memory at a few segments while a store's latency is hidden.
const copiesAtOnce = 4

// CopyAhead copies to the backups what is stored so far of an upload that still
// arrives, so that the bytes are soon in more than one place and little is left
// to do before publication. A store that is down falls behind without holding up
// the others; CopyReplica waits for it, when it counts.
func (a *Activities) CopyAhead(ctx context.Context, in workflows.CopyInput) error {
	defer heart(ctx)()
	leg := fence(in.Leg)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return err
	}
	var stores errgroup.Group // without a common context: each goes as far as it can
	for _, backup := range a.Stores.Backups {
		stores.Go(func() error { return a.copyTo(ctx, leg, backup, catalog.ReplicaBehind) })
	}
	return stores.Wait()
}

// CopyReplica brings a backup store up to the manifest: whatever is stored in
// the primary and not there yet is copied and compared with the hash of its
// sealed bytes, without the key. A copy that is interrupted goes on with the
// objects still missing.
func (a *Activities) CopyReplica(ctx context.Context, in workflows.StoreInput) error {
	defer heart(ctx)()
	backup, err := a.Stores.ByName(in.Store)
	if err != nil {
		return err
	}
	leg := fence(in.Leg)
	if err := a.Catalog.Enter(ctx, leg, a.publishing); err != nil {
		return err
	}
	if err := a.copyTo(ctx, leg, backup, catalog.ReplicaComplete); err != nil {
		return err
	}
	return a.countReplicas(ctx, leg)
}

func (a *Activities) publishing(v *catalog.Video) {
	if v.Stage == video.Publishing {
		return
	}
	v.Stage, v.WaitingFor = video.Publishing, ""
	v.Unit, v.Done, v.Total = "replicas", 0, int64(len(a.Stores.Backups))
}

// copyTo copies to a backup what the primary has and it has not. Then the replica
// is in the state that is given.
func (a *Activities) copyTo(ctx context.Context, leg catalog.Leg, backup objects.Store, then string) error {
	want, missing, err := a.missing(ctx, leg.Video, backup)
	if err != nil {
		return err
	}
	replica := catalog.Replica{Video: leg.Video, Store: backup.Name(), State: catalog.ReplicaCopying}
	if err := a.Catalog.SetReplica(ctx, leg, replica); err != nil {
		return err
	}
	copies, each := errgroup.WithContext(ctx)
	copies.SetLimit(copiesAtOnce)
	for _, o := range missing {
		copies.Go(func() error { return a.copyObject(each, leg, backup, o) })
	}
	if err := copies.Wait(); err != nil {
		return a.unreachable(ctx, leg, replica, err)
	}
	replica.State, replica.VerifiedAt = then, time.Now()
	replica.Objects, replica.Bytes = len(want), total(want)
	return a.Catalog.SetReplica(ctx, leg, replica)
}

// missing compares the manifests of the primary and a backup.
func (a *Activities) missing(ctx context.Context, id video.ID, backup objects.Store) (want, missing []catalog.Object, err error) {
	all, err := a.Catalog.Objects(ctx, id, catalog.Filter{Stored: true})
	if err != nil {
		return nil, nil, err
	}
	there := map[string]bool{}
	for _, o := range all {
		if o.Store == backup.Name() {
			there[o.Key] = true
		}
	}
	for _, o := range all {
		if o.Store != a.Stores.Primary.Name() {
			continue
		}
		want = append(want, o)
		if !there[o.Key] {
			missing = append(missing, o)
		}
	}
	return want, missing, nil
}

func (a *Activities) copyObject(ctx context.Context, leg catalog.Leg, to objects.Store, o catalog.Object) error {
	body, err := a.get(ctx, a.Stores.Primary, o)
	if err != nil {
		return err
	}
	o.ID, o.Version = 0, ""
	return a.put(ctx, leg, to, o, body)
}

// unreachable shows readers that a store is down. The error stays the news: a
// failure to show it is only logged.
func (a *Activities) unreachable(ctx context.Context, leg catalog.Leg, r catalog.Replica, why error) error {
	if ctx.Err() != nil || video.CodeOf(why) != video.Unavailable {
		return why
	}
	r.State = catalog.ReplicaUnreachable
	if err := a.Catalog.SetReplica(ctx, leg, r); err != nil {
		a.Log.Warn("could not show that a store is down", "store", r.Store, "error", err)
	}
	return why
}

func (a *Activities) countReplicas(ctx context.Context, leg catalog.Leg) error {
	replicas, err := a.Catalog.Replicas(ctx, leg.Video)
	if err != nil {
		return err
	}
	var complete int64
	for _, r := range replicas {
		if r.State == catalog.ReplicaComplete && r.Store != a.Stores.Primary.Name() {
			complete++
		}
	}
	return a.Catalog.Project(ctx, leg, func(v *catalog.Video) { v.Done = max(v.Done, complete) })
}

func total(all []catalog.Object) (bytes int64) {
	for _, o := range all {
		bytes += o.Size
	}
	return bytes
}
