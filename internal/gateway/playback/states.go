package playback

import (
	"context"
	"sync"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// states asks the catalog for the state of videos, once for all requests that wait at
// the same moment. An answer is from a question that was put after the request came:
// a deletion that was answered before is never missed.
type states struct {
	catalog Catalog
	mu      sync.Mutex
	latest  map[video.ID]*look
}

// look is one question to the catalog. Who comes before it is put waits for its answer;
// who comes later asks the next one, which is put when this one has been answered.
type look struct {
	put   bool          // under states.mu
	done  chan struct{} // closed once state or err is there
	state catalog.PlaybackState
	err   error
}

func newStates(c Catalog) *states { return &states{catalog: c, latest: map[video.ID]*look{}} }

// of fails as catalog.PlaybackState does.
func (s *states) of(ctx context.Context, id video.ID) (catalog.PlaybackState, error) {
	s.mu.Lock()
	last := s.latest[id]
	if last != nil && !last.put {
		s.mu.Unlock()
		select {
		case <-last.done:
			return last.state, last.err
		case <-ctx.Done():
			return catalog.PlaybackState{}, context.Cause(ctx)
		}
	}
	mine := &look{done: make(chan struct{})}
	s.latest[id] = mine
	s.mu.Unlock()
	if last != nil {
		<-last.done // bounded by loadTime
	}
	s.ask(ctx, id, mine)
	return mine.state, mine.err
}

// ask puts the question; others wait for the answer although the one who asks may leave.
func (s *states) ask(ctx context.Context, id video.ID, l *look) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
	defer done()
	s.mu.Lock()
	l.put = true
	s.mu.Unlock()
	l.state, l.err = s.catalog.PlaybackState(ctx, id)
	s.mu.Lock()
	if s.latest[id] == l {
		delete(s.latest, id)
	}
	s.mu.Unlock()
	close(l.done)
}
