package requests

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestOneLineARequest(t *testing.T) {
	var out strings.Builder
	log := slog.New(Log{slog.NewJSONHandler(&out, nil)})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /watch/{id}", func(w http.ResponseWriter, r *http.Request) {
		Matched(r.Context(), r.Pattern)
		About(r.Context(), video.ID(r.PathValue("id")))
		By(r.Context(), "opaque")
		log.InfoContext(r.Context(), "in between")
		w.WriteHeader(418)
	})
	server := httptest.NewServer(Logged(log, nil, mux))
	defer server.Close()
	request, _ := http.NewRequest("GET", server.URL+"/watch/x?title=secret", nil)
	request.Header.Set(Header, "mine-1")
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.Header.Get(Header) != "mine-1" {
		t.Errorf("the answer's id is %q", answer.Header.Get(Header))
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || strings.Contains(out.String(), "secret") {
		t.Fatal(out.String())
	}
	var between, last map[string]any
	for i, into := range []*map[string]any{&between, &last} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]any{
		"msg": "answered", "request": "mine-1", "route": "GET /watch/{id}", "status": 418.0, "video": "x", "caller": "opaque",
		"trace": "4bf92f3577b34da6a3ce929d0e0e4736", "level": "INFO",
	} {
		if last[name] != want {
			t.Errorf("%s is %v, want %v", name, last[name], want)
		}
	}
	if between["request"] != "mine-1" {
		t.Errorf("a line in between: %s", lines[0])
	}
}

// An id stands in logs and answers: one that could break them is not taken over.
func TestWhichIdsAreTakenOver(t *testing.T) {
	for id, taken := range map[string]bool{
		"a.b_C-9": true, "": false, "a b": false, "a\nb": false, `a"b`: false, strings.Repeat("a", 65): false, strings.Repeat("a", 64): true,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[Header] = []string{id}
		r.Header.Set("Traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")
		got := requestOf(r)
		if (got.ID == id) != taken || !idForm.MatchString(got.ID) || got.Trace != "" {
			t.Errorf("%q became %+v", id, got)
		}
	}
}
