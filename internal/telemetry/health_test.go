package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

type answer struct {
	Status, Code, Detail string
	Parts                map[string]string
	Degraded             []string
}

// ask reads /readyz of a health on an address of its own.
func ask(t *testing.T, h *telemetry.Health, m *telemetry.Metrics) func() (int, answer) {
	t.Helper()
	server, err := telemetry.Listen("127.0.0.1:0", m, h.Register, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return func() (int, answer) {
		t.Helper()
		got, err := http.Get("http://" + server.Addr.String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		text, _ := io.ReadAll(got.Body)
		var a answer
		json.Unmarshal([]byte(strings.Replace(string(text), `"status":503,`, "", 1)), &a)
		return got.StatusCode, a
	}
}

func TestHealthSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	m, h := telemetry.New("test"), telemetry.NewHealth(log)
	m.Health(h)
	ready := ask(t, h, m)
	if status, a := ready(); status != 503 || !strings.Contains(a.Detail, "starting") {
		t.Errorf("at its start: %d %+v", status, a)
	}
	h.Waiting(video.Errorf(video.Unavailable, "This ffmpeg can't make pictures.").Because(errors.New("password: hunter2")))
	if status, a := ready(); status != 503 || !strings.Contains(a.Detail, "can't make pictures") || strings.Contains(a.Detail, "hunter2") {
		t.Errorf("while it waits: %d %+v", status, a)
	}
	ok := func(context.Context) error { return nil }
	refused := func(context.Context) error { return video.Errorf(video.Unavailable, "It refuses the credentials.") }
	secret := func(context.Context) error { return errors.New("dial postgres://me:hunter2@db") }
	h.Watch(telemetry.Check{Name: "catalog", Run: ok}, telemetry.Check{Name: "ffmpeg", Run: refused, Passed: true, Every: time.Hour},
		telemetry.Check{Name: "backup", Run: refused, Without: true})
	status, a := ready()
	if status != 200 || a.Status != "degraded" || len(a.Degraded) != 1 || a.Parts["backup"] != "It refuses the credentials." || a.Parts["catalog"] != "ok" || a.Parts["ffmpeg"] != "ok" {
		t.Errorf("without a backup: %d %+v", status, a)
	}
	h.Watch(telemetry.Check{Name: "catalog", Run: secret}, telemetry.Check{Name: "backup", Run: ok})
	if status, a = ready(); status != 503 || a.Code != "unavailable" || !strings.Contains(a.Detail, "catalog") || strings.Contains(a.Parts["catalog"], "hunter2") || a.Parts["backup"] != "ok" {
		t.Errorf("without a catalog: %d %+v", status, a)
	}
	mustHave(t, collected(t, m), "reelflow_ready 0", `reelflow_part_ok{part="backup"} 1`, `reelflow_part_ok{part="catalog"} 0`)
	h.Watch(telemetry.Check{Name: "catalog", Run: ok})
	if status, a = ready(); status != 200 || a.Status != "ok" {
		t.Errorf("with everything: %d %+v", status, a)
	}
	h.Drain()
	if status, _ = ready(); status != 503 {
		t.Errorf("while it stops: %d", status)
	}
}

// A part that never answers holds one look, however many ask, and nobody for long.
func TestALookThatHangsIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	var looks atomic.Int32
	hang := make(chan struct{})
	defer close(hang)
	h := telemetry.NewHealth(slog.New(slog.DiscardHandler))
	h.Watch(telemetry.Check{Name: "store", Run: func(context.Context) error { looks.Add(1); <-hang; return nil }})
	ready := ask(t, h, telemetry.New("test"))
	statuses := make(chan int)
	for range 20 {
		go func() { status, _ := ready(); statuses <- status }()
	}
	for range 20 {
		select {
		case status := <-statuses:
			if status != 503 {
				t.Errorf("it is said to work: %d", status)
			}
		case <-time.After(time.Minute):
			t.Fatal("whoever asks waits as long as the part does")
		}
	}
	if n := looks.Load(); n != 1 {
		t.Errorf("%d looks", n)
	}
}
