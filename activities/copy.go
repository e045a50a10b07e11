package activities

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// copiesAtOnce keeps memory at a few segments while a store's latency is hidden.
const copiesAtOnce = 4

// CopyAhead copies to the backups what is stored so far: of an upload that still
// arrives, so that the bytes are soon in more than one place and little is left
// to do before publication, or all of a video that waits for it. A store that is down
// falls behind without holding up the others; CopyReplica waits for it, when it counts.
func (a *Activities) CopyAhead(ctx context.Context, in workflows.CopyInput) error {
	defer heart(ctx)()
	leg := fence(in.Leg)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return err
	}
	var stores errgroup.Group // without a common context: each goes as far as it can
	for _, backup := range a.Stores.Backups {
		stores.Go(func() error { return a.copyTo(ctx, leg, backup, in.Whole) })
	}
	return stores.Wait()
}

// CopyReplica brings a backup store up to the manifest: whatever is stored in
// the primary and not there yet is copied and compared with the hash of its
// sealed bytes, without the key; then all of it is listed. A copy that is interrupted
// goes on with the objects still missing.
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
	if err := a.copyTo(ctx, leg, backup, true); err != nil {
		return err
	}
	return a.countReplicas(ctx, leg, catalog.ReplicaComplete)
}

func (a *Activities) publishing(v *catalog.Video) {
	if v.Stage == video.Publishing {
		return
	}
	v.Stage, v.WaitingFor = video.Publishing, ""
	v.Unit, v.Done, v.Total = "replicas", 0, int64(len(a.Stores.Backups))
}

// copyTo copies to a backup what the primary has and it has not. Whole says that this
// is all there will be: then the replica is complete once a listing has shown it.
func (a *Activities) copyTo(ctx context.Context, leg catalog.Leg, backup objects.Store, whole bool) error {
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
		return a.markUnreachable(ctx, leg, replica, err)
	}
	replica.State, replica.Objects, replica.Bytes = catalog.ReplicaBehind, len(want), total(want)
	if whole {
		if err := a.dropUnused(ctx, leg, backup); err != nil { // it may have been down when segments were merged
			return a.markUnreachable(ctx, leg, replica, err)
		}
		if _, replica.VerifiedAt, err = a.listed(ctx, leg.Video, backup); err != nil {
			return a.markUnreachable(ctx, leg, replica, err)
		}
		replica.State = catalog.ReplicaComplete
	}
	return a.Catalog.SetReplica(ctx, leg, replica)
}

// missing compares the manifests of the primary and a backup.
func (a *Activities) missing(ctx context.Context, id video.ID, backup objects.Store) (want, missing []catalog.Object, err error) {
	all, err := a.Catalog.Objects(ctx, id, catalog.Filter{Stored: true})
	if err != nil {
		return nil, nil, err
	}
	want = ofStore(all, a.Stores.Primary.Name())
	return want, lacking(want, ofStore(all, backup.Name())), nil
}

func ofStore(all []catalog.Object, store string) []catalog.Object {
	return slices.DeleteFunc(slices.Clone(all), func(o catalog.Object) bool { return o.Store != store })
}

// lacking are the objects that are wanted and not there: a copy has the key of its original.
func lacking(want, there []catalog.Object) []catalog.Object {
	keys := map[string]bool{}
	for _, o := range there {
		keys[o.Key] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(o catalog.Object) bool { return keys[o.Key] })
}

// listed compares what the manifest says of a store with a listing of it, and returns
// what is there and since when that is known. What the bytes are was compared when
// they were put. The manifest is read first: what it has by then the listing must show.
func (a *Activities) listed(ctx context.Context, id video.ID, store objects.Store) ([]catalog.Object, time.Time, error) {
	want, err := a.Catalog.Objects(ctx, id, catalog.Filter{Store: store.Name(), Stored: true})
	if err != nil {
		return nil, time.Time{}, err
	}
	type name struct{ key, version string }
	sizes, at := map[name]int64{}, time.Now()
	_, err = store.Inventory(ctx, id.Prefix(), func(e objects.Entry) error {
		switch e.Kind {
		case objects.Version:
			sizes[name{e.Key, e.Version}] = e.Size
		case objects.Object: // the current version, and all there is of a store without versions
			sizes[name{e.Key, ""}] = e.Size
		}
		return nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, o := range want {
		if o.Kind == catalog.KindCaption {
			continue // its author may replace it at any moment, also between the two lists
		}
		if size, there := sizes[name{o.Key, o.Version}]; !there || size != o.Size {
			return nil, time.Time{}, video.Errorf(video.Internal, "The store %q has lost something of the video, or has it in another size.", store.Name()).At(store.Name())
		}
	}
	return want, at, nil
}

func (a *Activities) copyObject(ctx context.Context, leg catalog.Leg, to objects.Store, o catalog.Object) error {
	body, err := a.get(ctx, a.Stores.Primary, o)
	if err == nil {
		err = a.writer().Copy(ctx, leg, to, o, body)
	}
	if o.Kind == catalog.KindCaption && is(err, video.Conflict, video.Internal) {
		return nil // replaced since, and copied by a gateway; that the leg is over, the next write says
	}
	return err
}

// markUnreachable shows readers that the store of a replica is down, if why says so of
// that one: a copy can also fail because of the primary. It returns why; a failure to
// show it is only logged.
func (a *Activities) markUnreachable(ctx context.Context, leg catalog.Leg, r catalog.Replica, why error) error {
	if ctx.Err() != nil || !is(why, video.Unavailable) || video.PlaceOf(why) != r.Store {
		return why
	}
	r.State = catalog.ReplicaUnreachable
	if err := a.Catalog.SetReplica(ctx, leg, r); err != nil {
		a.Log.Warn("could not show that a store is down", "store", r.Store, "error", err)
	}
	return why
}

// countReplicas shows how many replicas are done: those that the catalog knows to be
// in the state, so that an attempt more counts nothing twice.
func (a *Activities) countReplicas(ctx context.Context, leg catalog.Leg, done string) error {
	n, err := a.replicasThatAre(ctx, leg.Video, done)
	if err != nil {
		return err
	}
	return a.Catalog.Project(ctx, leg, func(v *catalog.Video) { v.Done = max(v.Done, n) })
}

// replicasThatAre counts the replicas in a state. The primary counts when it is to be
// purged, not when it is to be copied from.
func (a *Activities) replicasThatAre(ctx context.Context, id video.ID, state string) (n int64, err error) {
	replicas, err := a.Catalog.Replicas(ctx, id)
	for _, r := range replicas {
		if r.State == state && (state == catalog.ReplicaEmpty || r.Store != a.Stores.Primary.Name()) {
			n++
		}
	}
	return n, err
}

func total(all []catalog.Object) (bytes int64) {
	for _, o := range all {
		bytes += o.Size
	}
	return bytes
}
