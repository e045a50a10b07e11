package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/gateway/deadlines"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// theatre is a Server on a real catalog and vault, with a store in memory, behind a
// real listener.
type theatre struct {
	*Server
	bounds  *deadlines.Bounds // of every request
	t       testing.TB
	rows    *catalog.Catalog
	keyring vault.Vault
	store   *countingStore
	url     string
	http    *httptest.Server
}

// countingStore counts what is read of a store, and can be held or down.
type countingStore struct {
	*objectstest.Memory
	gets, bytes atomic.Int64 // reads, and bytes that came
	asked       atomic.Int64 // bytes that were asked for
	hold        sync.RWMutex // held for writing: gets wait
	down        atomic.Bool
}

func (c *countingStore) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	c.gets.Add(1)
	c.asked.Add(n)
	c.hold.RLock()
	defer c.hold.RUnlock()
	if c.down.Load() {
		return nil, video.Errorf(video.Unavailable, "The store can't be reached.")
	}
	body, err := c.Memory.Get(ctx, key, version, off, n)
	return &countedBody{body, c}, err
}

type countedBody struct {
	io.ReadCloser
	store *countingStore
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.store.bytes.Add(int64(n))
	return n, err
}

type nameless struct{}

func (nameless) SourceName(context.Context, catalog.Video) (filename, contentType string, err error) {
	return "wäves.mp4", "text/html", nil
}

func open(t testing.TB) *theatre {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalogtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	store := &countingStore{Memory: objectstest.NewMemory("primary")}
	s := New(Parts{
		Secret: bytes.Repeat([]byte{7}, 32), Catalog: c, Vault: v, Primary: store, Host: nameless{},
		Errors: &problem.Answerer{Log: log}, Log: log,
	})
	mux := http.NewServeMux()
	s.Register(mux)
	proxied := origin.Rule{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}} // tests say whom they stand for
	bounds := deadlines.Usual()
	server := httptest.NewServer(bounds.On(proxied.WithOrigin(mux)))
	t.Cleanup(func() {
		server.Close()
		server.Client().CloseIdleConnections()
		s.keys.settle()
		if err := errors.Join(c.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	})
	return &theatre{Server: s, bounds: bounds, t: t, rows: c, keyring: v, store: store, url: server.URL, http: server}
}

// count is how many downloads are under way.
func (o *openDownloads) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}

// settle waits until no loan is shared any more.
func (k *keys) settle() {
	for {
		k.mu.Lock()
		n := len(k.lent)
		k.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(shareTime / 10)
	}
}

// film is a packaged video.
type film struct {
	id       video.ID
	source   []byte
	segments []string // addresses
	sealed   [][]byte // of the segments, as they are served
	poster   []byte
}

const segmentSize = 300_000

// show publishes a video of some segments, whose source has parts of these sizes.
func (h *theatre) show(visibility video.Visibility, segments int, source ...int) *film {
	h.t.Helper()
	ctx, f := h.t.Context(), &film{id: video.NewID(), poster: noise(100_000)}
	h.must(h.keyring.Make(ctx, f.id))
	hash := sha256.Sum256([]byte(f.id))
	h.must(h.rows.CreateVideo(ctx, catalog.Video{ID: f.id, Owner: "owner", Stage: video.Processing, Visibility: string(visibility), AllowDownload: len(source) > 0},
		catalog.Upload{Video: f.id, TokenHash: hash[:], Length: 1}))
	leg := catalog.Leg{Video: f.id, Epoch: 1}
	h.must(h.rows.Enter(ctx, leg, nil))
	for _, size := range source {
		part := noise(size)
		h.put(leg, catalog.Object{Kind: catalog.KindSource, Offset: int64(len(f.source))}, part)
		f.source = append(f.source, part...)
	}
	for i := range segments {
		key, sealed := h.put(leg, segmentOf(i), noise(segmentSize))
		f.segments = append(f.segments, h.url+"/media/"+string(f.id)+"/720p/"+key[strings.LastIndex(key, "/")+1:])
		f.sealed = append(f.sealed, sealed)
	}
	h.put(leg, catalog.Object{Kind: catalog.KindPoster}, f.poster)
	h.put(leg, catalog.Object{Kind: catalog.KindPreview}, []byte("\xff\xd8tiles"))
	h.must(h.rows.Project(ctx, leg, func(v *catalog.Video) {
		v.Renditions = []byte(`[{"name":"720p","width":720,"height":1280}]`)
		v.Media = []byte(`{"duration_seconds":7.5,"previews":{"interval_seconds":1.5,"columns":2,"rows":3,"tile_width":90,"tile_height":160,"count":5}}`)
	}))
	h.move(f.id, 2, video.Published)
	return f
}

// move takes a video to a stage by a later leg.
func (h *theatre) move(id video.ID, epoch int64, stage video.Stage) {
	h.t.Helper()
	_, err := h.rows.Control(h.t.Context(), catalog.Control{Video: id, Epoch: epoch}, func(v *catalog.Video) { v.Stage = stage })
	h.must(err)
}

func (h *theatre) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func noise(size int) []byte {
	random := rand.New(rand.NewPCG(uint64(size), 1))
	all := make([]byte, size)
	for i := range all {
		all[i] = byte(random.Uint32())
	}
	return all
}

// put seals or encrypts plain, and records it.
func (h *theatre) put(leg catalog.Leg, o catalog.Object, plain []byte) (key string, sealed []byte) {
	h.t.Helper()
	ctx := h.t.Context()
	o.Video, o.Store, o.Key = leg.Video, "primary", leg.Video.Prefix()+o.Kind+"/"+strconv.Itoa(o.Index)+string(video.NewID())
	loan, err := h.keyring.Lend(ctx, leg.Video)
	h.must(err)
	defer loan.Release()
	if o.Kind == catalog.KindSegment {
		o.Key += ".ts"
		key, err := loan.Key().SegmentKey(o.Rendition, o.Index)
		h.must(err)
		sealed = vault.EncryptSegment(key, [16]byte(o.IV), plain)
	} else {
		sealed, err = loan.Key().Seal(o.Key, nil, plain)
		h.must(err)
	}
	intended, err := h.rows.Intend(ctx, leg, []catalog.Object{o})
	h.must(err)
	o = intended[0]
	sum := sha256.Sum256(sealed)
	o.PlainSize, o.Size, o.SHA256 = int64(len(plain)), int64(len(sealed)), sum[:]
	o.Version, err = h.store.Put(ctx, o.Key, sealed, objects.PutOptions{})
	h.must(err)
	h.must(h.rows.Commit(ctx, leg, o))
	return o.Key, sealed
}

// play is an address of a video behind a token of a class.
func (h *theatre) play(id video.ID, c Class, what string) string {
	return h.url + h.root(id, c, time.Now().Add(time.Hour)) + what
}

func legOf(f *film, epoch int64) catalog.Leg { return catalog.Leg{Video: f.id, Epoch: epoch} }

func segmentOf(n int) catalog.Object {
	return catalog.Object{Kind: catalog.KindSegment, Rendition: "720p", Index: n, Duration: 4, IV: make([]byte, 16)}
}

type ctx = context.Context

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (h *theatre) ask(method, address string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, address, nil)
	h.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	got, err := h.http.Client().Do(r)
	h.must(err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	h.must(err)
	return answer{got.StatusCode, got.Header, body}
}

// ok is the body of an answer that must be 200.
func (h *theatre) ok(address string) []byte {
	h.t.Helper()
	got := h.ask("GET", address)
	if got.status != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", address, got.status, got.body)
	}
	return got.body
}
