package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// middleBox is an HTTP proxy before a gateway that can be told to answer in its
// place, as proxies and portals on the way do.
type middleBox struct {
	*httptest.Server
	mu      sync.Mutex
	answers func(http.ResponseWriter, *http.Request) bool
	streams int // requests for events that are open
}

// newMiddleBox leads to a gateway until the test ends.
func newMiddleBox(t *testing.T, gateway string) *middleBox {
	t.Helper()
	to, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: judged.over(http.DefaultTransport), // what the pages and the command line are answered
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // the gateway compares it with where the page says that it comes from
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	b := &middleBox{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		answers := b.answers
		b.mu.Unlock()
		if answers != nil && answers(w, r) {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/events") {
			b.count(1)
			defer b.count(-1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

// answer lets the box answer whatever request answers returns true for; nil for none.
func (b *middleBox) answer(answers func(http.ResponseWriter, *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = answers
}

func (b *middleBox) count(by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams += by
}

// open is how many streams of events are open.
func (b *middleBox) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams
}

// breaks cuts the connection of each request whose path contains a text.
func breaks(text string) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, text) {
			panic(http.ErrAbortHandler)
		}
		return false
	}
}

// portal answers everything that isn't the page itself as a hotel's network does.
func portal(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		return false
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<h1>Welcome! Please agree to our terms</h1>"))
	return true
}

// takesAtMost refuses longer bodies, as nginx does by default above 1 MiB.
func takesAtMost(bytes int64) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.ContentLength <= bytes {
			return false
		}
		http.Error(w, "413 Request Entity Too Large", http.StatusRequestEntityTooLarge)
		return true
	}
}

// eventsOfMany answers GET /v1/events?id=…&id=… from a gateway's videos: one stream
// that tells of each change of any of them.
func (b *middleBox) eventsOfMany(gateway string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/events" {
			return false
		}
		b.count(1)
		defer b.count(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		told := map[string]string{}
		for r.Context().Err() == nil {
			for _, id := range r.URL.Query()["id"] {
				if now := eventOf(r, gateway, id); now != "" && now != told[id] {
					told[id] = now
					_, _ = io.WriteString(w, now)
				}
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(200 * time.Millisecond)
		}
		return true
	}
}

// eventOf is what the viewer who sent r is told of a video now; "" if nobody can tell.
func eventOf(r *http.Request, gateway, id string) string {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, gateway+"/v1/videos/"+id, nil)
	if err != nil {
		return ""
	}
	ask.Header.Set("Cookie", r.Header.Get("Cookie"))
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return ""
	case answer.StatusCode == http.StatusOK:
		return fmt.Sprintf("event: video\ndata: %s\n\n", bytes.TrimSpace(body))
	case answer.StatusCode == http.StatusGone:
		return fmt.Sprintf("event: gone\ndata: {\"id\":%q,\"code\":\"gone\"}\n\n", id)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Sprintf("event: gone\ndata: {\"id\":%q,\"code\":\"not_found\"}\n\n", id)
	}
	return ""
}
