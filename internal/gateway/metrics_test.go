package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

// How much an installation is used is shown to operators alone, where people are vouched
// for; and no label names a video, a person or an address.
func TestMetricsAreForOperators(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	s.settings.Meter = telemetry.New("test") // counts nothing: the handler was made without
	s.refusal(s.request("", "GET", "/metrics", ""), video.Unauthenticated)
	s.refusal(s.by(fake, claims{"sub": "ann"}, "GET", "/metrics", ""), video.Forbidden)
	if got := s.by(fake, claims{"sub": "ben", "roles": []string{"reelflow-operator"}}, "GET", "/metrics", ""); got.status != 200 || !strings.Contains(string(got.body), "reelflow_build_info") {
		t.Errorf("an operator gets %d", got.status)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	meter := telemetry.New("test")
	s := newSiteOf(t, func(settings *Settings) { settings.Meter = meter })
	v := s.video(s.request("ann", "POST", "/v1/videos", `{"title":"Secret","source":{"size":11}}`), 201)
	s.video(s.request("ann", "GET", "/v1/videos/"+string(v.ID), ""), 200)
	s.request("", "GET", "/no/such/"+string(v.ID), "")
	// An answer is counted once it has ended, which is after it was read.
	var text string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text = string(s.request("", "GET", "/metrics", "").body)
		if strings.Contains(text, `route="none",status="404"`) && strings.Contains(text, `route="GET /v1/videos/{id}",status="200"`) {
			break
		}
	}
	for _, want := range []string{
		`reelflow_http_requests_total{method="POST",route="POST /v1/videos",status="201"} 1`,
		`reelflow_http_requests_total{method="GET",route="GET /v1/videos/{id}",status="200"} 1`,
		`reelflow_http_requests_total{method="GET",route="none",status="404"} 1`,
		`reelflow_http_request_seconds_count{route="GET /v1/videos/{id}"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing among\n%s", want, text)
		}
	}
	if strings.Contains(text, string(v.ID)) || strings.Contains(text, "ann\"") {
		t.Error("a label names a video or a person")
	}
	// The address for machines inside has the same, but for people.
	mux := http.NewServeMux()
	s.RegisterHealth(mux)
	inside := httptest.NewServer(mux)
	defer inside.Close()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v1/videos/" + string(v.ID): 404} {
		answer, err := http.Get(inside.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
}

// Work that nobody does is named; the gateway serves on.
func TestReadinessNamesRolesWithoutAWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lives.mu.Lock()
	s.lives.idle = []string{"transfer", "media"}
	s.lives.mu.Unlock()
	got := s.request("", "GET", "/readyz", "")
	if text := string(got.body); got.status != 200 || !strings.Contains(text, `"degraded":["media","transfer"]`) || !strings.Contains(text, `"media":"no worker"`) {
		t.Errorf("%d %s", got.status, text)
	}
}
