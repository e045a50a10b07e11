package telemetry_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
)

// collected is what Prometheus would get.
func collected(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", answer.Status, err, text)
	}
	return string(text)
}

func mustHave(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var near []string
			for each := range strings.Lines(text) {
				if strings.HasPrefix(each, name) {
					near = append(near, each)
				}
			}
			t.Errorf("%s is missing among\n%s", line, strings.Join(near, ""))
		}
	}
}

// A store that is measured is the same store.
func TestAMeasuredStoreIsAStore(t *testing.T) {
	m := telemetry.New("test")
	objectstest.Run(t, func(*testing.T) objectstest.Subject {
		subject := objectstest.NewMemory("memory").Subject()
		subject.Store = m.Stores(objects.Set{Primary: subject.Store}).Primary
		return subject
	})
	if text := collected(t, m); !strings.Contains(text, `reelflow_store_request_seconds_count{operation="put",result="ok",store="memory"}`) ||
		!strings.Contains(text, `reelflow_store_bytes_total{direction="read",store="memory"}`) {
		t.Errorf("nothing was counted:\n%s", text)
	}
}

// A vault that is measured is the same vault.
func TestAMeasuredVaultIsAVault(t *testing.T) {
	m := telemetry.New("test")
	vaulttest.Run(t, func(t *testing.T) vault.Vault { return m.Vault(vaulttest.New(t)) })
}

func TestCallsAreCounted(t *testing.T) {
	m := telemetry.New("1.2.3")
	ctx := t.Context()
	set := m.Stores(objects.Set{Primary: objectstest.NewMemory("primary"), Backups: []objects.Store{objectstest.NewMemory("b")}})
	if _, err := set.Primary.Put(ctx, "v/x/y", []byte("12345"), objects.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	body, err := set.Primary.Get(ctx, "v/x/y", "", 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, body)
	body.Close()
	body.Close() // again counts nothing
	if _, err := set.Backups[0].Stat(ctx, "v/x/y", ""); err == nil {
		t.Error("it is where it was never put")
	}
	v := m.Vault(vaulttest.New(t))
	if _, err := v.Lend(ctx, video.NewID()); err == nil {
		t.Error("it lends a key that was never made")
	}
	m.Beat(time.Millisecond, nil)
	m.Beat(time.Second, video.Errorf(video.Unavailable, "No."))
	m.Worked(media.Work{Kind: "encode", Media: 6 * time.Second, Took: 3 * time.Second})
	m.Worked(media.Work{Kind: "encode", Media: 6 * time.Second, Took: time.Second, Err: errors.New("broken")})
	m.Request("GET /media/{id}/{rendition}/{name}", "GET", 206, 1000, time.Millisecond)
	m.Request("GET /media/{id}/{rendition}/{name}", "HEAD", 200, 0, time.Millisecond)
	m.Request("", "BREW-"+strings.Repeat("x", 1000), 999, 0, time.Millisecond)
	text := collected(t, m)
	mustHave(t, text,
		`reelflow_build_info{version="1.2.3"} 1`,
		`reelflow_store_bytes_total{direction="written",store="primary"} 5`,
		`reelflow_store_bytes_total{direction="read",store="primary"} 4`,
		`reelflow_store_request_seconds_count{operation="get",result="ok",store="primary"} 1`,
		`reelflow_store_request_seconds_count{operation="stat",result="not_found",store="b"} 1`,
		`reelflow_vault_request_seconds_count{operation="lend",result="not_found"} 1`,
		`reelflow_lease_beats_total{result="ok"} 1`, `reelflow_lease_beats_total{result="unavailable"} 1`,
		`reelflow_ffmpeg_runs_total{result="ok",work="encode"} 1`, `reelflow_ffmpeg_runs_total{result="internal",work="encode"} 1`,
		`reelflow_ffmpeg_media_seconds_total{work="encode"} 6`, `reelflow_ffmpeg_seconds_total{work="encode"} 3`,
		`reelflow_segments_served_total 1`,
		`reelflow_http_requests_total{method="GET",route="GET /media/{id}/{rendition}/{name}",status="206"} 1`,
		`reelflow_http_requests_total{method="other",route="none",status="none"} 1`,
	)
	if strings.Contains(text, "BREW") {
		t.Error("a stranger's method is a label")
	}
}

// What the SDK counts has its documented names, whatever tags come with it; and no
// number of tags makes it grow without end.
func TestTheSDKsMetricsAreBounded(t *testing.T) {
	m := telemetry.New("test")
	handler := m.Temporal().WithTags(map[string]string{"namespace": "default"})
	handler.WithTags(map[string]string{"operation": "StartWorkflowExecution"}).Counter("temporal_request").Inc(2)
	handler.WithTags(map[string]string{"operation": "StartWorkflowExecution", "status_code": "NOT_FOUND"}).Counter("temporal_request").Inc(1)
	handler.WithTags(map[string]string{"task_queue": video.MediaQueue}).Timer("temporal_activity_schedule_to_start_latency").Record(3 * time.Second)
	handler.WithTags(map[string]string{"task_queue": "/host-of-mine-1234"}).Gauge("temporal_num_pollers").Update(2)
	mustHave(t, collected(t, m),
		`temporal_request_total{namespace="default",operation="StartWorkflowExecution"} 2`,
		`temporal_request_total{namespace="default",operation="StartWorkflowExecution",status_code="NOT_FOUND"} 1`,
		`temporal_activity_schedule_to_start_latency_seconds_bucket{namespace="default",task_queue="reelflow-media",le="2"} 0`,
		`temporal_activity_schedule_to_start_latency_seconds_bucket{namespace="default",task_queue="reelflow-media",le="5"} 1`,
		`temporal_activity_schedule_to_start_latency_seconds_sum{namespace="default",task_queue="reelflow-media"} 3`,
		`temporal_num_pollers{namespace="default",task_queue="other"} 2`,
	)
	for i := range 20_000 {
		handler.WithTags(map[string]string{"cause": fmt.Sprint(i)}).Counter("temporal_request").Inc(1)
	}
	text := collected(t, m)
	if n := strings.Count(text, "\ntemporal_request_total{"); n > 5000 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(text, "reelflow_series_dropped_total 0\n") {
		t.Error("nobody is told of what is not kept")
	}
}

// The gauges of all videos say what the catalog does; one that is out of reach is not an empty one.
func TestFiguresOfAllVideos(t *testing.T) {
	m, c := telemetry.New("test"), catalogtest.New(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	m.Catalog(c, []string{"primary", "backup"}, log)
	id := video.NewID()
	row := catalog.Video{ID: id, Owner: "somebody", Visibility: "public", Stage: video.Purging, Ending: video.ByDeletion, Overdue: true, PurgeAt: time.Now().Add(-time.Hour)}
	if err := c.CreateVideo(t.Context(), row, catalog.Upload{Video: id, TokenHash: []byte("t"), Idle: time.Hour}); err != nil {
		t.Fatal(err)
	}
	leg := catalog.Leg{Video: id, Epoch: 1, Ending: true}
	if err := errors.Join(c.Enter(t.Context(), leg, nil), c.SetReplica(t.Context(), leg, catalog.Replica{Store: "backup", State: catalog.ReplicaUnreachable})); err != nil {
		t.Fatal(err)
	}
	text := collected(t, m)
	mustHave(t, text, "reelflow_catalog_up 1", `reelflow_videos{stage="purging"} 1`, `reelflow_videos{stage="published"} 0`, "reelflow_videos_overdue 1",
		`reelflow_purge_pending{store="backup"} 1`, `reelflow_purge_pending{store="primary"} 0`, `reelflow_purge_lag_seconds{store="primary"} 0`)
	if !strings.Contains(text, `reelflow_purge_lag_seconds{store="backup"} 36`) {
		t.Errorf("the purge is an hour late, and the metrics say\n%s", text)
	}
	if strings.Contains(text, string(id)) || strings.Contains(text, "somebody") {
		t.Error("the metrics name a video or its owner")
	}
	lost := telemetry.New("test")
	c.Close()
	lost.Catalog(c, []string{"primary"}, log)
	text = collected(t, lost)
	mustHave(t, text, "reelflow_catalog_up 0")
	if strings.Contains(text, "reelflow_videos{") {
		t.Error("a catalog that can't be asked looks like an empty one")
	}
}
