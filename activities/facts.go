package activities

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/facts"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/video"
)

// factsTime is how long what people wait for may wait for the facts of a video.
const factsTime = 4 * time.Second

// renewFacts brings the facts of a video up to its rows, unless it is on its way out for
// good. Nobody waits for a store that is down: what fails here the audit does again, for
// facts that don't say what the rows say count no more. It fails where that can't be recorded.
func (a *Activities) renewFacts(ctx context.Context, leg catalog.Leg) error {
	ctx, cancel := context.WithTimeout(ctx, factsTime)
	defer cancel()
	err := a.keepFactsOfRow(ctx, leg)
	if err == nil || is(err, video.Gone, video.NotFound, video.Conflict) { // a later leg sees to it
		return nil
	}
	a.Log.Warn("the facts of a video are not up to date; the audit will see to it", "video", leg.Video, "error", err)
	if err = a.discountFacts(context.WithoutCancel(ctx), leg); is(err, video.Gone, video.NotFound, video.Conflict) {
		return nil
	}
	return err
}

// discountFacts lets no facts of a video count, for which it needs the catalog alone.
func (a *Activities) discountFacts(ctx context.Context, leg catalog.Leg) error {
	ctx, cancel := context.WithTimeout(ctx, factsTime)
	defer cancel()
	old, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Kind: catalog.KindFacts, Stored: true})
	if err != nil {
		return err
	}
	return a.Catalog.BeginDrop(ctx, leg, idsOfObjects(old))
}

// keepFactsOfRow is keepFacts for a video that is published, or waits for the end of the
// grace of its deletion; of others it does nothing. On the way out it fences off attempts
// before it, as the destruction of the key fences off this one: nothing may be put into a
// store once the purge has listed it.
func (a *Activities) keepFactsOfRow(ctx context.Context, leg catalog.Leg) (err error) {
	if leg.Ending {
		if leg, err = a.Catalog.EnterExclusive(ctx, leg, nil); err != nil {
			return err
		}
	}
	v, err := a.Catalog.Video(ctx, leg.Video)
	if err != nil || v.PublishedAt.IsZero() || v.Stage != video.Published && v.Stage != video.PendingDeletion {
		return err
	}
	return a.keepFacts(ctx, leg, func(*catalog.Video) {})
}

// keepFacts puts the facts of a video, as its row will be after a projection, into every
// store, and deletes the older ones. Where all of that is so already it changes nothing. It
// may die anywhere and be repeated.
func (a *Activities) keepFacts(ctx context.Context, leg catalog.Leg, project func(*catalog.Video)) error {
	all, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{})
	if err != nil {
		return err
	}
	want, err := a.factsOf(ctx, leg, all, project)
	if err != nil {
		return err
	}
	kept := ofKind(all, catalog.KindFacts)
	latest, current, err := a.latestFacts(ctx, want, kept)
	if err != nil {
		return err
	}
	if !current {
		if latest, err = a.putFacts(ctx, leg, want, kept); err != nil {
			return err
		}
	}
	if err := a.copyFacts(ctx, leg, latest, kept); err != nil {
		return err
	}
	return a.dropFacts(ctx, leg, slices.DeleteFunc(kept, func(o catalog.Object) bool { return o.Index >= latest.Index }))
}

// factsOf are the facts by the rows, with the generation that they would have.
func (a *Activities) factsOf(ctx context.Context, leg catalog.Leg, all []catalog.Object, project func(*catalog.Video)) (facts.Facts, error) {
	v, err := a.Catalog.Video(ctx, leg.Video)
	if err != nil {
		return facts.Facts{}, err
	}
	u, err := a.Catalog.UploadOf(ctx, leg.Video)
	if err != nil {
		return facts.Facts{}, err
	}
	stored := slices.DeleteFunc(ofStore(all, a.Stores.Primary.Name()), func(o catalog.Object) bool { return o.State != catalog.ObjectStored })
	project(&v)
	want := facts.Of(v, leg.Epoch, u, stored)
	want.Generation = v.Revision
	for _, o := range ofKind(all, catalog.KindFacts) {
		want.Generation = max(want.Generation, int64(o.Index)+1)
	}
	return want, nil
}

// latestFacts are the facts that the primary has, and whether they say what is wanted. That they
// can't be read is no failure: then they are written anew.
func (a *Activities) latestFacts(ctx context.Context, want facts.Facts, kept []catalog.Object) (latest catalog.Object, current bool, err error) {
	for _, o := range kept {
		if o.Store == a.Stores.Primary.Name() && o.State == catalog.ObjectStored && o.Index >= latest.Index {
			latest = o
		}
	}
	if latest.Key == "" {
		return latest, false, nil
	}
	plain, err := a.getSealed(ctx, latest)
	if is(err, video.Internal) {
		return latest, false, nil
	}
	if err != nil {
		return latest, false, err
	}
	current, err = want.SaysTheSame(plain)
	return latest, current, err
}

// putFacts puts the facts into the primary. Before, those that there are count no more: who dies
// in between leaves a video without facts, and not one with wrong ones.
func (a *Activities) putFacts(ctx context.Context, leg catalog.Leg, want facts.Facts, kept []catalog.Object) (catalog.Object, error) {
	if err := a.Catalog.BeginDrop(ctx, leg, idsOfObjects(kept)); err != nil {
		return catalog.Object{}, err
	}
	plain, err := want.Encode()
	if err != nil {
		return catalog.Object{}, err
	}
	o := catalog.Object{Key: manifest.NewKey(leg.Video, facts.Path(want.Generation), ""), Kind: catalog.KindFacts, Index: int(want.Generation)}
	if err := a.writer().PutSealed(ctx, leg, o, plain); err != nil {
		return o, err
	}
	return a.countingFacts(ctx, leg, want)
}

// countingFacts are the facts of that generation that count, now that they lie in the primary:
// another attempt at the same may have been faster. Captions, which no leg changes, may have
// been changed meanwhile.
func (a *Activities) countingFacts(ctx context.Context, leg catalog.Leg, want facts.Facts) (found catalog.Object, err error) {
	stored, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Store: a.Stores.Primary.Name(), Stored: true})
	if err != nil {
		return found, err
	}
	for _, s := range ofKind(stored, catalog.KindFacts) {
		if int64(s.Index) == want.Generation {
			found = s
		}
	}
	switch {
	case found.Key == "":
		return found, video.Errorf(video.Unavailable, "Later facts of the video are being written.")
	case !want.Lists(ofKind(stored, catalog.KindCaption)):
		err := a.Catalog.BeginDrop(ctx, leg, []int64{found.ID})
		return found, cmp.Or(err, error(video.Errorf(video.Unavailable, "The captions of the video were changed meanwhile.")))
	}
	return found, nil
}

// copyFacts copies facts of the primary to the backups that lack them.
func (a *Activities) copyFacts(ctx context.Context, leg catalog.Leg, latest catalog.Object, kept []catalog.Object) error {
	var copies errgroup.Group // without a common context: one that is down holds up no other
	for _, backup := range a.Stores.Backups {
		has := func(o catalog.Object) bool {
			return o.Key == latest.Key && o.Store == backup.Name() && o.State == catalog.ObjectStored
		}
		if !slices.ContainsFunc(kept, has) {
			copies.Go(func() error { return a.copyObject(ctx, leg, backup, latest) })
		}
	}
	return copies.Wait()
}

// dropFacts deletes facts that no longer count, from every store. What a store that is down keeps
// stays in the manifest as dropping, until the next facts or the purge.
func (a *Activities) dropFacts(ctx context.Context, leg catalog.Leg, old []catalog.Object) error {
	if err := a.Catalog.BeginDrop(ctx, leg, idsOfObjects(old)); err != nil {
		return err
	}
	for _, store := range a.Stores.All() {
		err := a.remove(ctx, leg, store, ofStore(old, store.Name()))
		if is(err, video.Unavailable) && video.PlaceOf(err) == store.Name() && ctx.Err() == nil {
			a.Log.Warn("a store is down and keeps older facts for now", "video", leg.Video, "store", store.Name(), "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// renewFacts writes the facts of those of these rows of which some store lacks them: they were
// published by a release without facts, or a store was down. Stores that are down are left
// to the next audit.
func (a *audit) renewFacts(ctx context.Context, rows []catalog.Audited) error {
	byID := map[video.ID]catalog.Audited{}
	var ids []video.ID
	for _, row := range rows {
		byID[row.ID] = row
		ids = append(ids, row.ID)
	}
	lacking, err := a.Catalog.WithoutFacts(ctx, ids, len(a.Stores.All()))
	if err != nil {
		return err
	}
	for _, id := range lacking {
		if a.factsWait {
			break
		}
		err := a.keepFactsOfRow(ctx, catalog.Leg{Video: id, Epoch: byID[id].Epoch, Ending: byID[id].Ending != ""})
		switch {
		case err == nil:
			a.Report.Facts++
		case is(err, video.Gone, video.NotFound, video.Conflict): // it has moved on
		case is(err, video.Unavailable) && video.PlaceOf(err) != "" && ctx.Err() == nil:
			a.factsWait = true
			a.Log.Warn("a store is down; facts are written with the next audit", "error", err)
		default:
			if err := a.failed(id, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func idsOfObjects(all []catalog.Object) []int64 {
	ids := make([]int64, len(all))
	for i, o := range all {
		ids[i] = o.ID
	}
	return ids
}
