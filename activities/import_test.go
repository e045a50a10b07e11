package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// origin is a web server with one file.
type origin struct {
	*httptest.Server
	file    []byte
	etag    string
	ranges  bool
	chunked bool         // gives no length
	status  int          // instead of the file
	stop    atomic.Int64 // sends nothing beyond this offset, and waits
	stopped chan struct{}
	sent    atomic.Int64
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.status != 0 {
		w.WriteHeader(o.status)
		return
	}
	first, last := 0, len(o.file)-1
	w.Header().Set("ETag", o.etag)
	n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
	guard := r.Header.Get("If-Range")
	partial := n == 2 && o.ranges && (guard == "" || guard == o.etag)
	if !partial {
		first, last = 0, len(o.file)-1
	}
	last = min(last, len(o.file)-1)
	if !o.chunked {
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
	}
	if partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.file)))
		w.WriteHeader(http.StatusPartialContent)
	}
	for at := first; at <= last; {
		if stop := int(o.stop.Load()); stop > 0 && at >= stop {
			w.(http.Flusher).Flush()
			select {
			case o.stopped <- struct{}{}:
			default:
			}
			<-r.Context().Done()
			return
		}
		n, err := w.Write(o.file[at:min(at+64<<10, last+1)])
		if err != nil {
			return
		}
		o.sent.Add(int64(n))
		at += n
	}
}

const importSize = 20<<20 + 321

// importing makes the rig's video one that is fetched from a server.
func (r *rig) importing(length int64) *origin {
	o := &origin{file: make([]byte, importSize), etag: `"one"`, ranges: true, stopped: make(chan struct{}, 1)}
	random := rand.NewChaCha8([32]byte{3})
	random.Read(o.file)
	o.Server = httptest.NewServer(o)
	r.t.Cleanup(o.Close)
	r.Fetch = fetch.New(fetch.Policy{Allow: []string{"127.0.0.1"}, MaxBytes: 64 << 20})
	r.t.Cleanup(r.Fetch.Close)
	r.id = video.NewID()
	r.must(r.Vault.Make(r.ctx, r.id))
	plain, err := json.Marshal(fetch.Origin{URL: o.URL + "/clip.mp4?token=secret"})
	r.must(err)
	var sealed []byte
	r.must(r.withKey(r.ctx, r.id, func(k vault.Key) (err error) {
		sealed, err = k.SealColumn(fetch.OriginColumn(r.id), plain)
		return err
	}))
	token := sha256.Sum256([]byte(r.id))
	r.must(r.Catalog.CreateVideo(r.ctx, catalog.Video{ID: r.id, Owner: "owner", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: r.id, TokenHash: token[:], Length: length, Sealed: sealed, Idle: time.Hour}))
	return o
}

// offset is how much is stored.
func (r *rig) offset() int64 {
	r.t.Helper()
	u, err := r.Catalog.UploadOf(r.ctx, r.id)
	r.must(err)
	return u.Offset
}

// awaitSegment waits until a whole segment is stored of what the source has sent,
// and the rest of that has had time to be read.
func (r *rig) awaitSegment() {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); r.offset() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal("nothing is stored of what has come")
		}
	}
	time.Sleep(100 * time.Millisecond)
}

// arrived checks that the upload is complete and holds the file, byte for byte.
func (r *rig) arrived(o *origin) {
	r.t.Helper()
	u, err := r.Catalog.UploadOf(r.ctx, r.id)
	r.must(err)
	want := sha256.Sum256(o.file)
	sum, _, err := manifest.UploadHashes(r.ctx, r.Vault, u)
	r.must(err)
	if u.FinishedAt.IsZero() || !u.Announced || !bytes.Equal(sum, want[:]) || u.Holder != "" {
		r.t.Errorf("the upload: %+v", u)
	}
	open, err := r.source(r.ctx, r.id)
	r.must(err)
	reader, err := open(r.ctx)
	r.must(err)
	stored, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(stored, o.file) {
		r.t.Errorf("stored are %d bytes that are not the file's %d, %v", len(stored), len(o.file), err)
	}
}

func (r *rig) accepted(leg workflows.Leg) {
	r.t.Helper()
	got, err := r.Import(r.ctx, leg)
	if err != nil || got.Rejected != nil {
		r.t.Fatalf("the import: %+v, %v", got.Rejected, err)
	}
}

func (r *rig) rejects(leg workflows.Leg, code string) {
	r.t.Helper()
	got, err := r.Import(r.ctx, leg)
	if err != nil || got.Rejected == nil || got.Rejected.Code != code || strings.Contains(got.Rejected.Message, "127.0.0.1") {
		r.t.Errorf("the import: %+v, %v, want %s", got.Rejected, err, code)
	}
}

// killed runs an attempt that dies when the source stands still at an offset.
func (r *rig) killed(leg workflows.Leg, o *origin, at int64) error {
	r.t.Helper()
	o.stop.Store(at)
	ctx, kill := context.WithCancel(r.ctx)
	ended := make(chan error, 1)
	go func() {
		got, err := r.Import(ctx, leg)
		if got.Rejected != nil {
			err = fmt.Errorf("rejected: %+v", got.Rejected)
		}
		ended <- err
	}()
	select {
	case <-o.stopped:
	case err := <-ended:
		kill()
		return err
	}
	r.awaitSegment()
	kill()
	err := <-ended
	o.stop.Store(0)
	return err
}

func TestImportInEveryWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, set := range map[string]func(*origin){
		"ranges": func(*origin) {}, "no ranges": func(o *origin) { o.ranges = false },
		"no length": func(o *origin) { o.ranges, o.chunked = false, true }, "no validator": func(o *origin) { o.etag = "" },
	} {
		t.Run(name, func(t *testing.T) {
			o := r.importing(-1)
			set(o)
			r.accepted(r.leg(1))
			r.arrived(o)
			r.accepted(r.leg(1)) // its answer was lost
			if sent := o.sent.Load(); sent > importSize {
				t.Errorf("%d bytes were sent for a file of %d", sent, importSize)
			}
		})
	}
}

func TestImportIsTakenUpWhereItStood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		set   func(*origin)
		again int64 // bytes sent at most
	}{
		"ranges":       {func(*origin) {}, importSize - 15<<20 + seam},
		"no validator": {func(o *origin) { o.etag = "" }, importSize - 15<<20 + seam},
		"no ranges":    {func(o *origin) { o.ranges = false }, importSize},
		"no length":    {func(o *origin) { o.ranges, o.chunked = false, true }, importSize},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.importing(-1)
			c.set(o)
			if err := r.killed(r.leg(1), o, 15<<20); err == nil {
				t.Fatal("it was not killed")
			}
			// What had come is kept, though it was no whole segment.
			if kept := r.offset(); kept != 15<<20 {
				t.Errorf("%d bytes were kept", kept)
			}
			o.sent.Store(0)
			r.accepted(r.leg(2))
			r.arrived(o)
			if o.sent.Load() > c.again {
				t.Errorf("%d bytes were sent again, not %d", o.sent.Load(), c.again)
			}
		})
	}
}

func TestSourceThatIsAnotherOneLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct{ before, after func(*origin) }{
		"by its ETag":                 {func(*origin) {}, func(o *origin) { o.etag = `"two"` }},
		"by the seam":                 {func(o *origin) { o.etag = "" }, func(o *origin) { o.file[12<<20-5]++ }},
		"by its hash":                 {func(o *origin) { o.etag, o.ranges = "", false }, func(o *origin) { o.file[77]++ }},
		"by its length":               {func(o *origin) { o.etag, o.ranges = "", false }, func(o *origin) { o.file = o.file[:len(o.file)-1] }},
		"by its end, before the seam": {func(o *origin) { o.etag, o.ranges, o.chunked = "", false, true }, func(o *origin) { o.file = o.file[:9<<20] }},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.importing(-1)
			c.before(o)
			if err := r.killed(r.leg(1), o, 12<<20); err == nil {
				t.Fatal("it was not killed")
			}
			c.after(o)
			r.rejects(r.leg(2), "damaged")
		})
	}
}

// Before a byte is stored a source may change as it likes.
func TestSourceThatChangesBeforeItsFirstByteIsStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.importing(-1)
	primary := r.Stores.Primary
	r.Stores.Primary = objectstest.Faulty(primary, func(op objectstest.Op, _ string) error {
		if op == objectstest.Put {
			return video.Errorf(video.Unavailable, "down")
		}
		return nil
	})
	if _, err := r.Import(r.ctx, r.leg(1)); video.CodeOf(err) != video.Unavailable {
		t.Fatalf("the store is down: %v", err)
	}
	r.Stores.Primary = primary
	o.etag, o.file[5] = `"two"`, o.file[5]+1
	r.accepted(r.leg(1))
	r.arrived(o)
}

func TestRefusedSources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		announced int64
		set       func(*origin)
		code      string
	}{
		"nothing there":        {-1, func(o *origin) { o.status = 404 }, "unsupported"},
		"not for everybody":    {-1, func(o *origin) { o.status = 403 }, "unsupported"},
		"too large":            {-1, func(o *origin) { o.file = make([]byte, 64<<20+1) }, "too_long"},
		"too large, unsaid":    {-1, func(o *origin) { o.file, o.ranges, o.chunked = make([]byte, 64<<20+1), false, true }, "too_long"},
		"not as announced":     {1000, func(*origin) {}, "damaged"},
		"more than announced":  {1000, func(o *origin) { o.ranges, o.chunked = false, true }, "damaged"},
		"less than announced":  {importSize + 1, func(o *origin) { o.ranges, o.chunked = false, true }, "damaged"},
		"a place not to reach": {-1, func(*origin) { r.Fetch = fetch.New(fetch.Policy{MaxBytes: 64 << 20}) }, "unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.importing(c.announced)
			c.set(o)
			r.rejects(r.leg(1), c.code)
		})
	}
}

func TestSourceThatIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.importing(-1).status = 503
	if got, err := r.Import(r.ctx, r.leg(1)); video.CodeOf(err) != video.Unavailable || got.Rejected != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A pause reaches an import by its lease also where Temporal's word does not.
func TestPauseEndsAnImport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.importing(-1)
	o.stop.Store(11 << 20)
	ended := make(chan error, 1)
	go func() {
		_, err := r.Import(r.ctx, r.leg(1))
		ended <- err
	}()
	<-o.stopped
	r.awaitSegment()
	began := time.Now()
	_, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(2), State: video.State{Stage: video.Uploading, Paused: true}})
	r.must(err)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the pause took %v", took)
	}
	if err := <-ended; video.CodeOf(err) != video.Conflict {
		t.Errorf("ended with %v", err)
	}
	if kept := r.offset(); kept != 11<<20 {
		t.Errorf("%d bytes were kept", kept)
	}
	o.stop.Store(0)
	if _, err := r.Import(r.ctx, r.leg(2)); video.CodeOf(err) != video.Conflict {
		t.Errorf("while paused: %v", err)
	}
	_, err = r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(3), State: video.State{Stage: video.Uploading}})
	r.must(err)
	r.accepted(r.leg(4))
	r.arrived(o)
	if _, err := r.Import(r.ctx, r.leg(3)); video.CodeOf(err) != video.Conflict {
		t.Errorf("a leg that is over: %v", err)
	}
}

// The worker died and its lease runs out: the next attempt waits for that, and
// what the dead one would still write is refused.
func TestImportAfterADeadWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.importing(-1)
	dead, ok, err := r.Catalog.Acquire(r.ctx, r.id, "dead", time.Second)
	if err != nil || !ok {
		t.Fatal(err)
	}
	r.accepted(r.leg(1))
	r.arrived(o)
	lease := catalog.Lease{Video: r.id, Holder: "dead", Epoch: dead}
	if _, err := r.Catalog.IntendSegment(r.ctx, lease, catalog.Object{Store: "primary", Key: manifest.NewKey(r.id, "source/000000000000", "")}); video.CodeOf(err) != video.Conflict {
		t.Errorf("the dead writes: %v", err)
	}
}

// A store that fails in between, answers lost included, costs nothing but time,
// and nothing is left behind.
func TestImportIntoAnUnreliableStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.importing(-1)
	var puts atomic.Int32
	primary := r.Stores.Primary
	down := video.Errorf(video.Unavailable, "down")
	r.Stores.Primary = objectstest.Faulty(primary, func(op objectstest.Op, _ string) error {
		if op != objectstest.Put {
			return nil
		}
		return []error{down, nil, objectstest.AnswerLost(down)}[puts.Add(1)%3]
	})
	for attempt := 0; ; attempt++ {
		got, err := r.Import(r.ctx, r.leg(1))
		if err == nil && got.Rejected == nil {
			break
		}
		if attempt == 20 || video.CodeOf(err) != video.Unavailable {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	r.Stores.Primary = primary
	r.arrived(o)
	stored, err := r.sourceSegments(r.ctx, r.id)
	r.must(err)
	if found := r.inventory(primary); found.Objects != len(stored) || found.Versions != len(stored) {
		t.Errorf("%d segments count, and there are %+v", len(stored), found)
	}
}
