package catalog_test

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func recordOf(id video.ID) catalog.Ledger {
	return catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByExpiry, TokenHash: []byte(id), HiddenAt: time.Unix(1, 0).UTC(), KeyDestroyedAt: time.Unix(2, 0).UTC()}
}

func recordsOf(ids ...video.ID) iter.Seq2[catalog.Ledger, error] {
	return func(yield func(catalog.Ledger, error) bool) {
		for _, id := range ids {
			if !yield(recordOf(id), nil) {
				return
			}
		}
	}
}

// applied applies the records and checks how many were lacking.
func (b *bench) applied(t *testing.T, lacking int, ids ...video.ID) {
	t.Helper()
	if n, err := b.ApplyLedger(t.Context(), recordsOf(ids...)); err != nil || n != lacking {
		t.Errorf("%d records were lacking, not %d: %v", n, lacking, err)
	}
}

// A backup brings back what was erased since, and knows nothing of what came and
// went since.
func TestLedgerOnARestoredCatalog(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		uploading, published, leaving := b.upload(t, 9), b.upload(t, 9), b.upload(t, 9)
		living, unknown := b.upload(t, 9), video.NewID()
		must(t, b.Enter(ctx, catalog.Leg{Video: published, Epoch: 3}, func(v *catalog.Video) { v.Stage = video.Published }))
		b.control(t, catalog.Control{Video: leaving, Epoch: 1, Ending: video.ByDeletion})
		must(t, b.Project(ctx, catalog.Leg{Video: leaving, Epoch: 1, Ending: true}, func(v *catalog.Video) { v.Stage = video.Purging }))
		lease := b.lease(t, uploading, "one", time.Minute)

		b.applied(t, 0)
		all := []video.ID{uploading, published, leaving, unknown}
		b.applied(t, 4, all...)
		b.applied(t, 0, all...)
		for _, id := range all {
			if l, known, err := b.Known(ctx, id.Hash()); !known || err != nil || l.Reason != video.ByExpiry || l.HiddenAt.Unix() != 1 {
				t.Errorf("%+v, %v, %v", l, known, err)
			}
		}
		for id, stage := range map[video.ID]video.Stage{uploading: video.Purged, published: video.Purged, leaving: video.Purging, living: video.Uploading} {
			if v := b.video(t, id); v.Stage != stage || (v.Ending == "") != (id == living) {
				t.Errorf("stage %s, ending %q", v.Stage, v.Ending)
			}
		}
		if b.video(t, leaving).Ending != video.ByDeletion {
			t.Error("another reason")
		}
		_, err := b.Video(ctx, unknown)
		refused(t, "one that the backup never knew", err, video.Gone)
		_, err = b.UploadByToken(ctx, []byte(unknown))
		refused(t, "its upload", err, video.Gone)
		refused(t, "more of an upload", b.DeclareLength(ctx, lease, 9), video.Gone)
		refused(t, "work on it", b.Enter(ctx, catalog.Leg{Video: published, Epoch: 4}, nil), video.Gone)
	})
}

// What a backup brought back is purged again, and nobody sees it meanwhile.
func TestPurgedStaysPurged(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id := b.upload(t, 9)
		b.applied(t, 1, id)
		row, err := b.Control(t.Context(), catalog.Control{Video: id, Epoch: 1, Ending: video.ByDeletion}, func(v *catalog.Video) { v.Stage = video.PendingDeletion })
		must(t, err)
		must(t, b.Project(t.Context(), catalog.Leg{Video: id, Epoch: 1, Ending: true}, func(v *catalog.Video) { v.Stage, v.Done = video.Purging, 1 }))
		if v := b.video(t, id); v.Stage != video.Purged || v.Done != 1 || row.Ending != video.ByExpiry {
			t.Errorf("%+v", v)
		}
		must(t, b.Forget(t.Context(), id, video.Receipt{VideoSHA256: id.Hash(), Reason: video.ByExpiry}))
		_, err = b.Video(t.Context(), id)
		refused(t, "the video", err, video.Gone)
	})
}

// A ledger that can't be read to its end is not applied by half.
func TestLedgerThatCantBeRead(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id, down := b.upload(t, 9), errors.New("down")
		_, err := b.ApplyLedger(t.Context(), func(yield func(catalog.Ledger, error) bool) {
			_ = yield(recordOf(id), nil) && yield(catalog.Ledger{}, down)
		})
		if !errors.Is(err, down) || b.video(t, id).Stage != video.Uploading {
			t.Errorf("%v, stage %s", err, b.video(t, id).Stage)
		}
	})
}

func TestUnstarted(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, soon := t.Context(), time.Now().Add(time.Minute)
		fresh, older, entered, paused, ending := b.upload(t, 1), b.upload(t, 1), b.upload(t, 1), b.upload(t, 1), b.upload(t, 1)
		must(t, b.Enter(ctx, catalog.Leg{Video: entered, Epoch: 1}, nil))
		b.control(t, catalog.Control{Video: paused, Epoch: 1, Paused: true})
		b.control(t, catalog.Control{Video: ending, Ending: video.ByCancellation})
		var found []video.ID
		for after := video.ID(""); ; {
			page, err := b.Unstarted(ctx, soon, after, 1)
			must(t, err)
			if len(page) == 0 {
				break
			}
			if after = page[0].ID; page[0].Owner != "owner" || page[0].CreatedAt.IsZero() {
				t.Errorf("not the whole row: %+v", page[0])
			}
			found = append(found, after)
		}
		if want := []video.ID{min(fresh, older), max(fresh, older)}; len(found) != 2 || found[0] != want[0] || found[1] != want[1] {
			t.Errorf("found %v, want %v", found, want)
		}
		if page, err := b.Unstarted(ctx, time.Now().Add(-time.Minute), "", 9); err != nil || len(page) != 0 {
			t.Errorf("too early: %v, %v", page, err)
		}
	})
}
