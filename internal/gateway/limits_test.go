package gateway

import (
	"strconv"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// limited checks a 429: it says which limit and when to come again.
func (s *site) limited(a answer, says string) {
	s.t.Helper()
	p := s.refusal(a, video.RateLimited)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || !strings.Contains(p.Detail, says) {
		s.t.Errorf("Retry-After %q, %q does not say %q", a.header.Get("Retry-After"), p.Detail, says)
	}
}

func TestTooFast(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.Limits = Limits{Creates: 3, Commands: 4, Reads: 5} })
	id := string(s.made("owner", `{}`).ID)
	upload := *s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200).Upload.URL
	s.made("owner", `{}`)
	if got := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5"); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	s.limited(s.request("owner", "POST", "/v1/videos", `{}`), "3 new videos a minute")
	s.limited(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5"), "3 new videos a minute")
	s.made("other", `{}`) // has a rate of their own
	for i := range 4 {
		command := []string{"pause", "resume"}[i%2]
		s.video(s.request("owner", "POST", "/v1/videos/"+id+"/"+command, ""), 200)
	}
	s.limited(s.request("owner", "POST", "/v1/videos/"+id+"/pause", ""), "4 commands a minute")
	s.limited(s.request("owner", "DELETE", "/v1/videos/"+id, ""), "4 commands a minute")
	s.video(s.request(people.OperatorName, "POST", "/v1/videos/"+id+"/pause", ""), 200)
	for range 5 {
		s.refusal(s.request("", "GET", "/v1/videos/"+id, ""), video.NotFound)
	}
	s.limited(s.request("", "GET", "/v1/videos/"+id, ""), "5 reads")
	s.limited(s.request("", "GET", "/v1/receipts/"+id, "", "Authorization", "Bearer nonsense"), "5 reads")
	s.limited(s.request("", "GET", "/@owner", ""), "5 reads")
	for range 10 {
		s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200)
		if got := s.request("", "GET", "/healthz", ""); got.status != 200 {
			t.Errorf("health: %d", got.status)
		}
		if got := s.tus("", "HEAD", upload, ""); got.status != 200 {
			t.Errorf("HEAD of a known upload: %d", got.status)
		}
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.Limits = Limits{Uploads: 2, Bytes: 2 << 20} })
	first := s.made("owner", `{"source":{"size":1000}}`)
	s.made("owner", `{"source":{"size":1000}}`)
	s.limited(s.request("owner", "POST", "/v1/videos", `{}`), "2 is the limit")
	s.limited(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5"), "2 is the limit")
	if got := s.tus("", "HEAD", *first.Upload.URL, ""); got.status != 200 {
		t.Errorf("HEAD of a known upload: %d", got.status)
	}
	if got := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "1000", "Upload-Metadata", metadata("video_id", string(first.ID))); got.status != 201 {
		t.Errorf("one that is there already: %d %s", got.status, got.body)
	}
	s.made("other", `{}`)
	s.move(first.ID, video.Processing)
	s.made("owner", `{"source":{"size":1048576}}`) // the largest
	all := s.request("owner", "GET", "/v1/me/videos", "")
	for _, v := range []string{`{}`, `{"source":{"size":1048576}}`} {
		s.move(s.newest("owner"), video.Processing)
		got := s.request("owner", "POST", "/v1/videos", v)
		// Nothing that a client could wait for empties a quota.
		if p := s.refusal(got, video.Forbidden); p.Reason != "quota" || !strings.Contains(p.Detail, "is the limit. Delete a video") || got.header.Get("Retry-After") != "" {
			t.Errorf("%+v %v", p, got.header)
		}
		if p := s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "1048576"), video.Forbidden); p.Reason != "quota" {
			t.Errorf("by tus: %+v", p)
		}
	}
	if got := s.request("owner", "GET", "/v1/me/videos", ""); strings.Count(string(got.body), `"id"`) != strings.Count(string(all.body), `"id"`) {
		t.Error("what was refused is there")
	}
}

// newest is the video that somebody made last.
func (s *site) newest(who string) video.ID {
	s.t.Helper()
	rows, _, err := s.catalog.Videos(s.t.Context(), catalog.Query{Owner: s.people.OwnerID(who)})
	if err != nil || len(rows) == 0 {
		s.t.Fatal(err)
	}
	return rows[0].ID
}

func TestRepeatsAreNoMore(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.Limits = Limits{Uploads: 1} })
	send := func(body string) answer {
		return s.request("owner", "POST", "/v1/videos", body, "Idempotency-Key", "k")
	}
	first := s.video(send(`{}`), 201)
	if again := s.video(send(`{}`), 201); again.ID != first.ID {
		t.Error("another video")
	}
	s.limited(s.request("owner", "POST", "/v1/videos", `{}`), "1 is the limit")
}

func TestTusKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	send := func(length, meta string) answer {
		return s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", length, "Upload-Metadata", meta, "Idempotency-Key", "k")
	}
	first := send("5", metadata("filename", "a.mp4"))
	if again := send("5", metadata("filename", "a.mp4")); again.status != 201 || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("%d %v", again.status, again.header)
	}
	s.refusal(send("6", metadata("filename", "a.mp4")), video.Conflict)
	s.refusal(send("5", metadata("filename", "b.mp4")), video.Conflict)
	if v := s.video(s.request("owner", "POST", "/v1/videos", "{}", "Idempotency-Key", "k"), 201); string(v.ID) == first.header.Get("Reelflow-Video") {
		t.Error("two kinds of requests share a key")
	}
}
