package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/devstacktest"
)

type health struct {
	Detail   string
	Parts    map[string]string
	Degraded []string
}

// runHealthy runs the program with a health address, and returns what reads an address there.
func runHealthy(t *testing.T, args ...string) (get func(path string) (int, string)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	c := settings(t, append(args, "--health-addr", address, "--log-level", "error")...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, c, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() { stop(); <-ended })
	return func(path string) (int, string) {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
}

// until waits for an answer of /readyz.
func until(t *testing.T, get func(string) (int, string), what string, holds func(int, health) bool) {
	t.Helper()
	var status int
	var text string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		status, text = get("/readyz")
		var h health
		json.Unmarshal([]byte(text), &h) // an answer of another form doesn't hold
		if holds(status, h) {
			return
		}
	}
	t.Fatalf("%s: the last answer was %d %s", what, status, text)
}

// A worker says what it lacks, in words that an operator can act on, and says no secret.
func TestAWorkerShowsWhatItLacks(t *testing.T) {
	s := devstacktest.Start(t, devstacktest.Temporal, devstacktest.Primary, devstacktest.BackupA)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	primary, backup := s.Stores[0].URL, s.Stores[1].URL
	data := filepath.Join(t.TempDir(), "data")
	get := runHealthy(t, "--role", "control", "--data-dir", data, "--primary", primary, "--backups", backup)
	until(t, get, "with everything", func(status int, h health) bool {
		return status == 200 && h.Parts["primary"] == "ok" && h.Parts["catalog"] == "ok" && h.Parts["vault"] == "ok" && len(h.Degraded) == 0
	})
	_, metrics := get("/metrics")
	for _, want := range []string{"reelflow_ready 1", "reelflow_catalog_up 1", "reelflow_temporal_up 1", `reelflow_queue_pollers{kind="activity",role="media"} 0`,
		"temporal_request_total{", "temporal_num_pollers{"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	// Another worker, whose secret for the backup is wrong.
	wrong := strings.Replace(backup, ":reelflow-local@", ":not-the-secret@", 1)
	get = runHealthy(t, "--role", "control", "--data-dir", data, "--primary", primary, "--backups", wrong)
	until(t, get, "with a wrong secret", func(status int, h health) bool {
		return status == 200 && len(h.Degraded) == 1 && strings.Contains(h.Parts["backup-a"], "refuses the credentials")
	})
	// And one whose primary has no bucket.
	missing := strings.Replace(primary, "/reelflow?", "/nothing-here?", 1)
	get = runHealthy(t, "--role", "control", "--data-dir", data, "--primary", missing, "--backups", backup)
	until(t, get, "without a bucket", func(status int, h health) bool {
		return status == 503 && strings.Contains(h.Detail, "primary") && strings.Contains(h.Parts["primary"], "no such bucket")
	})
	// The vault goes while the first settings still hold.
	get = runHealthy(t, "--role", "transfer", "--data-dir", data, "--primary", primary, "--backups", backup)
	until(t, get, "before the vault goes", func(status int, _ health) bool { return status == 200 })
	must(t, os.Rename(filepath.Join(data, "vault", "installation"), filepath.Join(data, "vault", "elsewhere")))
	must(t, os.Mkdir(filepath.Join(data, "vault", "installation"), 0o700)) // it can't be read as a file
	until(t, get, "without a vault", func(status int, h health) bool {
		return status == 503 && h.Parts["vault"] != "ok" && h.Parts["vault"] != ""
	})
}

// A worker whose ffmpeg fails its test stays up to say so, and begins once there is a good one.
func TestAWorkerWithAPoorFFmpegSaysSo(t *testing.T) {
	real, err := exec.LookPath("ffmpeg")
	must(t, err)
	poor := t.TempDir()
	path := filepath.Join(poor, "ffmpeg")
	script := "#!/bin/sh\ncase \"$*\" in *\"libx264\"*) echo \"Unknown encoder 'libx264'\" >&2; exit 1;; esac\nexec " + real + " \"$@\"\n"
	must(t, os.WriteFile(path, []byte(script), 0o755))
	t.Setenv("PATH", poor+":"+os.Getenv("PATH"))
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1") // it comes to that once the ffmpeg is good
	get := runHealthy(t, "--role", "media")
	until(t, get, "with a poor ffmpeg", func(status int, h health) bool {
		return status == 503 && strings.Contains(h.Detail, "can't make H.264")
	})
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("it runs, and /healthz says %d", status)
	}
	must(t, os.Remove(path))
	until(t, get, "with a good one", func(status int, h health) bool {
		return status == 503 && strings.Contains(h.Detail, "Temporal can't be reached")
	})
}
