package gateway

import (
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// everybody in the columns of the tables: nobody, somebody else, the owner, an operator, a reviewer.
var everybody = []string{"", "other", "owner", people.OperatorName, "reviewer"}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const yes, none, gone = 200, 404, 410
	insiders := []int{none, none, yes, yes, none}
	for _, row := range []struct {
		stage      video.Stage
		visibility string
		want       []int
	}{
		{video.Uploading, "public", insiders},
		{video.Processing, "public", insiders},
		{video.Reviewing, "public", []int{none, none, yes, yes, yes}},
		{video.Scheduled, "public", insiders},
		{video.Publishing, "public", insiders},
		{video.Published, "public", []int{yes, yes, yes, yes, yes}},
		{video.Published, "unlisted", []int{yes, yes, yes, yes, yes}},
		{video.Published, "private", insiders},
		{video.PendingDeletion, "public", insiders},
		{video.Purging, "public", []int{gone, gone, yes, yes, gone}},
		{video.Purged, "public", []int{gone, gone, gone, gone, gone}},
		{video.Draft, "public", insiders},
		{video.Canceled, "public", insiders},
		{video.Rejected, "public", insiders},
	} {
		id := string(s.in(row.stage, row.visibility))
		for i, who := range everybody {
			for _, path := range []string{"/v1/videos/" + id, "/v1/videos/" + id + "/events", "/watch/" + id, "/embed/" + id} {
				if got := s.request(who, "GET", path, ""); got.status != row.want[i] {
					t.Errorf("%s %s: GET %s as %q: %d, want %d", row.visibility, row.stage, path, who, got.status, row.want[i])
				}
			}
		}
	}
}

func TestWhatWasNeverThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{string(video.NewID()), "abc", strings.Repeat("A", 26), "..%2f..", "%00"} {
		for _, who := range everybody {
			for _, path := range []string{"/v1/videos/" + id, "/v1/videos/" + id + "/events", "/v1/videos/" + id + "/playback",
				"/v1/receipts/" + id, "/watch/" + id, "/play/" + id + "/x/master.m3u8", "/media/" + id + "/720p/x.ts"} {
				s.refusal(s.request(who, "GET", path, ""), video.NotFound)
			}
			s.refusal(s.request(who, "DELETE", "/v1/videos/"+id, ""), video.NotFound)
		}
	}
}

func TestWhoMayCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, row := range []struct {
		method, command string
		stage           video.Stage
		want            []int
	}{
		{"POST", "/pause", video.Uploading, []int{404, 404, 200, 200, 404}},
		{"POST", "/resume", video.Processing, []int{404, 404, 200, 200, 404}},
		{"POST", "/pause", video.Published, []int{401, 403, 409, 409, 403}},
		{"POST", "/cancel", video.Published, []int{401, 403, 409, 409, 403}},
		{"POST", "/approve", video.Reviewing, []int{404, 404, 403, 200, 200}},
		{"POST", "/reject", video.Published, []int{401, 403, 403, 409, 409}},
		{"POST", "/publish", video.Reviewing, []int{404, 404, 403, 200, 403}},
		{"POST", "/publish", video.Scheduled, []int{404, 404, 200, 200, 404}},
		{"POST", "/restore", video.Canceled, []int{404, 404, 403, 200, 404}},
		{"POST", "/hold", video.PendingDeletion, []int{404, 404, 403, 200, 404}},
		{"POST", "/hold", video.Purging, []int{410, 410, 403, 409, 410}},
		{"DELETE", "", video.Uploading, []int{404, 404, 202, 202, 404}},
		{"DELETE", "", video.Published, []int{401, 403, 202, 202, 403}},
		{"DELETE", "", video.PendingDeletion, []int{404, 404, 202, 202, 404}},
		{"DELETE", "", video.Purged, []int{410, 410, 410, 410, 410}},
		{"POST", "/pause", video.Purged, []int{410, 410, 410, 410, 410}},
		{"POST", "/cancel", video.Purged, []int{410, 410, 410, 410, 410}},
		{"GET", "/playback", video.Uploading, []int{404, 404, 409, 409, 404}},
		{"GET", "/playback", video.Draft, []int{404, 404, 409, 409, 404}},
		{"GET", "/playback", video.PendingDeletion, []int{404, 404, 410, 410, 404}},
		{"GET", "/playback", video.Rejected, []int{404, 404, 410, 410, 404}},
		{"GET", "/playback", video.Purging, []int{410, 410, 410, 410, 410}},
		{"GET", "/playback", video.Purged, []int{410, 410, 410, 410, 410}},
	} {
		id := s.in(row.stage, "public")
		for i, who := range everybody {
			got := s.request(who, row.method, "/v1/videos/"+string(id)+row.command, "")
			if got.status != row.want[i] {
				t.Errorf("%s: %s %s as %q: %d, want %d: %s", row.stage, row.method, row.command, who, got.status, row.want[i], got.body)
			}
			if got.status < 300 { // it has changed something
				id = s.in(row.stage, "public")
			}
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := string(s.in(video.Published, "public"))
	for _, header := range []string{"Bearer", "Bearer dev:", "Bearer x", "Basic dev:me", "Bearer dev:a b", "Bearer dev:" + strings.Repeat("a", 65)} {
		got := s.request("", "GET", "/v1/videos/"+id, "", "Authorization", header)
		s.refusal(got, video.Unauthenticated)
		if got.header.Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
	}
	for _, path := range []string{"/v1/me/videos", "/v1/me/drafts"} {
		s.refusal(s.request("", "GET", path, ""), video.Unauthenticated)
	}
	s.refusal(s.request("", "POST", "/v1/videos", `{}`), video.Unauthenticated)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := s.request("", "GET", "/signin?user=owner&next=/watch/x", "")
	set := in.header.Get("Set-Cookie")
	if in.status != 303 || in.header.Get("Location") != "/watch/x" || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Fatalf("%d %v", in.status, in.header)
	}
	cookie, _, _ := strings.Cut(set, ";")
	id := string(s.in(video.Uploading, "private"))
	if got := s.request("", "GET", "/v1/videos/"+id, "", "Cookie", cookie); got.status != 200 {
		t.Errorf("with the cookie: %d", got.status)
	}
	pause := "/v1/videos/" + id + "/pause"
	for name, headers := range map[string][]string{
		"another site":   {"Sec-Fetch-Site", "cross-site", "Origin", s.url},
		"a subdomain":    {"Sec-Fetch-Site", "same-site"},
		"another origin": {"Origin", "http://evil.example"},
		"no origin":      {},
		"null origin":    {"Origin", "null"},
	} {
		t.Log(name)
		s.refusal(s.request("", "POST", pause, "", append(headers, "Cookie", cookie)...), video.Forbidden)
	}
	s.video(s.request("", "POST", pause, "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin"), 200)
	s.video(s.request("", "POST", pause, "", "Cookie", cookie, "Origin", s.url), 200)
	forged := cookie[:len(cookie)-2] + "AA"
	if got := s.request("", "GET", "/v1/videos/"+id, "", "Cookie", forged); got.status != 404 {
		t.Errorf("with a forged cookie: %d", got.status)
	}
}
