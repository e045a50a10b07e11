package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// encodeOne has the first piece of an upload encoded. That a worker is dead would be
// noticed after ten minutes.
func encodeOne(ctx workflow.Context, leg workflows.Leg) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: video.MediaQueue, StartToCloseTimeout: 10 * time.Minute, HeartbeatTimeout: 10 * time.Minute,
	})
	if err := workflow.ExecuteActivity(ctx, "Probe", leg).Get(ctx, nil); err != nil {
		return err
	}
	return workflow.ExecuteActivity(ctx, "EncodePiece", workflows.PieceInput{Leg: leg}).Get(ctx, nil)
}

// longClip takes any machine many seconds to encode: pieces of five seconds, 1080p at 60
// frames a second. It is itself made of one second.
func longClip(t *testing.T) []byte {
	t.Helper()
	second, clip := filepath.Join(t.TempDir(), "second.mp4"), filepath.Join(t.TempDir(), "clip.mp4")
	for _, args := range [][]string{
		{"-f", "lavfi", "-i", "testsrc2=size=1080x1920:rate=60:duration=1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", second},
		{"-stream_loop", "19", "-i", second, "-c", "copy", clip},
	} {
		if out, err := exec.Command("ffmpeg", append([]string{"-v", "error"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("make a clip: %v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(clip)
	must(t, err)
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// uploaded stores a file in the worker's places, as an upload that is complete.
func (w *Worker) uploaded(t *testing.T, file []byte) video.ID {
	t.Helper()
	ctx, id := t.Context(), video.NewID()
	must(t, w.vault.Make(ctx, id))
	must(t, w.catalog.CreateVideo(ctx, catalog.Video{ID: id, Owner: "o", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: id, TokenHash: []byte(id), Length: int64(len(file)), Idle: time.Hour}))
	lease, err := manifest.AcquireLease(ctx, w.catalog, id)
	must(t, err)
	digest, err := manifest.UploadDigest(ctx, w.vault, catalog.Upload{Video: id})
	must(t, err)
	a := &manifest.Appender{Lease: lease.Lease, Digest: digest, Writer: &manifest.Writer{
		Catalog: w.catalog, Vault: w.vault, Primary: w.installation.Stores().Primary, Log: logger(t),
	}}
	read, write := a.StoreAll(ctx, io.NopCloser(bytes.NewReader(file)), time.Minute)
	must(t, read)
	must(t, write)
	must(t, manifest.FinishUpload(ctx, w.catalog, w.vault, id, digest.Sum(nil)))
	must(t, lease.Release())
	return id
}

// running is a worker of the media role that runs until it is stopped.
type running struct {
	*Worker
	scratch string
	log     *lines
	stop    context.CancelFunc
	ended   chan error
	left    []os.DirEntry // in scratch when it ended, as a process would leave it
}

func runMedia(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{scratch: t.TempDir(), log: &lines{}, ended: make(chan error, 1)}
	var err error
	r.Worker, err = openQuietly(t.Context(), settings(t, append(args, "--role", "media", "--scratch", r.scratch)...),
		slog.New(slog.NewTextHandler(r.log, nil)))
	must(t, err)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() {
		err := r.Run(ctx, func() {})
		left, unread := os.ReadDir(r.scratch)
		r.left = left
		r.ended <- errors.Join(err, unread)
	}()
	t.Cleanup(func() {
		r.stop()
		r.cancelWork() // nobody waits for it any more
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// encodes reports whether something is under way in the worker's scratch.
func (r *running) encodes(t *testing.T) bool {
	t.Helper()
	entries, err := os.ReadDir(r.scratch)
	must(t, err)
	return len(entries) > 0
}

// pendingEncode waits until the encoding is pending and fits, for three minutes at most: much less
// than until a dead worker's heartbeat is missed.
func pendingEncode(t *testing.T, temporal client.Client, id string, fits func(*workflowpb.PendingActivityInfo) bool) *workflowpb.PendingActivityInfo {
	t.Helper()
	var last any
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		d, err := temporal.DescribeWorkflowExecution(t.Context(), id, "")
		must(t, err)
		last = d
		for _, p := range d.PendingActivities {
			if p.ActivityType.GetName() == "EncodePiece" && p.State == enums.PENDING_ACTIVITY_STATE_STARTED && fits(p) {
				return p
			}
		}
	}
	t.Fatalf("the encoding isn't as it should be: %v", last)
	return nil
}

// A worker that is told to stop in the middle of an encoding hands it back and leaves
// nothing behind; another one goes on long before anybody would take the first for dead.
func TestAStoppedWorkerHandsItsEncodingBack(t *testing.T) {
	s := devstacktest.Start(t)
	file := longClip(t)
	t.Setenv("TEMPORAL_ADDRESS", s.Temporal)
	t.Setenv("TEMPORAL_CONFIG_FILE", os.DevNull)
	args := []string{"--data-dir", t.TempDir(), "--primary", s.Store(t, devstacktest.Primary).URL,
		"--backups", s.Store(t, devstacktest.BackupA).URL + "," + s.Store(t, devstacktest.BackupB).URL}
	temporal, err := client.Dial(client.Options{HostPort: s.Temporal, Logger: logger(t)})
	must(t, err)
	defer temporal.Close()
	decides := sdk.New(temporal, "decides", sdk.Options{LocalActivityWorkerOnly: true})
	decides.RegisterWorkflow(encodeOne)
	must(t, decides.Start())
	defer decides.Stop()

	first := runMedia(t, args...)
	id := first.uploaded(t, file)
	run, err := temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "decides"}, encodeOne, workflows.Leg{ID: id, Epoch: 1})
	must(t, err)
	before := pendingEncode(t, temporal, run.GetID(), func(*workflowpb.PendingActivityInfo) bool { return first.encodes(t) })
	runMedia(t, args...)
	first.stop()
	after := pendingEncode(t, temporal, run.GetID(), func(p *workflowpb.PendingActivityInfo) bool { return p.Attempt == 2 })
	if after.LastWorkerIdentity == before.LastWorkerIdentity || !strings.Contains(after.LastFailure.GetMessage(), "another one goes on") {
		t.Errorf("handed from %q to %q after %q", before.LastWorkerIdentity, after.LastWorkerIdentity, after.LastFailure.GetMessage())
	}
	err = <-first.ended
	first.ended <- err
	// Once Run returns the process ends: by then the work is handed back, not only told to stop.
	if err != nil || len(first.left) > 0 || !first.log.has("handing back the work under way") {
		t.Errorf("the first worker ended with %v, and left %v", err, first.left)
	}
	must(t, temporal.TerminateWorkflow(t.Context(), run.GetID(), "", "the test is over"))
}
