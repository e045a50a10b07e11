package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/video"
)

func settings(t *testing.T, args ...string) *config.Config {
	t.Helper()
	var cli commandLine
	args = append(args, "--data-dir", filepath.Join(t.TempDir(), "data"))
	if _, err := config.Parse(&cli, &cli.Config, args, kong.Writers(io.Discard, io.Discard)); err != nil {
		t.Fatal(err)
	}
	return &cli.Config
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func TestAWorkerOfEachRoleStartsAndStops(t *testing.T) {
	s := devstacktest.Start(t, devstacktest.Temporal)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	for _, role := range []string{"all", "control", "transfer", "media"} {
		t.Run(role, func(t *testing.T) {
			w, err := open(t.Context(), settings(t, "--role", role), logger(t))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]int{"all": 3}[role]; len(w.workers) != max(1, want) {
				t.Errorf("%d task queues", len(w.workers))
			}
			ctx, stop := context.WithCancel(t.Context())
			if err := w.Run(ctx, stop); err != nil {
				t.Error(err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
	checkAttributes(t, s.Temporal)
}

func checkAttributes(t *testing.T, address string) {
	t.Helper()
	temporal, err := client.Dial(client.Options{HostPort: address, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer temporal.Close()
	there, err := temporal.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]enums.IndexedValueType{
		video.StageAttribute: enums.INDEXED_VALUE_TYPE_KEYWORD, video.OwnerAttribute: enums.INDEXED_VALUE_TYPE_KEYWORD,
		video.PausedAttribute: enums.INDEXED_VALUE_TYPE_BOOL, video.OverdueAttribute: enums.INDEXED_VALUE_TYPE_BOOL,
	} {
		if got := there.CustomAttributes[name]; got != want {
			t.Errorf("%s is of type %v", name, got)
		}
	}
}

func TestAWorkerWaitsForTemporal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPORAL_ADDRESS", address)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	var log strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err = open(ctx, settings(t, "--role", "control"), slog.New(slog.NewTextHandler(&log, nil)))
	if err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
	if ctx.Err() == nil {
		t.Error("it gave up instead of waiting")
	}
	if strings.Count(log.String(), "waiting for Temporal") != 1 {
		t.Errorf("it did not say once that it waits:\n%s", log.String())
	}
}
