package creation

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// rig is a Creator on a real catalog and vault.
type rig struct {
	*Creator
	t *testing.T
}

// noLives are out of reach: the rows are what counts.
type noLives struct{}

func (noLives) Start(context.Context, video.LifecycleInput) error {
	return video.Errorf(video.Unavailable, "Temporal is out of reach.")
}

var owner = people.Person{Name: "owner"}

func newRig(t *testing.T, a catalog.Allowance) *rig {
	t.Helper()
	t.Parallel()
	rows, err := catalog.Open(t.Context(), catalogtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	keys, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	settings := Settings{MaxBytes: 1 << 20, Policy: video.Policy{UploadIdle: time.Hour}, Allowance: a, Primary: "primary"}
	c, err := New(settings, rows, keys, noLives{}, bytes.Repeat([]byte{7}, 32), func(name string) string { return "id of " + name }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &rig{c, t}
}

func (s *rig) draft(title string) draft {
	s.t.Helper()
	d, err := s.draftOf(NewVideo{Title: title}, owner)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func TestKeysAreKeptForADay(t *testing.T) {
	s := newRig(t, catalog.Allowance{})
	now := time.Now()
	ids := s.repeatableIDs(owner, "k", now)
	reach := func(later time.Duration) bool {
		return slices.Contains(s.repeatableIDs(owner, "k", now.Add(later)), ids[0])
	}
	for later := time.Duration(0); later <= keyKept; later += 7 * time.Minute {
		if !reach(later) {
			t.Errorf("forgotten after %v", later)
		}
	}
	if !reach(keyKept) || reach(keyKept+keyHour) {
		t.Error("a day, and an hour at most")
	}
	if !reach(-keyHour/2) && !reach(-time.Minute) {
		t.Error("a gateway whose clock is behind does not find it")
	}
	if slices.Contains(s.repeatableIDs(people.Person{Name: "other"}, "k", now), ids[0]) {
		t.Error("two people share a key")
	}
}

// Requests on both sides of the hour, and of clocks that differ, make one video;
// one of more than a day later makes another.
func TestAKeyAcrossTheHours(t *testing.T) {
	s := newRig(t, catalog.Allowance{})
	hour := time.Now().Truncate(time.Hour)
	sent := func(at time.Time) (video.ID, error) {
		d, err := s.draftOf(NewVideo{}, owner)
		if err != nil {
			return "", err
		}
		row, err := s.begin(t.Context(), s.repeatableIDs(owner, "k", at), d)
		return row.ID, err
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	ids := map[video.ID]bool{}
	for i := range 12 {
		wait.Go(func() {
			id, err := sent(hour.Add(time.Duration(i%2) * -time.Millisecond))
			mu.Lock()
			defer mu.Unlock()
			if ids[id] = true; err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(ids) != 1 {
		t.Fatalf("%d videos of one request", len(ids))
	}
	if id, err := sent(hour.Add(keyKept - time.Millisecond)); err != nil || !ids[id] {
		t.Errorf("a day later: %v %v", id, err)
	}
	if id, err := sent(hour.Add(keyKept + keyHour)); err != nil || ids[id] {
		t.Errorf("after that: %v %v", id, err)
	}
	for id := range ids {
		s.erase(id)
	}
	if _, err := sent(hour.Add(keyKept - time.Millisecond)); video.CodeOf(err) != video.Gone {
		t.Errorf("of a video that was erased: %v", err)
	}
}

// erase does what a purge does, but for the stores.
func (s *rig) erase(id video.ID) {
	s.t.Helper()
	ctx := s.t.Context()
	now, err := s.catalog.ControlOf(ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	now.Epoch, now.Ending = now.Epoch+1, video.ByDeletion
	if _, err := s.catalog.Control(ctx, now, func(v *catalog.Video) { v.Stage = video.Purging }); err != nil {
		s.t.Fatal(err)
	}
	record, err := s.vault.Destroy(ctx, vault.Intent{ID: id, Reason: string(video.ByDeletion)})
	if err == nil {
		err = s.catalog.RecordLedger(ctx, catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt})
	}
	if err == nil {
		err = s.catalog.Forget(ctx, id, video.Receipt{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Whatever is said of a video is refused, or comes back as it was said.
func FuzzNewVideo(f *testing.F) {
	for _, seed := range []string{"", "Waves", "\xff", "a\x00b", "#tag", strings.Repeat("é", 9000)} {
		f.Add(seed, seed)
	}
	c := Creator{settings: Settings{MaxBytes: 1 << 20}, ownerID: func(name string) string { return name }}
	f.Fuzz(func(t *testing.T, text, tag string) {
		d, err := c.draftOf(NewVideo{Title: text, Caption: text, Hashtags: []string{tag}, Reviewers: []string{tag}}, owner)
		if err != nil {
			if video.CodeOf(err) != video.Invalid {
				t.Fatal(err)
			}
			return
		}
		var again about.Video
		if sealed, err := json.Marshal(d.about); err != nil || json.Unmarshal(sealed, &again) != nil || again.Title != text || !utf8.ValidString(text) {
			t.Errorf("%q comes back as %q (%v)", text, again.Title, err)
		}
	})
}
