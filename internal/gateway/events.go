package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

const pollEvery = 250 * time.Millisecond

// followers are the streams of events of this gateway, by video. One query asks
// the catalog for all videos that somebody follows, however many they are.
type followers struct {
	mu     sync.Mutex
	topics map[video.ID]*topic
	closed chan struct{} // when the gateway stops
}

type topic struct {
	revision int64
	streams  map[chan struct{}]bool // each is told, at most once ahead, that something changed
}

func newFollowers() *followers {
	return &followers{topics: map[video.ID]*topic{}, closed: make(chan struct{})}
}

// join writes to a channel with room for one after each change of a video, until leave.
func (f *followers) join(id video.ID, changed chan struct{}) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[id]
	if t == nil {
		t = &topic{revision: -1, streams: map[chan struct{}]bool{}}
		f.topics[id] = t
	}
	t.streams[changed] = true
	return func() { f.leave(id, changed) }
}

func (f *followers) leave(id video.ID, changed chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[id]
	delete(t.streams, changed)
	if len(t.streams) == 0 {
		delete(f.topics, id)
	}
}

func (f *followers) followed() []video.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]video.ID, 0, len(f.topics))
	for id := range f.topics {
		ids = append(ids, id)
	}
	return ids
}

// at notes the revision that the catalog has, and wakes the streams if it is another.
func (f *followers) at(id video.ID, revision int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[id]
	if t == nil || t.revision == revision {
		return
	}
	t.revision = revision
	for changed := range t.streams {
		select {
		case changed <- struct{}{}:
		default: // it has yet to look anyway
		}
	}
}

// follow polls until ctx ends, then ends the streams.
func (g *Gateway) follow(ctx context.Context) {
	defer close(g.followers.closed)
	for tick := time.NewTicker(pollEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			g.poll(ctx)
		}
	}
}

// gone is the revision of a video that the catalog no longer has.
const gone = -2

func (g *Gateway) poll(ctx context.Context) {
	ids := g.followers.followed()
	revisions, err := g.catalog.Revisions(ctx, ids)
	if err != nil {
		return // the catalog is down: the next poll finds what was missed
	}
	for _, id := range ids {
		revision, there := revisions[id]
		if !there {
			revision = gone
		}
		g.followers.at(id, revision)
	}
}
