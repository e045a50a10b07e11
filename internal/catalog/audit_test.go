package catalog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func TestAuditedSeesEveryRow(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ids := map[video.ID]bool{}
		for range 7 {
			ids[b.upload(t, 10)] = true
		}
		hidden := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		var one video.ID
		for one = range ids {
			break
		}
		b.control(t, catalog.Control{Video: one, Epoch: 4, Ending: video.ByDeletion})
		b.set(t, one, "hidden_at", hidden)
		// A row that nothing can decode doesn't hide its page.
		_, err := b.raw(t).Exec("UPDATE videos SET warnings = 'not JSON', decisions = '{' WHERE id = '" + string(one) + "'")
		must(t, err)

		seen := map[video.ID]catalog.Audited{}
		for after := video.ID(""); ; {
			page, err := b.Audited(t.Context(), after, 3)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, row := range page {
				if row.ID <= after {
					t.Errorf("%s comes after %s", row.ID, after)
				}
				after, seen[row.ID] = row.ID, row
			}
		}
		if len(seen) != len(ids) {
			t.Fatalf("%d of %d rows", len(seen), len(ids))
		}
		if r := seen[one]; r.Epoch != 4 || r.Ending != video.ByDeletion || r.Stage != video.Uploading || !r.HiddenAt.Equal(hidden) || r.CreatedAt.IsZero() {
			t.Errorf("read as %+v", r)
		}
		found, err := b.AuditedOf(t.Context(), []video.ID{one, video.NewID()})
		must(t, err)
		if len(found) != 1 || found[one] != seen[one] {
			t.Errorf("found %+v", found)
		}
	})
}

// set changes a column behind the catalog's back.
func (b *bench) set(t *testing.T, id video.ID, column string, to time.Time) {
	t.Helper()
	_, err := b.raw(t).Exec(fmt.Sprintf("UPDATE videos SET %s = '%s' WHERE id = '%s'", column, to.UTC().Format("2006-01-02 15:04:05.999999"), id))
	must(t, err)
}

func TestErasedKnowsTheLedger(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		erased, living, unknown := video.NewID(), b.upload(t, 1), video.NewID()
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: erased.Hash(), Reason: video.ByDeletion}))
		got, err := b.Erased(t.Context(), []video.ID{erased, living, unknown})
		must(t, err)
		if len(got) != 1 || !got[erased] {
			t.Errorf("erased: %v", got)
		}
	})
}

func TestMarks(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		marked, beside, working := b.upload(t, 1), b.upload(t, 1), b.upload(t, 1)
		before := b.video(t, marked).Revision
		must(t, b.MarkStray(ctx, marked))
		must(t, b.MarkOverdue(ctx, []video.ID{marked}))
		must(t, b.MarkTrouble(ctx, []video.ID{marked, beside}))
		v := b.video(t, marked)
		if !v.Stray || !v.Overdue || !v.Trouble || v.Revision != before+3 {
			t.Errorf("marked: %+v", v)
		}
		must(t, b.MarkTrouble(ctx, []video.ID{marked}))
		if again := b.video(t, marked); again.Revision != v.Revision {
			t.Error("marking what is marked wakes those who follow the video")
		}
		_, err := b.Control(ctx, catalog.Control{Video: working, Epoch: 1}, func(v *catalog.Video) { v.Trouble, v.WaitingFor = true, "a store" })
		must(t, err)
		must(t, b.ClearTrouble(ctx, []video.ID{marked}))
		for id, want := range map[video.ID]bool{marked: true, beside: false, working: true} {
			if v := b.video(t, id); v.Trouble != want {
				t.Errorf("after clearing: %+v", v)
			}
		}
	})
}

func TestAuditProgressIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		p, err := b.AuditProgress(t.Context(), "rows")
		must(t, err)
		if p.Name != "rows" || p.Place != "" || !p.Through.IsZero() {
			t.Errorf("before the first: %+v", p)
		}
		through := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
		for _, place := range []string{"a", "b"} {
			must(t, b.SaveAuditProgress(t.Context(), catalog.AuditProgress{Name: "rows", Place: place, Through: through}))
		}
		p, err = b.AuditProgress(t.Context(), "rows")
		must(t, err)
		if p.Place != "b" || !p.Through.Equal(through) || p.UpdatedAt.IsZero() {
			t.Errorf("kept as %+v", p)
		}
	})
}

func TestBrake(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		now := time.Now()
		may := func(ago time.Duration, seen, begun int64, want bool) {
			t.Helper()
			got, err := b.MayBegin(t.Context(), catalog.AuditRun{At: now.Add(-ago), Seen: seen, Begun: begun})
			must(t, err)
			if got != want {
				t.Errorf("%d of %d, %v ago: %v", begun, seen, ago, got)
			}
		}
		may(time.Hour, 100_000, 11, false) // there are no more rows than there are, whatever was seen
		may(25*time.Hour, 100, 10, true)   // not of this day
		may(3*time.Hour, 100, 4, true)     // the first
		may(3*time.Hour, 100, 4, true)     // the same audit, which died
		may(3*time.Hour, 100, 2, true)     // again, with fewer left
		may(2*time.Hour, 100, 7, false)    // eleven together
		may(2*time.Hour, 100, 6, true)     // what was refused wasn't counted
		may(time.Hour, 100, 1, false)      // ten were begun
		may(time.Minute, 0, 0, true)       // an audit that finds nothing amiss
		b.adopt(t, "vault", now)           // another place
		may(time.Minute, 100, 1, false)    //
		b.adopt(t, "temporal", now.Add(-time.Hour))
		may(time.Second, 100, 5000, true)
	})
}

// A day after an adoption what was begun in it isn't counted.
func TestBrakeAfterAnAdoption(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		now := time.Now()
		b.adopt(t, "temporal", now.Add(-25*time.Hour))
		may, err := b.MayBegin(t.Context(), catalog.AuditRun{At: now.Add(-2 * time.Hour), Begun: 10}) // within that day
		must(t, err)
		if !may {
			t.Fatal("ten may be begun")
		}
		for begun, want := range map[int64]bool{10: true, 11: false} {
			if may, err = b.MayBegin(t.Context(), catalog.AuditRun{At: now, Begun: begun}); err != nil || may != want {
				t.Errorf("%d: %v %v", begun, may, err)
			}
		}
	})
}

func (b *bench) adopt(t *testing.T, place string, at time.Time) {
	t.Helper()
	_, err := b.raw(t).Exec(fmt.Sprintf("INSERT INTO adoptions (place, adopted_at, replaced) VALUES ('%s', '%s', '')",
		place, at.UTC().Format("2006-01-02 15:04:05.999999")))
	must(t, err)
}

// A large catalog may lose one in a hundred of the rows that were seen.
func TestBrakeOfALargeCatalog(t *testing.T) {
	t.Parallel()
	b := &bench{url: databases["sqlite"](t)}
	b.Catalog = open(t, b.url)
	_, err := b.raw(t).Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
		INSERT INTO videos (id, owner, visibility, allow_download, keep_draft, review, stage, paused, ending, held, created_at, waiting_for, overdue, unit, done, total, revision)
		SELECT 'id' || i, '', '', FALSE, FALSE, FALSE, 'published', FALSE, '', FALSE, '2026-01-01 00:00:00', '', FALSE, '', 0, 0, 1 FROM n`)
	must(t, err)
	for _, row := range []struct {
		seen, begun int64
		want        bool
	}{{1000, 11, false}, {2000, 20, true}, {3000, 31, false}, {9000, 31, false}, {9000, 30, true}} {
		may, err := b.MayBegin(t.Context(), catalog.AuditRun{At: time.Now().Add(-25 * time.Hour), Seen: row.seen, Begun: row.begun})
		must(t, err)
		if may != row.want {
			t.Errorf("%d of %d: %v", row.begun, row.seen, may)
		}
	}
}
