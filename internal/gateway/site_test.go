package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/gateway/problem"
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
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := catalog.Open(t.Context(), catalogtest.URL(t))
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
	(&site{Gateway: g, t: t}).describes()
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
	return read(s.t, response)
}

// read reads an answer to its end.
func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	got := answer{response.StatusCode, response.Header, nil}
	// A stream of events does not end: its status is all that is asked for.
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		var err error
		if got.body, err = io.ReadAll(response.Body); err != nil {
			t.Fatal(err)
		}
	}
	conforms(t, response.Request, got)
	return got
}

// session is the cookie of somebody who has signed in.
func (s *site) session(as string) string {
	s.t.Helper()
	cookie, _, _ := strings.Cut(s.request("", "GET", "/signin?user="+as, "").header.Get("Set-Cookie"), ";")
	return cookie
}

func (s *site) at(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return s.url + path
}

// video decodes an answer that must have this status.
func (s *site) video(a answer, status int) video.Video {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	var v video.Video
	if err := json.Unmarshal(a.body, &v); err != nil {
		s.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// refusal decodes a problem that must have this code and its status.
func (s *site) refusal(a answer, code video.Code) problem.Problem {
	s.t.Helper()
	var p problem.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		s.t.Fatalf("status %d is no problem: %v: %s", a.status, err, a.body)
	}
	if p.Code != code || a.status != problem.StatusOf(code) || p.Status != a.status || a.header.Get("Content-Type") != problem.MediaType || p.Detail == "" {
		s.t.Fatalf("got %d %s %+v, want %s", a.status, a.header.Get("Content-Type"), p, code)
	}
	return p
}

// made is a new video of somebody.
func (s *site) made(as, body string) video.Video {
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
		v.Media = []byte(`{"duration_seconds":7.5,"width":720,"height":1280,"video_codec":"h264","frame_rate":29.97,"rotation":90,` +
			`"previews":{"interval_seconds":1,"columns":8,"rows":1,"tile_width":90,"tile_height":160,"count":8}}`)
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
	err := vault.WithKey(ctx, s.vault, leg.Video, func(k vault.Key) (err error) {
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
