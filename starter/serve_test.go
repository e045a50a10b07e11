package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/gateway/issuer/issuertest"
)

// parsed is a command line, ready to run, and what it will say.
func parsed(t *testing.T, args ...string) (*kong.Context, *shell, *bytes.Buffer) {
	t.Helper()
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	var cli commandLine
	run, err := config.Parse(&cli, &cli.Config, append(args, "--log-level", "error"), kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	return run, &shell{Config: &cli.Config, ctx: t.Context(), out: out, err: out}, out
}

// The gateway comes up without Temporal and without its stores, and a request
// that is still under way does not keep it from stopping.
func TestServeStopsWhenItIsTold(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	_, sh, _ := parsed(t, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sh.ctx = ctx
	o, err := openGateway(sh)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- o.serve(ctx, listener) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	// A client that has sent half of the head of its request.
	slow, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("GET / HTTP/1.1\r\nHost: ")); err != nil {
		t.Fatal(err)
	}
	stop()
	// A load balancer is told, while requests are still served.
	for status, end := 0, time.Now().Add(o.drainFor/2); status != http.StatusServiceUnavailable; {
		answer, err := http.Get("http://" + listener.Addr().String() + "/readyz")
		if err != nil || time.Now().After(end) {
			t.Fatalf("%v %v: the listener was closed before anybody was told", answer, err)
		}
		answer.Body.Close()
		status = answer.StatusCode
	}
	if answer, err := http.Get("http://" + listener.Addr().String() + "/healthz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v %v", answer, err)
	} else {
		answer.Body.Close()
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(o.drainFor + shutdownTimeout + 2*time.Second):
		t.Error("it did not stop")
	}
}

// The settings reach the gateway: an issuer's people are let in, and nobody who
// only says who they are.
func TestServeByTheWordOfAnIssuer(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	fake := issuertest.New(t)
	for name, value := range map[string]string{
		"REELFLOW_AUTH": fake.URL, "REELFLOW_OIDC_AUDIENCE": "reelflow", "REELFLOW_PUBLIC_URL": "https://reels.example", "REELFLOW_OPERATOR_CLAIM": "groups:ops", "REELFLOW_MAX_OPEN_UPLOADS": "1",
	} {
		t.Setenv(name, value)
	}
	_, sh, _ := parsed(t, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"))
	o, err := openGateway(sh)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	ask := func(token, method, path string) int {
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		o.gateway.Handler().ServeHTTP(w, r)
		return w.Code
	}
	ann := fake.Token("reelflow", issuertest.Claims{"sub": "ann"})
	if got := ask("dev:ann", "GET", "/v1/me/videos"); got != http.StatusUnauthorized {
		t.Errorf("a name without proof: %d", got)
	}
	for _, want := range []int{http.StatusCreated, http.StatusTooManyRequests} {
		if got := ask(ann, "POST", "/v1/videos"); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

// In development mode whoever reaches the gateway is an operator if they say so.
func TestDevelopmentModeListensOnThisMachine(t *testing.T) {
	for address, here := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:8080": true, "[::1]:0": true, ":8080": false, "0.0.0.0:8080": false, "192.0.2.1:80": false,
	} {
		c := config.Config{Auth: "dev", HTTPAddr: address}
		err := mustServeHere(&c)
		if (err == nil) != here || err != nil && !strings.Contains(err.Error(), "REELFLOW_DEV_ANYWHERE") {
			t.Errorf("%s: %v", address, err)
		}
		if c.DevAnywhere = true; mustServeHere(&c) != nil {
			t.Errorf("%s is refused though it was asked for", address)
		}
		if c = (config.Config{Auth: "https://issuer.example", HTTPAddr: address}); mustServeHere(&c) != nil {
			t.Errorf("%s is refused with an issuer", address)
		}
	}
}
