package catalog_test

import (
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Of many programs that found at the same time, one makes the id of all.
func TestFoundInstallationAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		row, err := b.Installation(t.Context())
		must(t, err)
		if row.ID != "" {
			t.Errorf("a new catalog belongs to %q", row.ID)
		}
		var all sync.WaitGroup
		told := make([]string, 8)
		for i := range told {
			c := open(t, b.url)
			all.Go(func() {
				row, err := c.FoundInstallation(t.Context(), string(video.NewID()))
				if err != nil {
					t.Error(err)
				}
				told[i] = row.ID
			})
		}
		all.Wait()
		row, err = b.Installation(t.Context())
		must(t, err)
		for _, id := range told {
			if id != row.ID || id == "" {
				t.Errorf("told %q; the catalog belongs to %q", id, row.ID)
			}
		}
		if !row.FoundedAt.IsZero() || time.Since(row.MadeAt) > time.Minute {
			t.Errorf("%+v", row)
		}
	})
}

// The founding ends with the last place, once, whoever records it and when.
func TestRecordFounding(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, places := t.Context(), []string{"vault", "temporal", "primary", "backup"}
		id := string(video.NewID())
		founded, err := b.RecordFounding(ctx, id, "vault", places)
		if err != nil || founded {
			t.Errorf("without an installation: %v, %v", founded, err)
		}
		_, err = b.FoundInstallation(ctx, id)
		must(t, err)
		founded, err = b.RecordFounding(ctx, "another", "vault", []string{"vault"})
		if err != nil || founded {
			t.Errorf("of another installation: %v, %v", founded, err)
		}
		for range 2 {
			founded, err = b.RecordFounding(ctx, id, "backup", places)
			if err != nil || founded {
				t.Errorf("the first of four: %v, %v", founded, err)
			}
		}
		var all sync.WaitGroup
		for _, place := range places[:3] {
			c := open(t, b.url)
			for range 2 {
				all.Go(func() {
					if _, err := c.RecordFounding(ctx, id, place, places); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		row, err := b.Installation(ctx)
		must(t, err)
		if row.FoundedAt.IsZero() {
			t.Error("all places are on record, and it is not founded")
		}
		founded, err = b.RecordFounding(ctx, id, "later", append(places, "later"))
		if err != nil || !founded {
			t.Errorf("after it was founded: %v, %v", founded, err)
		}
		given, err := b.Adoptions(ctx)
		must(t, err)
		if len(given) != len(places) {
			t.Errorf("on record are %+v", given)
		}
	})
}

func TestReplaceInstallation(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, one, two := t.Context(), string(video.NewID()), string(video.NewID())
		must(t, b.ReplaceInstallation(ctx, "catalog", one, false))
		row, err := b.Installation(ctx)
		must(t, err)
		if row.ID != one || !row.FoundedAt.IsZero() {
			t.Errorf("%+v", row)
		}
		for range 2 { // again is a success, and recorded once
			must(t, b.ReplaceInstallation(ctx, "catalog", two, true))
		}
		row, err = b.Installation(ctx)
		must(t, err)
		if row.ID != two || row.FoundedAt.IsZero() {
			t.Errorf("%+v", row)
		}
		must(t, b.RecordAdoption(ctx, "vault", one))
		given, err := b.Adoptions(ctx)
		must(t, err)
		want := []catalog.Adoption{{Place: "catalog"}, {Place: "catalog", Replaced: one}, {Place: "vault", Replaced: one}}
		if len(given) != len(want) {
			t.Fatalf("on record are %+v", given)
		}
		for i, a := range given {
			if a.Place != want[i].Place || a.Replaced != want[i].Replaced || time.Since(a.AdoptedAt) > time.Minute {
				t.Errorf("on record is %+v, want %+v", a, want[i])
			}
		}
	})
}

func TestUnused(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		is := func(what string, want bool) {
			t.Helper()
			got, err := b.Unused(t.Context())
			must(t, err)
			if got != want {
				t.Errorf("%s: unused is %v", what, got)
			}
		}
		_, err := b.FoundInstallation(t.Context(), string(video.NewID()))
		must(t, err)
		is("a new catalog", true)
		id := b.upload(t, 1)
		is("with a video", false)
		_, err = b.raw(t).Exec("DELETE FROM videos WHERE id = '" + string(id) + "'")
		must(t, err)
		is("without it", true)
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: time.Now()}))
		is("with the record of an erasure", false)
	})
}
