package problem

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestEveryCodeHasAStatus(t *testing.T) {
	for _, code := range video.Codes {
		if _, known := statuses[code]; !known {
			t.Errorf("no status for the code %q", code)
		}
	}
	if len(statuses) != len(video.Codes) {
		t.Error("a status for a code that does not exist")
	}
}

// What went wrong inside is for the log; the answer has the reason of the contract.
func TestCausesStayInside(t *testing.T) {
	var log strings.Builder
	a := &Answerer{Log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{
		errors.New("secret"),
		video.Errorf(video.Unavailable, "Later.").Because(errors.New("secret")).For("no_worker"),
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "7") // of the answer that was meant
		a.Refuse(w, httptest.NewRequest("GET", "/v1/videos", nil), err)
		if body := w.Body.String(); strings.Contains(body, "secret") || w.Header().Get("Content-Length") != "" {
			t.Errorf("%v: %s", err, body)
		}
		if !strings.Contains(log.String(), "secret") {
			t.Errorf("%v is not in the log", err)
		}
		if want := video.CodeOf(err) == video.Unavailable; strings.Contains(w.Body.String(), `"reason":"no_worker"`) != want {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
}

// People who look for a page get one, but never from the API.
func TestPagesAndProblems(t *testing.T) {
	a := &Answerer{Log: slog.New(slog.DiscardHandler), Page: func(w http.ResponseWriter, _ *http.Request, p *Problem) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(p.Status)
	}}
	for _, row := range []struct{ path, accept, want string }{
		{"/watch/x", "text/html", "text/html"}, {"/watch/x", "*/*", MediaType}, {"/v1/videos/x", "text/html", MediaType},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", row.path, nil)
		r.Header.Set("Accept", row.accept)
		a.Refuse(w, r, NothingHere())
		if w.Code != 404 || w.Header().Get("Content-Type") != row.want {
			t.Errorf("%s %s: %d %s", row.path, row.accept, w.Code, w.Header().Get("Content-Type"))
		}
	}
}
