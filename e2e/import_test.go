package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

var importing = []string{"REELFLOW_IMPORT_ALLOW=127.0.0.1"}

// aToken is part of the address of each import and must be found nowhere.
const aToken = "an-import-token-of-somebody"

// source is a web server that gives one file slowly, in ranges too.
type source struct {
	*httptest.Server
	data []byte
	pace *rate.Limiter // bytes a second, of all connections together
	sent atomic.Int64
}

func newSource(t *testing.T, path string, seconds int) *source {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{data: data, pace: rate.NewLimiter(rate.Limit(len(data)/seconds), piece)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

const piece = 16 << 10

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"one"`)
	http.ServeContent(&paced{w, s, r.Context()}, r, "clip.mp4", time.Time{}, bytes.NewReader(s.data))
}

type paced struct {
	http.ResponseWriter
	source *source
	ctx    context.Context
}

func (p *paced) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		n := min(len(b), piece)
		if err = p.source.pace.WaitN(p.ctx, n); err != nil {
			break
		}
		n, err = p.ResponseWriter.Write(b[:n])
		p.source.sent.Add(int64(n))
		written += n
		b = b[n:]
	}
	return written, err
}

// imports begins an import. Only the right bytes can become the video.
func (r *rig) imports(c *client.Client, s *source) video.ID {
	r.t.Helper()
	sum := sha256.Sum256(s.data)
	v, err := c.Create(r.ctx, client.NewVideo{Source: client.Source{
		URL: s.URL + "/clip.mp4?token=" + aToken, SHA256: hex.EncodeToString(sum[:]),
	}})
	r.must(err)
	if v.Upload == nil || v.Upload.URL != nil {
		r.t.Errorf("an import is uploaded to %+v", v.Upload)
	}
	return v.ID
}

// An import is paused, and its worker is harmed, in the middle: it goes on from
// what is stored, and the right bytes become the video.
func TestImportPausedAndHarmed(t *testing.T) {
	harmed(t, stack.Options{Workers: 2, Env: importing}, func(r *rig, h harm) {
		me, s := r.as("me"), newSource(r.t, clip(r.t, 12, 540, true), 12)
		id, size := r.imports(me, s), int64(len(s.data))
		r.until("some of it is stored", 20*time.Second, func() bool { return r.offset(me, id) > size/10 })
		began := time.Now()
		r.ask(me, id, video.Pause)
		r.t.Logf("paused after %v", time.Since(began))
		if took := time.Since(began); took > pauseBound {
			r.t.Errorf("the pause took %v", took)
		}
		r.still(me, id)
		sent := s.sent.Load()
		time.Sleep(300 * time.Millisecond)
		if more := s.sent.Load() - sent; more != 0 {
			r.t.Errorf("%d bytes were fetched while it was paused", more)
		}
		if v, err := me.Video(r.ctx, id); err != nil || v.Progress == nil || v.Progress.Done == 0 || v.Progress.Total != size {
			r.t.Errorf("progress: %+v, %v", v.Progress, err)
		}
		r.ask(me, id, video.Resume)
		r.until("half of it is stored", 30*time.Second, func() bool { return r.offset(me, id) > size/2 })
		back := h.do(r, r.busyWith(id, "Import"))
		r.stage(me, id, video.Published, 3*time.Minute)
		again := s.sent.Load() - size
		r.t.Logf("of %d bytes %d were fetched again", size, again)
		// What was in memory at the pause and the harm, twice what a worker holds.
		if h.name == "killed" && again > 2*(8<<20+4<<21) {
			r.t.Errorf("%d bytes were fetched again", again)
		}
		r.hides(aToken)
		r.publishedAndErased(me, id, back)
	})
}

// hides looks for a word in everything that the stack keeps and logs.
func (r *rig) hides(word string) {
	r.t.Helper()
	files := 0
	r.must(filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it has just gone
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		if bytes.Contains(text, []byte(word)) {
			r.t.Errorf("%s holds %q", path, word)
		}
		return nil
	}))
	if files < 5 {
		r.t.Errorf("looked at %d files only", files)
	}
}

func TestImportCanceled(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: importing})
	me, s := r.as("me"), newSource(t, clip(t, 12, 540, true), 20)
	id := r.imports(me, s)
	r.until("some of it is stored", 20*time.Second, func() bool { return r.offset(me, id) > 0 })
	r.ask(me, id, video.Cancel)
	r.erased(id, time.Minute)
	r.wantReceipt(id, video.ByCancellation)
	sent := s.sent.Load()
	time.Sleep(500 * time.Millisecond)
	if s.sent.Load() != sent || sent == int64(len(s.data)) {
		t.Errorf("after the cancel %d bytes were fetched; %d before", s.sent.Load()-sent, sent)
	}
	r.nothingOf(id)
}

// What can't be fetched is a rejection with a reason that its author can read.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: append([]string{"REELFLOW_REJECTED_TTL=5s"}, importing...)})
	me := r.as("me")
	nothing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nothing.Close)
	lead := httptest.NewServer(http.RedirectHandler("http://[::1]:80/", http.StatusFound))
	t.Cleanup(lead.Close)
	for _, address := range []string{nothing.URL, lead.URL} {
		v, err := me.Create(r.ctx, client.NewVideo{Source: client.Source{URL: address}})
		r.must(err)
		v = r.stage(me, v.ID, video.Rejected, 30*time.Second)
		if v.Failure == nil || v.Failure.Code != "unsupported" || v.Failure.Message == "" {
			t.Errorf("failure: %+v", v.Failure)
		}
		r.erased(v.ID, time.Minute)
	}
	for _, address := range []string{"http://localhost/", "http://10.0.0.1/", "file:///etc/passwd", "http://[::1]/"} {
		if _, err := me.Create(r.ctx, client.NewVideo{Source: client.Source{URL: address}}); video.CodeOf(err) != video.Invalid {
			t.Errorf("%s: %v", address, err)
		}
	}
}
