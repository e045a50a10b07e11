package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// site is a gateway on a real catalog and vault, with stores in memory and
// lives that do what workflows would, at once.
type site struct {
	*Gateway
	t     *testing.T
	url   string
	lives *fakeLives
}

func newSite(t *testing.T) *site { return newSiteOf(t, func(*Settings) {}) }

// newSiteOf is a site with other settings than the usual.
func newSiteOf(t *testing.T, change func(*Settings)) *site {
	t.Helper()
	t.Parallel()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := catalog.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	stores := objects.Set{Primary: objectstest.NewMemory("primary"), Backups: []objects.Store{objectstest.NewMemory("backup-a")}}
	lives := &fakeLives{catalog: c, inputs: map[video.ID]video.LifecycleInput{}, uploaded: map[video.ID]int{}}
	settings := Settings{Auth: "dev", MaxBytes: 1 << 20, MaxDuration: 10 * time.Minute, Policy: video.Policy{UploadIdle: time.Hour}}
	change(&settings)
	g, err := newGateway(settings, c, v, stores, lives, log)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error("run:", err)
		}
		server.Close()
		if err := errors.Join(c.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	})
	return &site{Gateway: g, t: t, url: server.URL, lives: lives}
}

// fakeLives are lives that take hold in the catalog at once.
type fakeLives struct {
	catalog *catalog.Catalog

	mu       sync.Mutex
	down     bool
	slow     time.Duration // how long a command takes to hold
	stuck    *Obstacle     // no life answers; each keeps what it is told
	deaf     bool          // nor is it known why
	refuse   error         // of every command
	inputs   map[video.ID]video.LifecycleInput
	over     map[video.ID]bool
	uploaded map[video.ID]int
	told     []told // signals that were recorded, in order
	heard    int    // of those, how many were taken up
	updates  int    // commands that were sent as updates
}

// told is a signal.
type told struct {
	id video.ID
	c  video.Command
	r  video.CommandRequest
}

func (f *fakeLives) reach(id video.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return outage(errors.New("connection refused"))
	}
	if _, started := f.inputs[id]; !started || f.over[id] {
		return notRunning(errors.New("no such workflow"))
	}
	return nil
}

func (f *fakeLives) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeLives) input(id video.ID) (video.LifecycleInput, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.inputs[id]
	return in, ok
}

func (f *fakeLives) Start(_ context.Context, in video.LifecycleInput) error {
	if err := f.reach(in.ID); video.CodeOf(err) == video.Unavailable {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.inputs[in.ID]; !again {
		f.inputs[in.ID] = in
	}
	return nil
}

func (f *fakeLives) Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (func(context.Context) (video.Status, error), error) {
	if err := f.reach(id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	stuck, deaf := f.stuck, f.deaf
	f.updates++
	f.mu.Unlock()
	switch {
	case deaf || stuck != nil && stuck.Reason == noWorker:
		<-ctx.Done()
		return nil, outage(ctx.Err())
	case stuck != nil:
		return nil, blocked(errors.New("it takes no updates"))
	}
	row, err := f.catalog.Video(ctx, id)
	if err == nil {
		err = cmp.Or(f.refuse, row.State().Check(c))
	}
	return func(ctx context.Context) (video.Status, error) {
		if err != nil {
			return video.Status{}, err
		}
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
			return video.Status{}, outage(ctx.Err())
		}
		return f.take(ctx, id, c, r)
	}, nil
}

func (f *fakeLives) Signal(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error {
	if err := f.reach(id); err != nil {
		return err
	}
	f.mu.Lock()
	f.told = append(f.told, told{id, c, r})
	stuck := f.stuck != nil || f.deaf
	f.mu.Unlock()
	if stuck {
		return nil
	}
	return f.hear(ctx)
}

// hear takes up the signals that were recorded and not heard yet.
func (f *fakeLives) hear(ctx context.Context) error {
	f.mu.Lock()
	unheard := f.told[f.heard:]
	f.heard = len(f.told)
	f.mu.Unlock()
	for _, s := range unheard {
		row, err := f.catalog.Video(ctx, s.id)
		if err != nil {
			return err
		}
		state := row.State()
		state.Ending, state.Stage = row.Ending, row.Stage // as the life knows it
		if state.Check(s.c) != nil || state.Repeats(s.c) {
			continue
		}
		if _, err := f.take(ctx, s.id, s.c, s.r); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeLives) Obstacle(_ context.Context, id video.ID) (*Obstacle, error) {
	if err := f.reach(id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck == nil {
		return nil, nil
	}
	o := *f.stuck
	return &o, nil
}

// stick makes all lives keep what they are told, for a reason; nil lets them go on.
func (f *fakeLives) stick(why *Obstacle) {
	f.mu.Lock()
	f.stuck = why
	f.mu.Unlock()
	if why == nil {
		_ = f.hear(context.Background()) // what failed shows in the rows
	}
}

// signals returns the commands that a life was told by signal.
func (f *fakeLives) signals(id video.ID) (all []told) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.told {
		if s.id == id {
			all = append(all, s)
		}
	}
	return all
}

// take makes a command take hold.
func (f *fakeLives) take(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (video.Status, error) {
	row, err := f.catalog.Video(ctx, id)
	if err != nil {
		return video.Status{}, err
	}
	now, err := f.catalog.ControlOf(ctx, id)
	if err != nil {
		return video.Status{}, err
	}
	now.Epoch++
	stage := row.Stage
	switch c {
	case video.Pause, video.Resume:
		now.Paused = c == video.Pause
	case video.Cancel:
		stage, now.Ending, now.Draft = video.Purging, video.ByCancellation, r.KeepDraft
		if r.KeepDraft {
			stage, now.Ending = video.Draft, ""
		}
	case video.Delete:
		now.Ending = video.ByDeletion
		if stage = video.Purging; row.Stage == video.Published || row.Stage == video.PendingDeletion {
			stage = video.PendingDeletion
		}
	case video.Hold, video.Release:
		now.Held = c == video.Hold
	case video.Approve:
		stage = video.Scheduled
	}
	_, err = f.catalog.Control(ctx, now, func(v *catalog.Video) {
		v.Stage = stage
		if c == video.Approve {
			v.Decisions = append(v.Decisions, c)
		}
		if c == video.Delete && v.HiddenAt.IsZero() {
			v.HiddenAt = time.Now()
		}
	})
	return video.Status{ID: id, Stage: stage, Paused: now.Paused, Ending: now.Ending}, err
}

func (f *fakeLives) Uploaded(_ context.Context, id video.ID) error {
	if err := f.reach(id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uploaded[id]++
	return nil
}

func (f *fakeLives) Ready(context.Context) error {
	if err := f.reach(""); video.CodeOf(err) == video.Unavailable {
		return err
	}
	return nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request sends one as somebody: "" is nobody. Body is sent as JSON unless it is empty.
func (s *site) request(as, method, path, body string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.at(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer dev:"+as)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	got := answer{response.StatusCode, response.Header, nil}
	// A stream of events does not end: its status is all that is asked for.
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		if got.body, err = io.ReadAll(response.Body); err != nil {
			s.t.Fatal(err)
		}
	}
	return got
}

func (s *site) at(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return s.url + path
}

// video decodes an answer that must have this status.
func (s *site) video(a answer, status int) Video {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	var v Video
	if err := json.Unmarshal(a.body, &v); err != nil {
		s.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// refusal decodes a problem that must have this code and its status.
func (s *site) refusal(a answer, code video.Code) Problem {
	s.t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		s.t.Fatalf("status %d is no problem: %v: %s", a.status, err, a.body)
	}
	if p.Code != code || a.status != statuses[code] || p.Status != a.status || a.header.Get("Content-Type") != problemType || p.Detail == "" {
		s.t.Fatalf("got %d %s %+v, want %s", a.status, a.header.Get("Content-Type"), p, code)
	}
	return p
}

// made is a new video of somebody.
func (s *site) made(as, body string) Video {
	s.t.Helper()
	return s.video(s.request(as, "POST", "/v1/videos", body), http.StatusCreated)
}

// in is a video of "owner" in a stage of its life.
func (s *site) in(stage video.Stage, visibility string) video.ID {
	s.t.Helper()
	id := s.made("owner", `{"title":"Waves","visibility":"`+visibility+`","reviewers":["reviewer"]}`).ID
	s.move(id, stage)
	return id
}

// move takes a video to a stage, the purged ones through the vault and the ledger.
func (s *site) move(id video.ID, stage video.Stage) {
	s.t.Helper()
	row, err := s.catalog.ControlOf(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	row.Epoch++
	switch stage {
	case video.PendingDeletion, video.Purging, video.Purged:
		row.Ending = video.ByDeletion
	case video.Rejected:
		row.Ending = video.ByRejection
	case video.Canceled:
		row.Ending = video.ByCancellation
	case video.Draft:
		row.Draft = true
	}
	_, err = s.catalog.Control(s.t.Context(), row, func(v *catalog.Video) {
		v.Stage = stage
		if stage == video.Published {
			v.PublishedAt = time.Now()
		}
		if stage == video.Rejected {
			v.Failure = &video.Rejection{Code: "not_a_video", Message: "This is not a video."}
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if stage == video.Purging || stage == video.Purged {
		s.erase(id, row.Ending, stage == video.Purged)
	}
}

func (s *site) erase(id video.ID, reason video.Ending, forget bool) {
	s.t.Helper()
	ctx := s.t.Context()
	record, err := s.vault.Destroy(ctx, vault.Intent{ID: id, Reason: string(reason)})
	if err != nil || !forget {
		if err != nil {
			s.t.Fatal(err)
		}
		return
	}
	err = s.catalog.RecordLedger(ctx, catalog.Ledger{VideoSHA256: id.Hash(), Reason: reason, HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt})
	if err == nil {
		err = s.catalog.Forget(ctx, id, video.Receipt{VideoSHA256: id.Hash(), Reason: reason, HiddenAt: record.HiddenAt,
			KeyDestroyedAt: record.KeyDestroyedAt, Stores: []video.StoreReceipt{{Store: "primary", Removed: video.Counts{Objects: 3, Versions: 3}}}})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// film is the manifest of a packaged video in two renditions, with what rests in the store.
type film struct {
	source   []byte
	segments map[string][][]byte // plain, by rendition
	poster   []byte
}

// packaged puts a film into the store and the manifest of a video.
func (s *site) packaged(id video.ID) film {
	s.t.Helper()
	f := film{poster: []byte("\xff\xd8poster"), segments: map[string][][]byte{
		"720p": {bytes.Repeat([]byte("a"), 5000), bytes.Repeat([]byte("b"), 3000)},
		"480p": {bytes.Repeat([]byte("c"), 2000), bytes.Repeat([]byte("d"), 1000)},
	}}
	row, err := s.catalog.ControlOf(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	leg := catalog.Leg{Video: id, Epoch: row.Epoch + 1}
	err = s.catalog.Enter(s.t.Context(), leg, func(v *catalog.Video) {
		v.Media = []byte(`{"duration_seconds":7.5,"width":720,"height":1280,"video_codec":"h264","frame_rate":{"num":30000,"den":1001},"rotation":90}`)
		v.Renditions = []byte(`[{"name":"720p","width":720,"height":1280,"bitrate":2000000,"codecs":"avc1.64001f,mp4a.40.2","frame_rate":29.97002997002997},` +
			`{"name":"480p","width":480,"height":854,"bitrate":900000}]`)
		v.Unit, v.Done, v.Total = "segments", 4, 4
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, part := range []string{"first part, ", "second part, ", "third"} {
		s.store(leg, catalog.Object{Kind: catalog.KindSource, Offset: int64(len(f.source)), PlainSize: int64(len(part))}, []byte(part))
		f.source = append(f.source, part...)
	}
	s.store(leg, catalog.Object{Kind: catalog.KindPoster}, f.poster)
	for rendition, segments := range f.segments {
		for i, plain := range segments {
			s.store(leg, catalog.Object{Kind: catalog.KindSegment, Rendition: rendition, Index: i, Duration: 3.75}, plain)
		}
	}
	return f
}

// store seals or encrypts what is plain, and records it.
func (s *site) store(leg catalog.Leg, o catalog.Object, plain []byte) {
	s.t.Helper()
	ctx := s.t.Context()
	name := strings.ToLower(string(video.NewID()))
	o.Video, o.Store = leg.Video, "primary"
	o.Key = leg.Video.Prefix() + o.Kind + "/" + name
	if o.Kind == catalog.KindSegment {
		o.Key = leg.Video.Prefix() + "hls/" + o.Rendition + "/" + name + ".ts"
	}
	var sealed []byte
	err := s.withKey(ctx, leg.Video, func(k vault.Key) (err error) {
		if o.Kind != catalog.KindSegment {
			sealed, err = k.Seal(o.Key, nil, plain)
			return err
		}
		key, err := k.SegmentKey(o.Rendition, o.Index)
		iv := [16]byte{1, 2, 3, byte(o.Index)}
		o.IV, sealed = iv[:], vault.EncryptSegment(key, iv, plain)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	o.PlainSize, o.Size = int64(len(plain)), int64(len(sealed))
	intended, err := s.catalog.Intend(ctx, leg, []catalog.Object{o})
	if err != nil {
		s.t.Fatal(err)
	}
	if intended[0].Version, err = s.stores.Primary.Put(ctx, o.Key, sealed, objects.PutOptions{}); err == nil {
		err = s.catalog.Commit(ctx, leg, intended[0])
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
