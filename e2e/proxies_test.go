package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/reelflow/reelflow/internal/stack"
)

// line is a network between two programs that can be cut, slowed and led elsewhere.
type line struct {
	t  testing.TB
	mu sync.Mutex
	*toxiproxy.Proxy
}

// newLine leads to HOST:PORT, or to the host of a URL, until the test ends.
func newLine(t testing.TB, to string) *line {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // a slow line has a logger of its own, and tells it all
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	var err error
	for range 50 {
		// Not a port that the system might give away while the line is cut.
		listen := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l := &line{t: t, Proxy: toxiproxy.NewProxy(server, "line", listen, hostOf(to))}
		if err = l.Start(); err == nil {
			t.Cleanup(l.Stop)
			return l
		}
	}
	t.Fatal(err)
	return nil
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// url is the far end as it is reached through the line.
func (l *line) url() string { return "http://" + l.Listen }

// cut breaks all connections, and lets nobody through for a while.
func (l *line) cut(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Stop()
	time.Sleep(pause)
	l.again()
}

// lead breaks all connections, and leads new ones elsewhere.
func (l *line) lead(to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Stop()
	l.Upstream = hostOf(to)
	l.again()
}

// again listens anew. A program that is being started at this moment has the old
// socket too, until it is another program than ours.
func (l *line) again() {
	var err error
	for range 100 {
		if err = l.Start(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Errorf("the line to %s is not there again: %v", l.Upstream, err)
}

// slow lets so many bytes a second through towards the far end; all with 0.
func (l *line) slow(bytesPerSecond int64) {
	if bytesPerSecond == 0 {
		l.clear("slow")
		return
	}
	l.poison("slow", "bandwidth", "upstream", map[string]any{"rate": bytesPerSecond >> 10})
}

// reset ends each connection with a reset a moment after the next byte of an answer.
func (l *line) reset(after time.Duration) {
	l.poison("reset", "reset_peer", "downstream", map[string]any{"timeout": after.Milliseconds()})
}

// late delays all bytes of answers.
func (l *line) late(by time.Duration) {
	l.poison("late", "latency", "downstream", map[string]any{"latency": by.Milliseconds(), "jitter": by.Milliseconds() / 2})
}

func (l *line) poison(name, kind, stream string, attributes map[string]any) {
	text, err := json.Marshal(map[string]any{"name": name, "type": kind, "stream": stream, "attributes": attributes})
	if err == nil {
		_, err = l.Toxics.AddToxicJson(strings.NewReader(string(text)))
	}
	if err != nil {
		l.t.Errorf("the line to %s: %v", l.Upstream, err)
	}
}

func (l *line) clear(name string) {
	if err := l.Toxics.RemoveToxic(l.t.Context(), name); err != nil {
		l.t.Errorf("the line to %s: %v", l.Upstream, err)
	}
}

// reachedBy puts a line in front of a store, for everybody but the test.
func reachedBy(t testing.TB, name string, lines map[string]*line) func(stack.Store) (stack.Store, error) {
	return func(s stack.Store) (stack.Store, error) {
		if s.Name == name {
			l := newLine(t, s.Endpoint)
			lines[name] = l
			s.URL = strings.Replace(s.URL, hostOf(s.Endpoint), l.Listen, 1)
			s.Endpoint = l.url()
		}
		return s, nil
	}
}
