package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
)

// The gateway comes up without Temporal and without its stores, and a request
// that is still under way does not keep it from stopping.
func TestServeStopsWhenItIsTold(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	var cli commandLine
	if _, err := config.Parse(&cli, &cli.Config, []string{"serve", "--data-dir", filepath.Join(t.TempDir(), "data"), "--log-level", "error"},
		kong.Writers(io.Discard, io.Discard)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	g, done, err := openGateway(&shell{Config: &cli.Config, ctx: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, g) }()
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
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(shutdownTimeout + 2*time.Second):
		t.Error("it did not stop")
	}
}
