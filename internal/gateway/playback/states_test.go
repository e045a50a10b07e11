package playback

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// slowCatalog answers when it is told to, with the revision that was the latest when it
// was asked.
type slowCatalog struct {
	Catalog
	revision, asked atomic.Int64
	answer          chan struct{}
}

func (c *slowCatalog) PlaybackState(context.Context, video.ID) (catalog.PlaybackState, error) {
	c.asked.Add(1)
	revision := c.revision.Load()
	<-c.answer
	return catalog.PlaybackState{Revision: revision}, nil
}

// Many share a question, and nobody an answer that is older than their request.
func TestQuestionsAreSharedButNeverOlderThanTheRequest(t *testing.T) {
	t.Parallel()
	c := &slowCatalog{answer: make(chan struct{})}
	s, id := newStates(c), video.NewID()
	var wait sync.WaitGroup
	ask := func(atLeast int64) {
		wait.Go(func() {
			got, err := s.of(t.Context(), id)
			if err != nil || got.Revision < atLeast {
				t.Errorf("revision %d, asked for after %d (%v)", got.Revision, atLeast, err)
			}
		})
	}
	ask(0)
	until(t, "the first question", func() bool { return c.asked.Load() == 1 })
	c.revision.Store(1) // a deletion, say
	for range 50 {
		ask(1)
	}
	close(c.answer)
	wait.Wait()
	if n := len(s.latest); n != 0 {
		t.Errorf("%d questions are remembered", n)
	}
	var crowd sync.WaitGroup
	c.asked.Store(0)
	for range 8 {
		crowd.Go(func() {
			for range 500 {
				want := c.revision.Add(1)
				if got, err := s.of(t.Context(), id); err != nil || got.Revision < want {
					t.Errorf("revision %d, asked for after %d (%v)", got.Revision, want, err)
				}
			}
		})
	}
	crowd.Wait()
	if n := c.asked.Load(); n > 4000 {
		t.Errorf("%d questions for 4000 requests", n)
	}
}
