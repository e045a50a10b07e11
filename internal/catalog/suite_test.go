package catalog_test

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/video"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		os.Exit(beChild(url))
	}
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// bench is a catalog on one of the databases.
type bench struct {
	*catalog.Catalog
	url string
}

// databases returns the URL of a fresh database of each kind.
var databases = map[string]func(t *testing.T) string{
	"sqlite":   func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "deep", "catalog.db") },
	"postgres": func(t *testing.T) string { return cluster.Schema(t) },
}

// onEach runs a test on a fresh catalog in each kind of database.
func onEach(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := fresh(t)
			test(t, &bench{Catalog: open(t, url), url: url})
		})
	}
}

func open(t testing.TB, url string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// raw connects to the database behind the catalog's back.
func (b *bench) raw(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", b.url
	if path, ok := strings.CutPrefix(b.url, "sqlite://"); ok {
		driver, dsn = "sqlite", path
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// upload makes a video with an upload of so many bytes.
func (b *bench) upload(t testing.TB, length int64) video.ID {
	t.Helper()
	id := video.NewID()
	must(t, b.CreateVideo(t.Context(), newVideo(id), newUpload(id, length)))
	return id
}

func newVideo(id video.ID) catalog.Video {
	return catalog.Video{ID: id, Owner: "owner", Stage: video.Uploading}
}

func newUpload(id video.ID, length int64) catalog.Upload {
	token := make([]byte, 32)
	rand.Read(token)
	return catalog.Upload{Video: id, TokenHash: token, Length: length, Idle: time.Hour}
}

// lease takes the upload's lease for a holder.
func (b *bench) lease(t testing.TB, id video.ID, holder string, ttl time.Duration) catalog.Lease {
	t.Helper()
	epoch, ok, err := b.Acquire(t.Context(), id, holder, ttl)
	if err != nil || !ok {
		t.Fatalf("the lease of %s for %s: %v, %v", id, holder, ok, err)
	}
	return catalog.Lease{Video: id, Holder: holder, Epoch: epoch}
}

// expire lets the time of an upload's lease pass.
func (b *bench) expire(t *testing.T, id video.ID) {
	t.Helper()
	_, err := b.raw(t).Exec("UPDATE uploads SET lease_until = '2001-02-03 04:05:06' WHERE video = '" + string(id) + "'")
	must(t, err)
}

// intended begins a leg and announces one object in it.
func (b *bench) intended(t testing.TB, leg catalog.Leg, o catalog.Object) catalog.Object {
	t.Helper()
	objects, err := b.Intend(t.Context(), leg, []catalog.Object{o})
	must(t, err)
	return objects[0]
}

// piece is an object as a worker announces it.
func piece(index int) catalog.Object {
	return catalog.Object{Store: "primary", Key: fmt.Sprint("piece-", rand.Text()), Kind: catalog.KindPiece, Rendition: "480p", Index: index}
}

// written is what the write of an object has shown.
func written(o catalog.Object, content string) catalog.Object {
	sum := sha256.Sum256([]byte(content))
	o.Version, o.SHA256, o.PlainSize, o.Size = "v1", sum[:], int64(len(content)), int64(len(content)+16)
	return o
}

func hashState(t testing.TB, content string) []byte {
	h := sha256.New()
	h.Write([]byte(content))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	must(t, err)
	return state
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that something failed with a code.
func refused(t testing.TB, what string, err error, code video.Code) {
	t.Helper()
	if err == nil || video.CodeOf(err) != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func (b *bench) control(t testing.TB, want catalog.Control) catalog.Control {
	t.Helper()
	row, err := b.Control(t.Context(), want, nil)
	must(t, err)
	return row
}

func (b *bench) video(t testing.TB, id video.ID) catalog.Video {
	t.Helper()
	v, err := b.Video(t.Context(), id)
	must(t, err)
	return v
}
