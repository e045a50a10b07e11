package objectstest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

func (f *fixture) purge() objects.Removed {
	f.Helper()
	removed, err := f.Store.Purge(f.ctx, f.prefix, objects.Watch{})
	f.must(err)
	return removed
}

func (f *fixture) purgesEveryForm() {
	want := f.everyForm()
	var found []objects.Inventory
	var told objects.Removed
	removed, err := f.Store.Purge(f.ctx, f.prefix, objects.Watch{
		Found:   func(i objects.Inventory) error { found = append(found, i); return nil },
		Removed: func(r objects.Removed) { told = r },
	})
	f.must(err)
	f.wantInventory(f.prefix, objects.Inventory{})
	exact := objects.Removed{Objects: want.Objects, Versions: want.Versions, DeleteMarkers: want.DeleteMarkers, Multiparts: want.Multiparts}
	if removed != exact || told != exact {
		f.Errorf("removed %+v and told %+v, want %+v", removed, told, exact)
	}
	if len(found) < 2 || found[0] != want || !found[len(found)-1].Empty() {
		f.Errorf("listings in turn: %+v", found)
	}
	if again := f.purge(); again != (objects.Removed{}) {
		f.Errorf("a second purge removed %+v", again)
	}
}

func (f *fixture) purgesNothingBeside() {
	for _, prefix := range []string{"", "/", f.prefix[:len(f.prefix)-1], f.prefix + "a"} {
		_, err := f.Store.Purge(f.ctx, prefix, objects.Watch{})
		f.wantCode(err, video.Invalid)
	}
	want := f.everyForm()
	inner := &fixture{T: f.T, Subject: f.Subject, ctx: f.ctx, prefix: f.prefix + "in/ner/"}
	inner.everyForm()
	f.put("in/ner2", "") // begins like the prefix, but for its slash
	inner.purge()
	f.wantInventory(inner.prefix, objects.Inventory{})
	want.Objects++
	want.Versions++
	f.wantInventory(f.prefix, want)
	f.purge()
}

func (f *fixture) purgesALargeVideo() {
	keys := 1000
	if testing.Short() {
		keys = 120
	}
	want := fill(f, f.Subject, f.prefix, keys)
	f.wantInventory(f.prefix, want)
	removed := f.purge()
	if removed != (objects.Removed{Objects: want.Objects, Versions: want.Versions, DeleteMarkers: want.DeleteMarkers, Multiparts: 1}) {
		f.Errorf("removed %+v of %+v", removed, want)
	}
	f.wantInventory(f.prefix, objects.Inventory{})
}

// fill puts each of n keys twice, hides every second, and begins an upload: with
// versions that makes 2.5 n entries and the upload.
func fill(t testing.TB, s Subject, prefix string, n int) objects.Inventory {
	var group errgroup.Group
	group.SetLimit(4)
	for i := range n {
		group.Go(func() error {
			key := fmt.Sprintf("%shls/%d/%06d.ts", prefix, i%3, i)
			for range 2 {
				if _, err := s.Store.Put(t.Context(), key, make([]byte, 100), objects.PutOptions{}); err != nil {
					return err
				}
			}
			if i%2 == 0 {
				s.Hide(t, key)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.BeginMultipart(t, prefix+"source")
	if s.Versioned {
		return objects.Inventory{Objects: n / 2, Versions: 2 * n, DeleteMarkers: n / 2, Multiparts: 1, Bytes: 200 * int64(n)}
	}
	return objects.Inventory{Objects: n / 2, Versions: n / 2, Multiparts: 1, Bytes: 50 * int64(n)}
}

func (f *fixture) goesOnWithAPurge() {
	fill(f, f.Subject, f.prefix, 60)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	listings := 0
	removed, err := f.Store.Purge(ctx, f.prefix, objects.Watch{Found: func(objects.Inventory) error {
		if listings++; listings == 1 {
			f.put("late", "so that something is left after the first removals")
		} else {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) || removed.Objects == 0 {
		f.Fatalf("a purge whose context ended returned %v and had removed %+v", err, removed)
	}
	left := f.inventory(f.prefix)
	if left.Objects != 1 {
		f.Errorf("%+v were left", left)
	}
	if removed := f.purge(); removed.Versions != left.Versions || removed.DeleteMarkers != left.DeleteMarkers {
		f.Errorf("removed %+v of the %+v that were left", removed, left)
	}
	f.wantInventory(f.prefix, objects.Inventory{})
}

func (f *fixture) purgesWhatIsWrittenMeanwhile() {
	f.everyForm()
	late := false
	_, err := f.Store.Purge(f.ctx, f.prefix, objects.Watch{Found: func(objects.Inventory) error {
		if !late {
			late = true
			f.put("late", "after the listing")
			f.put("plain", "again")
			f.BeginMultipart(f, f.prefix+"late")
		}
		return nil
	}})
	f.must(err)
	f.wantInventory(f.prefix, objects.Inventory{})
}

func (f *fixture) purgesSideBySide() {
	fill(f, f.Subject, f.prefix, 60)
	var group errgroup.Group
	for range 3 {
		group.Go(func() error {
			_, err := f.Store.Purge(f.ctx, f.prefix, objects.Watch{})
			return err
		})
	}
	f.must(group.Wait())
	f.wantInventory(f.prefix, objects.Inventory{})
}
