package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
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
