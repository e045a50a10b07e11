package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

// settings are those of a worker with empty places, unless args name others.
func settings(t *testing.T, args ...string) *config.Config {
	t.Helper()
	var cli commandLine
	args = append([]string{"--data-dir", filepath.Join(t.TempDir(), "data")}, args...)
	if _, err := config.Parse(&cli, &cli.Config, args, kong.Writers(io.Discard, io.Discard)); err != nil {
		t.Fatal(err)
	}
	return &cli.Config
}

// openQuietly opens a worker that nobody asks for its health.
func openQuietly(ctx context.Context, c *config.Config, log *slog.Logger) (*Worker, error) {
	return open(ctx, c, telemetry.New("test"), telemetry.NewHealth(log), log)
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func TestAWorkerOfEachRoleStartsAndStops(t *testing.T) {
	s := devstacktest.Start(t, devstacktest.Temporal)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	data := t.TempDir()
	for _, role := range []string{"media", "transfer", "control", "all"} {
		t.Run(role, func(t *testing.T) {
			w, err := openQuietly(t.Context(), settings(t, "--role", role, "--data-dir", data), logger(t))
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
		video.TroubleAttribute: enums.INDEXED_VALUE_TYPE_BOOL,
	} {
		if got := there.CustomAttributes[name]; got != want {
			t.Errorf("%s is of type %v", name, got)
		}
	}
}

// A worker whose catalog or Temporal is another installation's does nothing at all: it
// stops with both sides named.
func TestAWorkerWithTheWrongPlacesStops(t *testing.T) {
	s := devstacktest.Start(t, devstacktest.Temporal)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	data := t.TempDir()
	right := func(args ...string) *config.Config { return settings(t, append(args, "--data-dir", data)...) }
	w, err := openQuietly(t.Context(), right(), logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, wrong := range map[string]*config.Config{
		"catalog": right("--database-url", "sqlite://"+filepath.Join(t.TempDir(), "catalog.db")),
		"vault":   right("--vault", t.TempDir()),
		"all":     settings(t), // but Temporal
	} {
		_, err := openQuietly(t.Context(), wrong, logger(t))
		if _, is := errors.AsType[*identity.Mismatch](err); !is {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that becomes wrong while it runs is noticed before anything is erased.
	if err := os.WriteFile(filepath.Join(data, "vault", "installation"), []byte(video.NewID()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = w.Run(t.Context(), func() {
		if err := w.installation.Check(t.Context()); video.CodeOf(err) != video.Unavailable {
			t.Errorf("it may erase: %v", err)
		}
	})
	if _, is := errors.AsType[*identity.Mismatch](err); !is {
		t.Errorf("it ended with %v", err)
	}
}

// The schedule of the audit makes up for nothing that was missed, and follows the setting.
func TestTheAuditIsScheduled(t *testing.T) {
	s := devstacktest.Start(t, devstacktest.Temporal)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	data := t.TempDir()
	for _, every := range []time.Duration{time.Hour, time.Hour, 7 * time.Minute} {
		w, err := openQuietly(t.Context(), settings(t, "--role", "control", "--data-dir", data, "--audit-every", every.String()), logger(t))
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.temporal.ScheduleClient().GetHandle(t.Context(), video.AuditSchedule).Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if in := d.Schedule.Spec.Intervals; len(in) != 1 || in[0].Every != every {
			t.Errorf("it runs at %+v, not every %v", in, every)
		}
		if p := d.Schedule.Policy; p.CatchupWindow > 10*time.Minute || p.Overlap != enums.SCHEDULE_OVERLAP_POLICY_SKIP {
			t.Errorf("its policy is %+v", p)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
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
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	_, err = openQuietly(ctx, settings(t, "--role", "control"), slog.New(slog.NewTextHandler(&log, nil)))
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

// In a container with half of the machine's cores, half as many encoders run side by side.
func TestMediaTakesAJobForEachCoreThatItHas(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	if jobs := width("media"); jobs != 3 {
		t.Errorf("%d jobs on 3 cores", jobs)
	}
}
