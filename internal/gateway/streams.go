package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

const (
	heartbeatEvery = 15 * time.Second

	streamVideos     = 50 // in one stream
	streamsAPerson   = 10
	streamsAnAddress = 20 // of people who are not signed in
	streamsFreeAfter = 10 * time.Second
)

// openStreams counts the streams of events under way at this gateway. A stream costs a
// connection and some queries a minute for as long as its viewer likes.
type openStreams struct {
	mu sync.Mutex
	of map[string]int
}

// take counts one more for whoever sent the request, until done is called. It fails
// with RateLimited when they have as many as they may.
func (o *openStreams) take(ctx context.Context) (done func(), err error) {
	who, err := people.Caller(ctx)
	if err != nil {
		return nil, err
	}
	key, most := "person "+who.Name, streamsAPerson
	if who.Anonymous() {
		key, most = "address "+origin.From(ctx).Address, streamsAnAddress
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[key] >= most {
		return nil, problem.Limited(fmt.Sprintf("You follow videos by %d streams already; close one of them first.", most), streamsFreeAfter)
	}
	if o.of == nil {
		o.of = map[string]int{}
	}
	o.of[key]++
	return sync.OnceFunc(func() { o.give(key) }), nil
}

func (o *openStreams) give(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of[key]--; o.of[key] == 0 {
		delete(o.of, key)
	}
}

func (g *Gateway) registerStreams() {
	one := g.streamOperation("/v1/videos/{id}/events", "follow-video", "Server-sent events: `video` with the video at each change, last `gone`")
	huma.Register(g.api, one, func(ctx context.Context, in *ByID) (*huma.StreamResponse, error) {
		return g.startStream(ctx, []string{in.ID}, func() error {
			_, err := g.load(ctx, in.ID)
			return err
		})
	})
	type several struct {
		IDs []string `query:"id,explode" minItems:"1" maxItems:"50" doc:"Of the videos: id=…&id=…"`
	}
	many := g.streamOperation("/v1/events", "follow-videos", "Server-sent events of several videos: `video` with a video at each change, `gone` with the id of one that can't be seen (any more)")
	huma.Register(g.api, many, func(ctx context.Context, in *several) (*huma.StreamResponse, error) {
		if len(in.IDs) == 0 || len(in.IDs) > streamVideos {
			return nil, g.errors.Problem(ctx, video.Errorf(video.Invalid, "Name 1 to %d videos: /v1/events?id=…&id=…", streamVideos))
		}
		return g.startStream(ctx, in.IDs, func() error { return nil })
	})
}

func (g *Gateway) streamOperation(path, id, summary string) huma.Operation {
	op := g.operation(http.MethodGet, path, id, summary, http.StatusOK)
	op.Responses["200"] = &huma.Response{Description: "A stream of events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	return op
}

// startStream answers with a stream of these videos, unless its viewer has too many, which
// is known before anything is read, or may fails.
func (g *Gateway) startStream(ctx context.Context, ids []string, may func() error) (*huma.StreamResponse, error) {
	done, err := g.streams.take(ctx)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	if err := may(); err != nil {
		done()
		return nil, g.errors.Problem(ctx, err)
	}
	context.AfterFunc(ctx, done) // also where no body is written
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer done()
		r, w := humago.Unwrap(ctx)
		s := stream{gateway: g, w: w, r: r, last: map[string][]byte{}}
		s.run(ids)
	}}, nil
}

// stream sends videos at each change, for as long as its viewer may see them.
type stream struct {
	gateway *Gateway
	w       http.ResponseWriter
	r       *http.Request
	last    map[string][]byte // what was sent of each video that is still followed
}

// errStreamOver ends a stream whose viewer has to show anew who they are.
var errStreamOver = errors.New("the viewer's token has expired")

func (s *stream) run(ids []string) {
	changed := make(chan struct{}, 1)
	for _, id := range ids {
		if _, twice := s.last[id]; !twice {
			s.last[id] = nil
			defer s.gateway.followers.join(video.ID(id), changed)()
		}
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if s.r.Method == http.MethodHead {
		return
	}
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	_, err := fmt.Fprint(s.w, "retry: 2000\n\n")
	for err == nil {
		if err = s.sendAll(); err != nil || len(s.last) == 0 {
			return
		}
		select {
		case <-s.r.Context().Done():
			return
		case <-s.gateway.followers.closed:
			return
		case <-heartbeat.C:
			_, err = fmt.Fprint(s.w, ": still here\n\n")
		case <-changed:
		}
	}
}

// sendAll writes what looks different from the last time. A stream lasts for hours, but
// one whose viewer reads nothing is cut off.
func (s *stream) sendAll() error {
	out := http.NewResponseController(s.w)
	_ = out.SetWriteDeadline(time.Now().Add(2 * heartbeatEvery)) // where there is none the server's stay
	for id := range s.last {
		if err := s.send(id); err != nil {
			return err
		}
	}
	return out.Flush()
}

// send writes a video if it looks different from the last time, or its end.
func (s *stream) send(id string) error {
	v, err := s.gateway.load(s.r.Context(), id)
	if err != nil {
		return s.sendEnd(id, err)
	}
	rendered, err := s.gateway.render(s.r.Context(), v)
	if err != nil {
		return s.r.Context().Err() // what is down comes back; the viewer stays
	}
	now, err := json.Marshal(rendered)
	if err != nil || bytes.Equal(now, s.last[id]) {
		return err
	}
	s.last[id] = now
	_, err = fmt.Fprintf(s.w, "event: video\nid: %d\ndata: %s\n\n", v.row.Revision, now)
	return err
}

func (s *stream) sendEnd(id string, why error) error {
	switch code := video.CodeOf(why); code {
	case video.Gone, video.NotFound:
		delete(s.last, id)
		said, err := json.Marshal(map[string]string{"id": id, "code": string(code)})
		if err == nil {
			_, err = fmt.Fprintf(s.w, "event: gone\ndata: %s\n\n", said)
		}
		return err
	case video.Unauthenticated:
		return errStreamOver // with another token they may come back
	}
	return s.r.Context().Err() // what is down comes back; the viewer stays
}
