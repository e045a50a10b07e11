package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	temporal "go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// rig is a running reelflow as one test sees it, with eyes of its own on the stores.
type rig struct {
	*stack.Stack
	t      *testing.T
	ctx    context.Context
	dir    string
	stores []objects.Store

	database string // URL of the catalog
}

// start runs a stack on free ports and throw-away data. Its processes end with the test.
func start(t *testing.T, o stack.Options) *rig {
	t.Helper()
	dir := t.TempDir()
	s, err := stack.Start(t.Context(), throwAway(t, o, dir))
	if err != nil {
		(&rig{t: t, dir: dir}).showLogs()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkNoRaces(t, dir)
	})
	return see(t, s)
}

// throwAway completes options for a stack whose state lies in dir.
func throwAway(t *testing.T, o stack.Options, dir string) stack.Options {
	t.Helper()
	o.Bin, o.Dir, o.FreePorts = cmp.Or(o.Bin, filepath.Join(root(t), "bin")), dir, true
	o.Env = append([]string{"REELFLOW_DELETE_GRACE=0s", "REELFLOW_AUDIT_EVERY=1h"}, o.Env...)
	for _, program := range []string{"devstack", "worker", "starter"} {
		if _, err := os.Stat(filepath.Join(o.Bin, program)); err != nil {
			t.Fatalf("%s is missing in %s: run `make build race`", program, o.Bin)
		}
	}
	return o
}

// see gives a test its eyes on a stack. It shows the logs of a test that failed.
func see(t *testing.T, s *stack.Stack) *rig {
	t.Helper()
	r := &rig{Stack: s, t: t, ctx: t.Context(), dir: filepath.Dir(filepath.Dir(s.Workers[0].Log))}
	t.Cleanup(func() {
		if t.Failed() {
			r.showLogs()
		}
	})
	r.database = "sqlite://" + filepath.Join(r.dir, "catalog.db")
	r.judgeAnswers()
	for _, store := range s.Stores {
		opened, err := objects.Open(store.URL)
		if err != nil {
			t.Fatal(err)
		}
		r.stores = append(r.stores, opened)
	}
	return r
}

// common is the stack that tests share that harm nothing and nobody. Its limits
// are low, so that small files are over them.
var common struct {
	sync.Mutex
	*stack.Stack
}

var lowLimits = []string{"REELFLOW_MAX_BYTES=8000000", "REELFLOW_MAX_DURATION=20s", "REELFLOW_REJECTED_TTL=8s"}

func shared(t *testing.T) *rig {
	t.Helper()
	common.Lock()
	defer common.Unlock()
	if common.Stack == nil {
		s, err := stack.Start(context.Background(), throwAway(t, stack.Options{Env: lowLimits}, filepath.Join(clips.dir, "shared")))
		if err != nil {
			t.Fatal(err)
		}
		common.Stack = s
	}
	return see(t, common.Stack)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// showLogs prints the end of each process's log: they go with the stack.
func (r *rig) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(r.dir, "logs", "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		r.t.Logf("%s:\n%s", filepath.Base(path), text[max(0, len(text)-4000):])
	}
}

// as is a client of the first gateway on behalf of somebody.
func (r *rig) as(user string) *client.Client { return r.asAt(user, 0) }

func (r *rig) asAt(user string, gateway int) *client.Client {
	r.t.Helper()
	return r.connect(r.URLs[gateway], "dev:"+user)
}

// connect makes a client of a gateway, or of what stands before one. Its answers are judged.
func (r *rig) connect(address, token string) *client.Client {
	r.t.Helper()
	c, err := client.New(address, token)
	r.must(err)
	return c.Through(judged.over)
}

// must fails the test at an error.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// temporal is a client of the stack's Temporal server.
func (r *rig) temporal() temporal.Client {
	r.t.Helper()
	c, err := temporal.DialContext(r.ctx, temporal.Options{HostPort: r.Temporal, Logger: slog.New(slog.DiscardHandler)})
	r.must(err)
	r.t.Cleanup(c.Close)
	return c
}

// ask gives a command and waits until it has taken hold.
func (r *rig) ask(c *client.Client, id video.ID, command video.Command) client.Video {
	r.t.Helper()
	v, err := c.Command(r.ctx, id, command, video.CommandBody{})
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return v
}

// offset is how many bytes of an upload are stored.
func (r *rig) offset(c *client.Client, id video.ID) int64 {
	r.t.Helper()
	v, err := c.Video(r.ctx, id)
	r.must(err)
	if v.Upload == nil {
		return 0
	}
	return v.Upload.Offset
}

// until waits for a condition, at most so long, and fails the test otherwise.
func (r *rig) until(what string, atMost time.Duration, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(atMost); ; {
		if holds() {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("after %v still not so: %s", atMost, what)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// stage waits until a video is in a stage.
func (r *rig) stage(c *client.Client, id video.ID, want video.Stage, atMost time.Duration) client.Video {
	r.t.Helper()
	var v client.Video
	r.until(fmt.Sprintf("video %s is %s", id, want), atMost, func() bool {
		var err error
		v, err = c.Video(r.ctx, id)
		return err == nil && v.Stage == want
	})
	return v
}

// erased waits until the receipt of a video is closed, and checks that no store
// shows anything of it but the ledger's record.
func (r *rig) erased(id video.ID, atMost time.Duration) {
	r.t.Helper()
	r.until("the receipt of "+string(id)+" is closed", atMost, func() bool {
		_, err := r.as("me").Receipt(r.ctx, id)
		return err == nil
	})
	r.nothingOf(id)
}

// nothingOf lists every store: versions, delete markers, unfinished multiparts.
func (r *rig) nothingOf(id video.ID) {
	r.t.Helper()
	for _, store := range r.stores {
		found, err := store.Inventory(r.ctx, id.Prefix(), func(e objects.Entry) error {
			r.t.Errorf("%s still has %s %s", store.Name(), e.Kind, e.Key)
			return nil
		})
		if err != nil {
			r.t.Error(err)
		}
		if !found.Empty() {
			r.t.Errorf("%s shows %+v of the video", store.Name(), found)
		}
		if _, err := store.Stat(r.ctx, id.LedgerKey(), ""); err != nil {
			r.t.Errorf("%s has no ledger record: %v", store.Name(), err)
		}
	}
}

// encoders counts the ffmpeg processes that the stack's workers run.
func (r *rig) encoders() int {
	count := 0
	for _, w := range r.Workers {
		count += encodersOf(w)
	}
	return count
}

func encodersOf(w *stack.Process) int {
	out, _ := exec.Command("ps", "--ppid", strconv.Itoa(w.Pid()), "-o", "comm=").Output()
	return strings.Count(string(out), "ffmpeg")
}

// plays has ffprobe decode all of what a viewer would be given.
func (r *rig) plays(c *client.Client, id video.ID) {
	r.t.Helper()
	p, err := c.Playback(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-xerror", "-i", p.HLS, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		r.t.Errorf("what plays is damaged: %v\n%s", err, out)
	}
}

// clips keeps what clip generated for the length of the test binary.
var clips = struct {
	sync.Mutex
	made map[string]string
	dir  string
}{made: map[string]string{}}

func TestMain(m *testing.M) {
	if os.Getenv(aimVariable) != "" {
		if err := attackAsTold(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "reelflow-clips-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	clips.dir = dir
	http.DefaultClient.Transport = judged.over(http.DefaultTransport)
	code := max(m.Run(), judged.sum())
	if common.Stack != nil {
		if err := common.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// clip generates a 9:16 video with sound, so many seconds long; noise makes it
// slow to encode and large.
func clip(t *testing.T, seconds, width int, noise bool) string {
	t.Helper()
	path, err := makeClip(seconds, width, noise)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func makeClip(seconds, width int, noise bool) (path string, err error) {
	name := fmt.Sprintf("%ds-%d-%t.mp4", seconds, width, noise)
	clips.Lock()
	defer clips.Unlock()
	if path := clips.made[name]; path != "" {
		return path, nil
	}
	path = filepath.Join(clips.dir, name)
	picture := fmt.Sprintf("testsrc2=size=%dx%d:rate=30:duration=%d", width, width*16/9/2*2, seconds)
	if noise {
		picture += ",noise=alls=40:allf=t"
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture,
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:duration=%d", seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("generate a clip: %w\n%s", err, out)
	}
	clips.made[name] = path
	return path, nil
}

// upload sends a file and returns the video once every byte is stored.
func (r *rig) upload(c *client.Client, path string) client.Video {
	r.t.Helper()
	v, u := r.announce(c, path)
	if err := u.Run(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// send runs an upload beside the test, which reads how it ended from the channel.
func (r *rig) send(u *client.Upload) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- u.Run(r.ctx) }()
	return ended
}

// announce makes a video and the upload of a file, not sent yet. Its SHA-256 is
// announced too, so that only the right bytes can become a video.
func (r *rig) announce(c *client.Client, path string) (client.Video, *client.Upload) {
	r.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	size, sum := int64(len(data)), sha256.Sum256(data)
	v, err := c.Create(r.ctx, client.NewVideo{Title: "A clip", Source: client.Source{
		Size: size, Filename: filepath.Base(path), SHA256: hex.EncodeToString(sum[:]),
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return v, &client.Upload{Client: c, URL: v.UploadURL(), File: bytes.NewReader(data), Size: size}
}
