package activities

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// sparedSegments is how many segments an upload may have beyond twice as many as it needs
// before they are merged: to read and write all of it again takes longer than a few objects more cost.
const sparedSegments = 16

// needMerge reports whether an upload has too many segments, or an attempt at merging them
// has not come to its end. Stored are those of its rows that are stored.
func needMerge(rows, stored []catalog.Object) bool {
	var bytes int64
	for _, s := range stored {
		bytes += s.PlainSize
	}
	needed := (bytes + manifest.SegmentSize - 1) / manifest.SegmentSize
	return int64(len(stored)) > 2*needed+sparedSegments ||
		slices.ContainsFunc(rows, func(o catalog.Object) bool { return o.State == catalog.ObjectDropping })
}

// MergeUpload makes one segment of neighbours that fit into one: an upload of many small
// requests would be as many objects in every store for as long as the video lives. Each new segment is put
// first, then it counts in place of the others, then they are deleted; so the manifest
// has every byte once whenever an attempt dies, and the next one goes on from there. It deletes,
// so a later attempt fences off those before it. A backup that is down keeps
// its copies of short segments until the video is copied there.
func (a *Activities) MergeUpload(ctx context.Context, in workflows.Leg) error {
	defer heart(ctx)()
	if _, err := a.finishedUpload(ctx, in.ID); err != nil {
		return err
	}
	leg, err := a.Catalog.EnterExclusive(ctx, fence(in), nil)
	if err != nil {
		return err
	}
	segments, err := a.sourceSegments(ctx, in.ID)
	if err != nil {
		return err
	}
	for _, neighbours := range mergeable(segments) {
		if err := a.merge(ctx, leg, neighbours); err != nil {
			return err
		}
	}
	return a.dropMerged(ctx, leg)
}

// mergeable cuts the upload into stretches of at most SegmentSize bytes, each as long as whole
// segments allow, and returns those of more than one segment.
func mergeable(segments []catalog.Object) (runs [][]catalog.Object) {
	for len(segments) > 0 {
		n, size := 0, int64(0)
		for n < len(segments) && (n == 0 || size+segments[n].PlainSize <= manifest.SegmentSize) {
			size += segments[n].PlainSize
			n++
		}
		if n > 1 {
			runs = append(runs, segments[:n])
		}
		segments = segments[n:]
	}
	return runs
}

// merge reads neighbours, a few at a time, and puts what they hold as one segment in their place.
func (a *Activities) merge(ctx context.Context, leg catalog.Leg, neighbours []catalog.Object) error {
	first, last := neighbours[0], neighbours[len(neighbours)-1]
	size := last.Offset + last.PlainSize - first.Offset
	plain := make([]byte, size, vault.SealedSize(size))
	reads, each := errgroup.WithContext(ctx)
	reads.SetLimit(copiesAtOnce)
	for _, o := range neighbours {
		reads.Go(func() error {
			part, err := a.getSealed(each, o)
			if err == nil && int64(len(part)) != o.PlainSize {
				err = video.Errorf(video.Internal, "A segment of the upload is not as long as the manifest says.")
			}
			copy(plain[o.Offset-first.Offset:], part)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	return a.writer().PutMerged(ctx, leg, first.Offset, plain)
}

// dropMerged deletes from every store what no longer counts of the upload. The primary is the
// last: as long as its rows are there the work is not done, and needMerge says so.
func (a *Activities) dropMerged(ctx context.Context, leg catalog.Leg) error {
	for _, store := range a.Stores.Backups {
		err := a.dropUnused(ctx, leg, store)
		if is(err, video.Unavailable) && video.PlaceOf(err) == store.Name() && ctx.Err() == nil {
			a.Log.Warn("a backup is down and keeps short segments for now", "video", leg.Video, "store", store.Name(), "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return a.dropUnused(ctx, leg, a.Stores.Primary)
}

// dropUnused deletes from a store the segments of the upload that were merged into others, and
// whatever else of it was begun to be written under a key that no longer counts. It is
// for legs that begin after the upload: a gateway that still writes would be taken for dead.
func (a *Activities) dropUnused(ctx context.Context, leg catalog.Leg, store objects.Store) error {
	all, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Kind: catalog.KindSource})
	if err != nil {
		return err
	}
	counts := map[string]bool{}
	for _, o := range all {
		if o.State == catalog.ObjectStored {
			counts[o.Key] = true
		}
	}
	return a.remove(ctx, leg, store, slices.DeleteFunc(all, func(o catalog.Object) bool {
		return o.Store != store.Name() || counts[o.Key]
	}))
}

// remove deletes objects that are not stored, by the manifest, from their store, and then their rows.
func (a *Activities) remove(ctx context.Context, leg catalog.Leg, store objects.Store, old []catalog.Object) error {
	if len(old) == 0 {
		return nil
	}
	deletions, each := errgroup.WithContext(ctx)
	deletions.SetLimit(copiesAtOnce)
	ids := make([]int64, len(old))
	for i, o := range old {
		ids[i] = o.ID
		deletions.Go(func() error { return manifest.Remove(each, store, o, o.State == catalog.ObjectDropping) })
	}
	if err := deletions.Wait(); err != nil {
		return err
	}
	return a.Catalog.Drop(ctx, leg, ids)
}
