package uploads_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// rig is what the gateways of a test share: the catalog, the vault, the store,
// and a host in the place of the gateway around the server.
type rig struct {
	t       testing.TB
	catalog *catalog.Catalog
	vault   vault.Vault
	store   objects.Store
	*host
}

func newRig(t testing.TB) *rig {
	return newRigOn(t, objectstest.NewMemory("primary"))
}

// newRealRig has a real S3 store.
func newRealRig(t testing.TB) *rig {
	stack := devstacktest.Start(t, devstacktest.Primary)
	store, err := objects.Open(stack.Stores[0].URL)
	check(t, err)
	return newRigOn(t, store)
}

func newRigOn(t testing.TB, store objects.Store) *rig {
	c, err := catalog.Open(t.Context(), catalogtest.URL(t))
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	check(t, err)
	t.Cleanup(func() { check(t, v.Close()) })
	return &rig{t: t, catalog: c, vault: v, store: store, host: &host{catalog: c, vault: v, idle: time.Hour, tokens: map[video.ID]string{}, told: map[video.ID]int{}}}
}

// gateway is one server with its address.
type gateway struct {
	*rig
	url   string
	stop  func()        // as a signal would
	taken *atomic.Int64 // bytes that it has read from its connections
}

// countingListener counts what is read from the connections that it accepts.
type countingListener struct {
	net.Listener
	taken *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.taken}, err
}

type countingConn struct {
	net.Conn
	taken *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.taken.Add(int64(n))
	return n, err
}

func (r *rig) gateway(settings ...func(*uploads.Settings)) *gateway {
	g, run := r.frozen(settings...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	g.stop = func() { cancel(); <-ended }
	r.t.Cleanup(g.stop)
	return g
}

// frozen is a gateway that answers requests and does nothing else until run is
// called: its leases are not renewed.
func (r *rig) frozen(settings ...func(*uploads.Settings)) (*gateway, func(context.Context)) {
	s := uploads.Settings{MaxBytes: 300_000_000}
	for _, set := range settings {
		set(&s)
	}
	server, err := uploads.New(s, r.catalog, r.vault, r.store, r.host, slog.New(slog.NewTextHandler(r.t.Output(), nil)))
	check(r.t, err)
	mux := http.NewServeMux()
	server.Register(mux)
	web := httptest.NewUnstartedServer(mux)
	taken := &atomic.Int64{}
	web.Listener = countingListener{web.Listener, taken}
	web.Start()
	r.t.Cleanup(web.Close)
	return &gateway{rig: r, url: web.URL, taken: taken}, func(ctx context.Context) { check(r.t, server.Run(ctx)) }
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// host makes videos as the gateway does, with a flag in the place of a workflow.
type host struct {
	catalog *catalog.Catalog
	vault   vault.Vault
	idle    time.Duration

	mu     sync.Mutex
	tokens map[video.ID]string
	told   map[video.ID]int
	deaf   bool // the workflow can't be reached
}

func (h *host) Create(ctx context.Context, r *http.Request, req uploads.NewUpload) (uploads.Created, error) {
	if r.Header.Get("Authorization") == "" {
		return uploads.Created{}, video.Errorf(video.Unauthenticated, "Sign in first.")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := video.ID(req.Metadata["video_id"])
	if id == "" {
		id = video.NewID()
	}
	if token, made := h.tokens[id]; made {
		return uploads.Created{ID: id, Token: token}, nil
	}
	var b [16]byte
	rand.Read(b[:])
	token := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
	if err := h.vault.Make(ctx, id); err != nil {
		return uploads.Created{}, err
	}
	loan, err := h.vault.Lend(ctx, id)
	if err != nil {
		return uploads.Created{}, err
	}
	defer loan.Release()
	sealed, err := uploads.SealMetadata(loan.Key(), id, req.Metadata)
	if err != nil {
		return uploads.Created{}, err
	}
	hash := sha256.Sum256([]byte(token))
	err = h.catalog.CreateVideo(ctx,
		catalog.Video{ID: id, Owner: "me", Stage: video.Uploading, Visibility: "public"},
		catalog.Upload{Video: id, TokenHash: hash[:], Length: req.Length, Sealed: sealed, Idle: h.idle})
	if err != nil {
		return uploads.Created{}, err
	}
	h.tokens[id] = token
	return uploads.Created{ID: id, Token: token}, nil
}

func (h *host) Cancel(ctx context.Context, id video.ID) error {
	return h.control(ctx, catalog.Control{Video: id, Ending: video.ByCancellation})
}

func (h *host) control(ctx context.Context, want catalog.Control) error {
	now, err := h.catalog.ControlOf(ctx, want.Video)
	if err != nil {
		return err
	}
	want.Epoch = now.Epoch + 1
	_, err = h.catalog.Control(ctx, want, nil)
	return err
}

func (h *host) Uploaded(_ context.Context, id video.ID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaf {
		return video.Errorf(video.Unavailable, "Nobody listens.")
	}
	h.told[id]++
	return nil
}

func (h *host) setDeaf(deaf bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = deaf
}

func (h *host) timesTold(id video.ID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[id]
}

// MayCancel takes a bearer of the owner's for a sign-in.
func (h *host) MayCancel(r *http.Request, _ video.ID) error {
	if r.Header.Get("Authorization") == "Bearer dev:me" {
		return nil
	}
	return video.Errorf(video.Forbidden, "Only the owner may.").For("uploaded")
}

func (h *host) Problem(ctx context.Context, err error) *problem.Problem {
	return (&problem.Answerer{Log: slog.New(slog.DiscardHandler)}).Problem(ctx, err)
}

func (h *host) Base(r *http.Request) string { return "http://" + r.Host }

// Address is the same for everybody.
func (h *host) Address(*http.Request) string { return "127.0.0.1" }

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) offset(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(r.header.Get("Upload-Offset"), 10, 64)
	check(t, err)
	return n
}

// do sends a request; headers are pairs of name and value.
func (g *gateway) do(method, url string, body io.Reader, headers ...string) reply {
	g.t.Helper()
	answer, err := g.try(context.Background(), method, url, body, headers...)
	check(g.t, err)
	return answer
}

func (g *gateway) try(ctx context.Context, method, url string, body io.Reader, headers ...string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	r.Header.Set("Authorization", "Bearer dev:me")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// at moves an upload's URL to this gateway.
func (g *gateway) at(url string) string { return g.url + url[strings.Index(url, uploads.Path):] }

func (g *gateway) create(length int64, headers ...string) (url string, id video.ID) {
	g.t.Helper()
	headers = append([]string{"Upload-Length", strconv.FormatInt(length, 10)}, headers...)
	if length < 0 {
		headers[0], headers[1] = "Upload-Defer-Length", "1"
	}
	made := g.do("POST", g.url+uploads.Path, nil, headers...)
	g.expect(made, http.StatusCreated)
	return made.header.Get("Location"), video.ID(made.header.Get("Reelflow-Video"))
}

func (g *gateway) patch(url string, offset int64, body io.Reader, headers ...string) reply {
	g.t.Helper()
	return g.do("PATCH", g.at(url), body, patchHeaders(offset, headers...)...)
}

func patchHeaders(offset int64, more ...string) []string {
	return append([]string{"Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream"}, more...)
}

func (g *gateway) head(url string) reply {
	g.t.Helper()
	return g.do("HEAD", g.at(url), nil)
}

func (g *gateway) expect(answer reply, status int) {
	g.t.Helper()
	if answer.status != status {
		g.t.Fatalf("status %d, want %d: %s %v", answer.status, status, answer.body, answer.header)
	}
}

// sending is a PATCH under way, whose body the test writes bit by bit.
type sending struct {
	*io.PipeWriter
	answer chan reply // closed without one when the connection broke
	drop   context.CancelFunc
}

func (g *gateway) send(url string, offset int64, headers ...string) *sending {
	body, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	s := &sending{w, make(chan reply, 1), cancel}
	g.t.Cleanup(func() {
		cancel()
		w.Close() // net/http waits for more of the body even then
		for range s.answer {
		}
	})
	go func() {
		defer close(s.answer)
		answer, err := g.try(ctx, "PATCH", g.at(url), body, patchHeaders(offset, headers...)...)
		body.CloseWithError(io.ErrClosedPipe) // lets a writer go that nobody listens to
		if err != nil {
			g.t.Logf("a PATCH broke off: %v", err)
			return
		}
		s.answer <- answer
	}()
	return s
}

// verify reads the file back through the manifest, and demands that nothing else lies in the store.
func (r *rig) verify(id video.ID, file []byte) {
	r.t.Helper()
	ctx := context.Background()
	segments, err := r.catalog.Objects(ctx, id, catalog.Filter{Store: r.store.Name(), Kind: catalog.KindSource, Stored: true})
	check(r.t, err)
	sum, end := sha256.New(), int64(0)
	for _, s := range segments {
		if s.Offset != end {
			r.t.Fatalf("a segment begins at %d, not at %d", s.Offset, end)
		}
		end += s.PlainSize
		body, err := r.store.Get(ctx, s.Key, s.Version, 0, -1)
		check(r.t, err)
		sealed, err := io.ReadAll(body)
		check(r.t, err)
		if got := sha256.Sum256(sealed); !bytes.Equal(got[:], s.SHA256) {
			r.t.Fatal("the manifest has another hash")
		}
		loan, err := r.vault.Lend(ctx, id)
		check(r.t, err)
		plain, err := loan.Key().Open(s.Key, sealed)
		check(r.t, err)
		loan.Release()
		sum.Write(plain)
	}
	want := sha256.Sum256(file)
	if end != int64(len(file)) || !bytes.Equal(sum.Sum(nil), want[:]) {
		r.t.Fatalf("%d bytes are stored, %d were sent, and their hashes differ", end, len(file))
	}
	r.expectVersions(id, len(segments))
}

// verifyFinished is verify of a whole upload, of which the workflow was told.
func (r *rig) verifyFinished(id video.ID, file []byte) {
	r.t.Helper()
	r.verify(id, file)
	eventually(r.t, 5*time.Second, "the workflow is told", func() bool { return r.timesTold(id) > 0 })
	u, err := r.catalog.UploadOf(context.Background(), id)
	check(r.t, err)
	sum, _, err := manifest.UploadHashes(context.Background(), r.vault, u)
	check(r.t, err)
	if want := sha256.Sum256(file); u.FinishedAt.IsZero() || !bytes.Equal(sum, want[:]) {
		r.t.Fatalf("not finished, or with another hash: %v %x", u.FinishedAt, sum)
	}
}

// expectVersions waits until so many versions of the video's objects exist.
func (r *rig) expectVersions(id video.ID, n int) {
	r.t.Helper()
	var found objects.Inventory
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the store has %+v", found)
		}
	}()
	eventually(r.t, 3*time.Second, "the store has "+strconv.Itoa(n)+" versions", func() bool {
		var err error
		found, err = r.store.Inventory(context.Background(), id.Prefix(), nil)
		check(r.t, err)
		return found.Versions == n && found.DeleteMarkers == 0
	})
}

func eventually(t testing.TB, limit time.Duration, what string, held func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !held(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// someFile is a file that never compresses nor repeats, and is the same for a seed.
func someFile(seed uint64, size int) []byte {
	file := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	mathrand.NewChaCha8(key).Read(file)
	return file
}

func metadata(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf("%s %s", pairs[i], base64.StdEncoding.EncodeToString([]byte(pairs[i+1]))))
	}
	return strings.Join(list, ",")
}
