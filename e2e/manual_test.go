package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/commandtest"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// The scripts that are a manual of the command line pass against everything that
// really runs, as they do against the fake of their own package. Each is somebody else.
func TestManualOnTheRealGateway(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: []string{"REELFLOW_CANCEL_GRACE=5m", "REELFLOW_MAX_BYTES=1000000"}})
	files, err := filepath.Glob(filepath.Join(root(t), "starter", "testdata", "*.txtar"))
	r.must(err)
	if len(files) == 0 {
		t.Fatal("there is no manual")
	}
	commandtest.Run(t, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			token := "dev:" + filepath.Base(env.WorkDir)
			seen := &onlooker{ctx: r.ctx}
			server, err := seen.between(r.URLs[0])
			if err != nil {
				return err
			}
			env.Defer(func() { server.CloseClientConnections(); server.Close() })
			seen.gateway = r.connect(r.URLs[0], token)
			env.Values[onlookerKey{}] = seen
			env.Setenv("REELFLOW_URL", server.URL)
			env.Setenv("REELFLOW_TOKEN", token)
			env.Setenv("PATH", filepath.Join(root(t), "bin")+string(os.PathListSeparator)+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]commandtest.Command{
			"makevideo": func(ts *testscript.TestScript, _ bool, args []string) { paddedVideo(ts, 1, args) },
			"makeother": func(ts *testscript.TestScript, _ bool, args []string) { paddedVideo(ts, 2, args) },
			"sent":      partSent,
			"arrived":   allArrived,
			"followed":  followedBy,
		},
	})
}

type onlookerKey struct{}

// onlooker knows what the gateway has of a script's person, and counts the streams of
// events that have begun: it stands between the two.
type onlooker struct {
	ctx     context.Context
	gateway *client.Client
	streams atomic.Int64
}

func (o *onlooker) between(gateway string) (*httptest.Server, error) {
	target, err := url.Parse(gateway)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	proxy.Transport = judged.over(http.DefaultTransport) // what the command line is answered
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy.ModifyResponse = func(answer *http.Response) error {
		if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
			answer.Body = &begun{ReadCloser: answer.Body, count: &o.streams}
		}
		return nil
	}
	return httptest.NewServer(proxy), nil
}

// begun counts itself at its first bytes.
type begun struct {
	io.ReadCloser
	count *atomic.Int64
}

func (b *begun) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.count != nil {
		b.count.Add(1)
		b.count = nil
	}
	return n, err
}

// newest is the last video of the script's person.
func newest(ts *testscript.TestScript) client.Video {
	o := ts.Value(onlookerKey{}).(*onlooker)
	page, _, err := o.gateway.Videos(o.ctx, "", "")
	ts.Check(err)
	if len(page) == 0 {
		return client.Video{}
	}
	return page[0]
}

func scriptWaits(ts *testscript.TestScript, what string, holds func() bool) {
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("after a minute still not so: %s", what)
		}
	}
}

// sent BYTES waits until so many bytes of the newest upload are stored, and not all.
func partSent(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	scriptWaits(ts, args[0]+" bytes are stored of the newest upload", func() bool {
		v := newest(ts)
		return v.Stage == video.Uploading && v.Upload != nil && v.Upload.Offset >= want && v.Upload.Offset < *v.Upload.Length
	})
}

// arrived FILE checks that the newest video was made of a file of this size. That it is
// this file, the gateway has checked by the hash it was told.
func allArrived(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	v := newest(ts)
	if v.Upload == nil || v.Upload.Offset != info.Size() || v.Stage == video.Rejected {
		ts.Fatalf("of %d bytes came what %s shows", info.Size(), v.Raw)
	}
}

// followed N waits until N streams of events have begun.
func followedBy(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	scriptWaits(ts, args[0]+" streams of events have begun", func() bool {
		return ts.Value(onlookerKey{}).(*onlooker).streams.Load() >= want
	})
}

// paddedVideo FILE BYTES writes a video of exactly that size: a short one, and a box
// `free` of random bytes (ISO/IEC 14496-12, section 8.1.2). No bytes are no video.
func paddedVideo(ts *testscript.TestScript, which byte, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	if size == 0 {
		ts.Check(os.WriteFile(path, nil, 0o600))
		return
	}
	made := exec.Command("ffmpeg", "-nostdin", "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=1",
		"-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "40", "-bsf:v", "filter_units=remove_types=6", "-f", "mp4", path)
	if out, err := made.CombinedOutput(); err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
	film, err := os.ReadFile(path)
	ts.Check(err)
	if size < len(film)+8 {
		ts.Fatalf("the least video has %d bytes", len(film)+8)
	}
	box := make([]byte, size-len(film))
	rand.NewChaCha8(sha256.Sum256([]byte{which})).Read(box)
	binary.BigEndian.PutUint32(box, uint32(len(box)))
	copy(box[4:], "free")
	ts.Check(os.WriteFile(path, slices.Concat(film, box), 0o600))
}
