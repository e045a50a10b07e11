package creation

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/video"
)

// hasKey checks whether a video has a key, and that nothing about it is open any more.
func (s *rig) hasKey(id video.ID, want bool) {
	s.t.Helper()
	loan, err := s.vault.Lend(s.t.Context(), id)
	if err == nil {
		loan.Release()
	}
	if (err == nil) != want || err != nil && video.CodeOf(err) != video.NotFound {
		s.t.Errorf("a key: %v, want %v", err, want)
	}
	for other, err := range s.vault.Tentative(s.t.Context()) {
		if other == id || err != nil {
			s.t.Errorf("still tentative: %v", err)
		}
	}
}

// opens checks that what was said about a video can be read.
func (s *rig) opens(id video.ID, title string) {
	s.t.Helper()
	row, err := s.catalog.Video(s.t.Context(), id)
	if err != nil {
		s.t.Error(err)
		return
	}
	if a, err := about.Open(s.t.Context(), s.vault, row.ID, row.Sealed); err != nil || a.Title != title {
		s.t.Errorf("%q, want %q: %v", a.Title, title, err)
	}
}

func TestRefusedCreationLeavesNoKey(t *testing.T) {
	s := newRig(t, catalog.Allowance{Uploads: 1})
	first, full, rival := video.NewID(), video.NewID(), video.NewID()
	if err := s.record(t.Context(), []video.ID{first}, s.draft("Waves")); err != nil {
		t.Fatal(err)
	}
	for id, try := range map[video.ID]struct {
		ids  []video.ID
		code video.Code
	}{
		full:  {[]video.ID{full}, video.RateLimited},
		rival: {[]video.ID{rival, first}, video.Conflict},
		first: {[]video.ID{first}, video.Conflict},
	} {
		if err := s.record(t.Context(), try.ids, s.draft("Wind")); video.CodeOf(err) != try.code {
			t.Errorf("%v", err)
		}
		s.hasKey(id, id == first)
	}
	s.opens(first, "Waves")
}

// Of many requests at once, however they race, those that make a video have its
// key, and the others leave none.
func TestRacingCreations(t *testing.T) {
	s := newRig(t, catalog.Allowance{Uploads: 4})
	ids := make([]video.ID, 8)
	for i := range ids {
		ids[i] = video.NewID()
	}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() { _, _ = s.begin(t.Context(), []video.ID{ids[i%len(ids)]}, s.draft("Waves")) })
	}
	all.Wait()
	made := 0
	for _, id := range ids {
		_, err := s.catalog.Video(t.Context(), id)
		s.hasKey(id, err == nil)
		if err == nil {
			s.opens(id, "Waves")
			made++
		}
	}
	if made != 4 {
		t.Errorf("%d were made", made)
	}
}

// A gateway dies between the key and the rows, or just after them.
func TestKeysThatACrashLeaves(t *testing.T) {
	s := newRig(t, catalog.Allowance{})
	ctx, none, rows := t.Context(), video.NewID(), video.NewID()
	for _, id := range []video.ID{none, rows} {
		if err := s.vault.Make(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.admit(ctx, []video.ID{rows}, s.draft("Waves")); err != nil {
		t.Fatal(err)
	}
	var seen map[video.ID]bool
	for range 2 {
		var err error
		if seen, err = s.settleKeys(ctx, seen); err != nil {
			t.Fatal(err)
		}
	}
	s.hasKey(none, false)
	s.hasKey(rows, true)
	s.opens(rows, "Waves")
}

// However hard somebody looks for keys to take back, none of a video goes.
func TestNoKeyOfAVideoIsTakenBack(t *testing.T) {
	s := newRig(t, catalog.Allowance{})
	ctx, stop := context.WithCancel(t.Context())
	var looking, making sync.WaitGroup
	looking.Go(func() {
		for ctx.Err() == nil {
			for id := range s.vault.Tentative(ctx) {
				s.settleKey(ctx, id)
			}
			time.Sleep(30 * time.Millisecond) // or nobody else would get a turn
		}
	})
	ids := make([]video.ID, 40)
	for i := range ids {
		ids[i] = video.NewID()
		making.Go(func() {
			if _, err := s.begin(t.Context(), []video.ID{ids[i]}, s.draft(fmt.Sprint("Waves ", i))); err != nil {
				t.Error(err)
			}
		})
	}
	making.Wait()
	stop()
	looking.Wait()
	for i, id := range ids {
		s.hasKey(id, true)
		s.opens(id, fmt.Sprint("Waves ", i))
	}
}
