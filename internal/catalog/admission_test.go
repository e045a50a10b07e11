package catalog_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func (b *bench) admit(t *testing.T, owner string, length int64, a catalog.Admission) (video.ID, error) {
	t.Helper()
	id := video.NewID()
	v := newVideo(id)
	v.Owner = owner
	return id, b.Admit(t.Context(), v, newUpload(id, length), a)
}

// end begins the end of a video, to be erased at a time.
func (b *bench) end(t *testing.T, id video.ID, purge time.Time) {
	t.Helper()
	row, err := b.ControlOf(t.Context(), id)
	must(t, err)
	row.Epoch, row.Ending = row.Epoch+1, video.ByDeletion
	_, err = b.Control(t.Context(), row, func(v *catalog.Video) { v.Stage, v.PurgeAt = video.PendingDeletion, purge })
	must(t, err)
}

func until(t *testing.T, err error, code video.Code) time.Time {
	t.Helper()
	refused(t, "too much", err, code)
	excess, ok := errors.AsType[*catalog.Excess](err)
	if !ok {
		t.Fatalf("no excess in %v", err)
	}
	return excess.Until
}

func TestUploadsUnderWayAreLimited(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		two := catalog.Admission{Allowance: catalog.Allowance{Uploads: 2}}
		first, err := b.admit(t, "ann", 1, two)
		must(t, err)
		_, err = b.admit(t, "ann", -1, two)
		must(t, err)
		must(t, b.HasRoom(t.Context(), "ben", 1, two.Allowance))
		_, err = b.admit(t, "ann", 1, two)
		if at := until(t, err, video.RateLimited); time.Until(at) < 50*time.Minute || time.Until(at) > time.Hour || !strings.Contains(err.Error(), "2 is the limit") {
			t.Errorf("%v until %v", err, at)
		}
		until(t, b.HasRoom(t.Context(), "ann", 1, two.Allowance), video.RateLimited)
		_, err = b.admit(t, "ben", 1, two)
		must(t, err)
		b.end(t, first, time.Time{})
		_, err = b.admit(t, "ann", 1, two)
		must(t, err)
	})
}

func TestBytesAreLimited(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		most := catalog.Admission{Allowance: catalog.Allowance{Bytes: 100, Unsized: 60}}
		first, err := b.admit(t, "ann", 40, most)
		must(t, err)
		_, err = b.admit(t, "ann", -1, most)
		must(t, err)
		must(t, b.HasRoom(t.Context(), "ann", 0, most.Allowance))
		_, err = b.admit(t, "ann", 1, most)
		if at := until(t, err, video.Forbidden); !at.IsZero() || !strings.Contains(err.Error(), "100 is the limit") {
			t.Errorf("%v until %v", err, at)
		}
		_, err = b.admit(t, "ben", 101, most)
		until(t, err, video.Forbidden)
		// What has ended counts as much as has come of it, until it is purged.
		purge := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		b.end(t, first, purge)
		_, err = b.admit(t, "ann", 40, most)
		must(t, err)
		_, err = b.admit(t, "ann", 1, most)
		if at := until(t, err, video.Forbidden); !at.Equal(purge) {
			t.Errorf("until %v, want %v", at, purge)
		}
	})
}

// What a person has deleted or canceled is not under way any more, although its workflow
// has not heard of it; only a draft may yet become all that was announced.
func TestWhatWasGivenUpIsNotUnderWay(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		one := catalog.Admission{Allowance: catalog.Allowance{Uploads: 1, Bytes: 100}}
		for what, give := range map[string]func(id video.ID) error{
			"a deletion": func(id video.ID) error { _, err := b.Hide(t.Context(), id); return err },
			"a cancel":   func(id video.ID) error { _, _, err := b.AskCancel(t.Context(), id, false); return err },
		} {
			id, err := b.admit(t, what, 100, one)
			must(t, err)
			until(t, b.HasRoom(t.Context(), what, 1, one.Allowance), video.RateLimited)
			must(t, give(id))
			if _, err := b.admit(t, what, 100, one); err != nil {
				t.Errorf("after %s: %v", what, err)
			}
		}
		id, err := b.admit(t, "draft", 90, one)
		must(t, err)
		_, _, err = b.AskCancel(t.Context(), id, true)
		must(t, err)
		must(t, b.HasRoom(t.Context(), "draft", 10, one.Allowance))
		until(t, b.HasRoom(t.Context(), "draft", 11, one.Allowance), video.Forbidden)
	})
}

func TestRivals(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ids := []video.ID{video.NewID(), video.NewID(), video.NewID()}
		_, err := b.OneOf(t.Context(), ids)
		refused(t, "none", err, video.NotFound)
		admit := func(i int) error {
			return b.Admit(t.Context(), newVideo(ids[i]), newUpload(ids[i], 1), catalog.Admission{Rivals: ids})
		}
		must(t, admit(1))
		for i := range ids {
			refused(t, "a rival", admit(i), video.Conflict)
		}
		v, err := b.OneOf(t.Context(), ids)
		if err != nil || v.ID != ids[1] {
			t.Errorf("%v %v", v.ID, err)
		}
		b.end(t, ids[1], time.Time{})
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: ids[1].Hash(), Reason: video.ByDeletion}))
		must(t, b.Forget(t.Context(), ids[1], video.Receipt{VideoSHA256: ids[1].Hash()}))
		_, err = b.OneOf(t.Context(), ids)
		refused(t, "an erased rival", err, video.Gone)
		refused(t, "in place of an erased rival", admit(2), video.Gone)
	})
}

func TestAtOnceNoMoreGetInThanMay(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		rivals := make([]video.ID, 12)
		for i := range rivals {
			rivals[i] = video.NewID()
		}
		five := catalog.Admission{Allowance: catalog.Allowance{Uploads: 5, Bytes: 1000, Unsized: 1}}
		var wait sync.WaitGroup
		var mu sync.Mutex
		admitted, born := 0, 0
		for _, id := range rivals {
			wait.Go(func() {
				_, err := b.admit(t, "ann", 1, five)
				other := newVideo(id)
				other.Owner = "ben"
				rival := b.Admit(t.Context(), other, newUpload(id, 1), catalog.Admission{Rivals: rivals})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					admitted++
				} else if video.CodeOf(err) != video.RateLimited {
					t.Error(err)
				}
				if rival == nil {
					born++
				} else if video.CodeOf(rival) != video.Conflict {
					t.Error(rival)
				}
			})
		}
		wait.Wait()
		if admitted != 5 || born != 1 {
			t.Errorf("%d admitted, %d born", admitted, born)
		}
	})
}
