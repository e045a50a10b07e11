package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

const (
	pollEvery      = 250 * time.Millisecond
	heartbeatEvery = 15 * time.Second
)

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

// join returns a channel that is written to after each change, until leave.
func (f *followers) join(id video.ID) (changed chan struct{}, leave func()) {
	changed = make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[id]
	if t == nil {
		t = &topic{revision: -1, streams: map[chan struct{}]bool{}}
		f.topics[id] = t
	}
	t.streams[changed] = true
	return changed, func() { f.leave(id, changed) }
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

// stream sends the video at each change, for as long as its viewer may see it.
func (g *Gateway) stream(w http.ResponseWriter, r *http.Request, first loaded) {
	changed, leave := g.followers.join(first.row.ID)
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		return
	}
	out := http.NewResponseController(w)
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	_, err := fmt.Fprint(w, "retry: 2000\n\n")
	var last []byte
	for over := false; err == nil && !over; {
		// Whatever the server's deadlines: a stream lasts for hours, but one whose viewer reads nothing is cut off.
		_ = out.SetWriteDeadline(time.Now().Add(2 * heartbeatEvery))
		last, over, err = g.sendEvent(w, r, string(first.row.ID), last)
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
		if over || err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-g.followers.closed:
			return
		case <-heartbeat.C:
			_, err = fmt.Fprint(w, ": still here\n\n")
		case <-changed:
		}
	}
}

// sendEvent writes the video if it looks different from the last time, or its end.
func (g *Gateway) sendEvent(w http.ResponseWriter, r *http.Request, id string, last []byte) (now []byte, over bool, err error) {
	s, err := g.load(r.Context(), id)
	if err != nil {
		if code := video.CodeOf(err); code == video.Gone || code == video.NotFound {
			_, err = fmt.Fprintf(w, "event: gone\ndata: {\"id\":%q,\"code\":%q}\n\n", id, code)
			return last, true, err
		}
		if video.CodeOf(err) == video.Unauthenticated {
			return last, true, nil // the viewer's token has expired: with another they may come back
		}
		return last, false, r.Context().Err() // what is down comes back; the viewer stays
	}
	v, err := g.render(r.Context(), s)
	if err != nil {
		return last, false, r.Context().Err()
	}
	now, err = json.Marshal(v)
	if err != nil || bytes.Equal(now, last) {
		return last, false, err
	}
	_, err = fmt.Fprintf(w, "event: video\nid: %d\ndata: %s\n\n", s.row.Revision, now)
	return now, false, err
}
