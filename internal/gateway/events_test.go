package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

type event struct{ name, data string }

// listen follows a video; the channel is closed with the stream.
func (s *site) listen(as string, id video.ID) <-chan event {
	s.t.Helper()
	return s.follow(s.t.Context(), as, "/v1/videos/"+string(id)+"/events")
}

// follow reads the stream at an address until ctx ends.
func (s *site) follow(ctx context.Context, as, path string) <-chan event {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer dev:"+as)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.StatusCode != 200 {
		s.t.Fatal(err, response)
	}
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					events <- e
				}
				e = event{}
			}
		}
	}()
	return events
}

// await returns the next event.
func (s *site) await(events <-chan event) event {
	s.t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(5 * time.Second):
		s.t.Fatal("no event")
		return event{}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	stranger, owner := s.listen("", id), s.listen("owner", id)
	stage := func(e event) video.Stage {
		t.Helper()
		var v video.Video
		if err := json.Unmarshal([]byte(e.data), &v); err != nil || e.name != "video" {
			t.Fatalf("%+v: %v", e, err)
		}
		return v.Stage
	}
	if got := stage(s.await(stranger)); got != video.Published {
		t.Errorf("first %s", got)
	}
	stage(s.await(owner))
	begun := time.Now()
	s.video(s.request("owner", "DELETE", "/v1/videos/"+string(id), ""), 202)
	if e := s.await(stranger); e.name != "gone" || !strings.Contains(e.data, string(id)) {
		t.Errorf("the stranger got %+v", e)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the stranger was told after %v", took)
	}
	if e := s.await(stranger); e.name != "" {
		t.Errorf("after the end: %+v", e)
	}
	if got := stage(s.await(owner)); got != video.PendingDeletion {
		t.Errorf("the owner sees %s", got)
	}
	s.move(id, video.Purged)
	for {
		e := s.await(owner)
		if e.name == "gone" {
			break
		}
		if got := stage(e); got != video.Purging && got != video.Purged {
			t.Fatalf("the owner sees %s", got)
		}
	}
	for begun := time.Now(); len(s.followers.followed()) != 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("a stream that has ended is still polled for")
		}
	}
}

// One stream tells of several videos, and lasts until none of them is left to see.
func TestOneStreamOfSeveralVideos(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	public, private := s.in(video.Published, "public"), s.in(video.Published, "private")
	events := s.follow(t.Context(), "", "/v1/events?id="+string(public)+"&id="+string(private)+"&id="+string(public)+"&id=nonsense")
	got := map[string]int{}
	for range 3 {
		e := s.await(events)
		got[e.name]++
		if want := map[string]string{"video": string(public), "gone": "not_found"}[e.name]; !strings.Contains(e.data, want) {
			t.Errorf("%+v", e)
		}
	}
	if got["video"] != 1 || got["gone"] != 2 {
		t.Errorf("first %v", got)
	}
	s.video(s.request("owner", "DELETE", "/v1/videos/"+string(public), ""), 202)
	if e := s.await(events); e.name != "gone" || !strings.Contains(e.data, string(public)) {
		t.Errorf("then %+v", e)
	}
	if e := s.await(events); e.name != "" {
		t.Errorf("after the end: %+v", e)
	}
	s.refusal(s.request("", "GET", "/v1/events", ""), video.Invalid)
	s.refusal(s.request("", "GET", "/v1/events?id="+strings.Repeat("x&id=", 51), ""), video.Invalid)
}

// Nobody holds connections without end: ten streams a person, twenty an address.
func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	for as, most := range map[string]int{"owner": streamsAPerson, "": streamsAnAddress} {
		ctx, stop := context.WithCancel(t.Context())
		var last <-chan event
		for range most {
			last = s.follow(ctx, as, "/v1/videos/"+string(id)+"/events")
			s.await(last)
		}
		refused := s.request(as, "GET", "/v1/events?id="+string(id), "")
		if s.refusal(refused, video.RateLimited); refused.header.Get("Retry-After") == "" {
			t.Error("it isn't said when there is room")
		}
		s.refusal(s.request(as, "GET", "/v1/videos/"+string(video.NewID())+"/events", ""), video.RateLimited) // before anything is read
		s.await(s.follow(ctx, "other", "/v1/events?id="+string(id)))                                          // others are not in the way
		stop()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if s.request(as, "HEAD", "/v1/events?id="+string(id), "").status == http.StatusOK {
				break
			}
			if time.Now().After(end) {
				t.Fatal("streams that were closed are still counted")
			}
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	r, id, at := newProgressRates(), video.NewID(), time.Now()
	if _, known := r.observe(id, video.Uploading, 0, at); known {
		t.Error("a rate from one observation")
	}
	for i := 1; i <= 20; i++ {
		rate, known := r.observe(id, video.Uploading, int64(i)*1000, at.Add(time.Duration(i)*time.Second))
		if !known || rate != 1000 {
			t.Fatalf("after %d s: %v %v", i, rate, known)
		}
	}
	if _, known := r.observe(id, video.Processing, 1, at.Add(21*time.Second)); known {
		t.Error("a rate across stages")
	}
}
