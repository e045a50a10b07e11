package gateway

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// countingDatabase stands between a catalog and PostgreSQL, and counts the statements
// that are executed: Execute messages of the extended protocol, in which all statements
// with parameters go (https://www.postgresql.org/docs/15/protocol-message-formats.html).
type countingDatabase struct {
	url      string
	executed atomic.Int64
}

func newCountingDatabase(t *testing.T) *countingDatabase {
	t.Helper()
	cluster := &postgrestest.Cluster{}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	direct, err := url.Parse(cluster.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	query := direct.Query()
	socket := filepath.Join(query.Get("host"), ".s.PGSQL.5432")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	query.Set("host", "127.0.0.1")
	query.Set("port", fmt.Sprint(listener.Addr().(*net.TCPAddr).Port))
	query.Set("sslmode", "disable")
	direct.RawQuery = query.Encode()
	d := &countingDatabase{url: direct.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go d.forward(server, client)
			go func() {
				defer client.Close()
				_, _ = io.Copy(client, server) // it ends with either
			}()
		}
	}()
	return d
}

// forward passes on what a client says, message by message.
func (d *countingDatabase) forward(server, client net.Conn) {
	defer server.Close()
	head := make([]byte, 4) // the first message, of startup, has no type
	for kind := byte(0); ; {
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head[len(head)-4:])
		if len(head) == 5 {
			kind = head[0]
		}
		if kind == 'E' {
			d.executed.Add(1)
		}
		if _, err := server.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, int64(size)-4); err != nil {
			return
		}
		head = make([]byte, 5)
	}
}

// newSiteOnPostgres is a site without loops in the background, so that what is counted
// is what requests ask.
func newSiteOnPostgres(t *testing.T, database string) *site {
	t.Helper()
	c, err := catalog.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	stores := objects.Set{Primary: objectstest.NewMemory("primary"), Backups: []objects.Store{objectstest.NewMemory("backup-a")}}
	lives := &fakeLives{catalog: c, inputs: map[video.ID]video.LifecycleInput{}, uploaded: map[video.ID]int{}}
	g, err := newGateway(Settings{Auth: "dev", MaxBytes: 1 << 20}, c, v, stores, lives, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		server.Close()
		c.Close()
		v.Close()
	})
	return &site{Gateway: g, t: t, url: server.URL, lives: lives}
}

// A page of a list asks the catalog as often for fifty videos as for one.
func TestListsAskTheCatalogAsOftenForManyVideosAsForOne(t *testing.T) {
	t.Parallel()
	database := newCountingDatabase(t)
	s := newSiteOnPostgres(t, database.url)
	body := `{"title":"Waves","reviewers":["reviewer"],"source":{"size":1000}}`
	for range 15 {
		id := s.made("owner", body).ID
		s.move(id, video.Reviewing)
		s.video(s.request("reviewer", "POST", "/v1/videos/"+string(id)+"/reject", `{"comment":"`+string(id)+`"}`), http.StatusOK)
	}
	for range 20 {
		s.in(video.Published, "public")
	}
	for range 14 {
		s.made("owner", body)
	}
	s.packaged(s.made("owner", body).ID)

	asked := func(as, path string) (statements int64, list Videos) {
		t.Helper()
		before := database.executed.Load()
		got := s.request(as, "GET", path, "")
		if err := json.Unmarshal(got.body, &list); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, got.status, err)
		}
		return database.executed.Load() - before, list
	}
	const most = 6 // rows, notes, captions, uploads, replicas, holdings
	for _, limit := range []int{1, 50} {
		statements, list := asked("owner", fmt.Sprintf("/v1/me/videos?limit=%d", limit))
		if len(list.Videos) != limit || statements < 1 || statements > most {
			t.Errorf("%d of %d videos take %d statements, want at most %d", len(list.Videos), limit, statements, most)
		}
		for _, v := range list.Videos {
			whole := s.video(s.request("owner", "GET", "/v1/videos/"+string(v.ID), ""), http.StatusOK)
			same(t, v, whole)
			if v.Stage == video.Rejected && v.Failure.Comment != string(v.ID) {
				t.Errorf("%s was rejected with %+v", v.ID, v.Failure)
			}
		}
	}
	if statements, list := asked("", "/v1/users/owner/videos?limit=50"); len(list.Videos) != 20 || statements != 2 { // rows, captions
		t.Errorf("%d published videos take %d statements, want 2", len(list.Videos), statements)
	}
	before := database.executed.Load()
	if got := s.browse("owner", "/videos"); got.status != http.StatusOK || database.executed.Load()-before > most {
		t.Errorf("the page answers %d and takes %d statements, want at most %d", got.status, database.executed.Load()-before, most)
	}
}

// same compares a video of a list with the video itself, but for what changes from one
// look to the next.
func same(t *testing.T, listed, single video.Video) {
	t.Helper()
	for _, v := range []*video.Video{&listed, &single} {
		if v.Progress != nil {
			v.Progress.PerSecond, v.Progress.ETA = nil, nil
		}
	}
	a, errA := json.Marshal(listed)
	b, errB := json.Marshal(single)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("in the list:  %s\nby itself: %s", a, b)
	}
}
