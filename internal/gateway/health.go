package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// registerHealth registers what load balancers ask.
func (g *Gateway) registerHealth(mux *routeTable) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { g.writeStatus(w, map[string]string{}) })
	mux.HandleFunc("GET /readyz", g.errors.Handle(g.ready))
}

// ready asks everything that a request may need. Reads do without Temporal, but
// a gateway that could take no command had better get no requests.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	parts := map[string]func(context.Context) error{
		"catalog": g.catalog.Ready, "store": g.stores.Primary.Ready, "temporal": g.lives.Ready,
		"vault": func(ctx context.Context) error { _, err := g.vault.Pepper(ctx); return err },
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	up, down := map[string]string{}, []string{}
	for name, check := range parts {
		wait.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				g.log.Warn("not ready", "part", name, "error", err)
				down = append(down, name)
				return
			}
			up[name] = "ok"
		})
	}
	wait.Wait()
	if len(down) > 0 {
		return video.Errorf(video.Unavailable, "Not ready: can't reach %s.", strings.Join(down, ", "))
	}
	g.writeStatus(w, up)
	return nil
}

func (g *Gateway) writeStatus(w http.ResponseWriter, parts map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = g.sent(json.NewEncoder(w).Encode(map[string]any{"status": "ok", "parts": parts}))
}
