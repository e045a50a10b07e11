package uploads_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
)

// heldStore is a store that takes nothing but of one video until it is released.
type heldStore struct {
	free    atomic.Pointer[string] // prefix of the keys that it takes
	puts    atomic.Int64           // of others
	held    chan struct{}
	release func()
}

func newHeldStore() *heldStore {
	h := &heldStore{held: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.held) })
	return h
}

func (h *heldStore) fault(op objectstest.Op, key string) error {
	if free := h.free.Load(); op != objectstest.Put || free != nil && strings.HasPrefix(key, *free) {
		return nil
	}
	h.puts.Add(1)
	<-h.held
	return nil
}

// While a small piece is being stored all the others wait without a lease, and those who
// ask for offsets, send much, or send the last of an upload, go by.
func TestManySmallPiecesWaitForEachOther(t *testing.T) {
	t.Parallel()
	const many = 25
	store := newHeldStore()
	g := newRigOn(t, objectstest.Faulty(objectstest.NewMemory("primary"), store.fault)).gateway()
	t.Cleanup(store.release) // before the gateway ends
	file := someFile(60, 3_000_010)
	honest, id := g.create(int64(len(file)))
	prefix := id.Prefix()
	store.free.Store(&prefix)
	var urls []string
	ids := map[video.ID]string{}
	for range many {
		url, small := g.create(1000)
		urls, ids[small] = append(urls, url), url
	}
	before := g.taken.Load()
	var wait sync.WaitGroup
	var answered, stored atomic.Int64
	for i, url := range urls {
		wait.Go(func() {
			offset := int64(0)
			var body io.Reader = strings.NewReader("x")
			switch i % 10 {
			case 8: // in chunks, without saying how much it is
				body = io.MultiReader(body)
			case 9: // much, but for another place: it would be refused, at the price of a lease
				offset, body = 7, bytes.NewReader(make([]byte, 100_000))
			}
			a, err := g.try(context.Background(), "PATCH", g.at(url), body, patchHeaders(offset)...)
			answered.Add(1)
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusNoContent:
				stored.Add(1)
			case a.status == http.StatusServiceUnavailable && g.problem(a).Reason == "slow" && a.header.Get("Retry-After") != "":
			case offset > 0 && (a.status == http.StatusConflict || a.status == http.StatusRequestEntityTooLarge):
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	eventually(t, 30*time.Second, "all have come, and one is being stored", func() bool {
		return g.taken.Load()-before >= many*200 && store.puts.Load() > 0
	})
	soFar := answered.Load()
	g.expect(g.patch(honest, 0, bytes.NewReader(file[:3_000_000])), http.StatusNoContent)
	if got := g.head(honest).offset(t); got != 3_000_000 {
		t.Errorf("the offset is %d", got)
	}
	g.expect(g.patch(honest, 3_000_000, bytes.NewReader(file[3_000_000:])), http.StatusNoContent)
	g.verifyFinished(id, file)
	t.Logf("%d were answered before, %d until now", soFar, answered.Load())
	leases := 0
	for small := range ids {
		u, err := g.catalog.UploadOf(t.Context(), small)
		check(t, err)
		if u.Holder != "" {
			leases++
		}
	}
	if puts := store.puts.Load(); puts != 1 || leases != 1 || stored.Load() != 0 {
		t.Errorf("%d pieces are being stored, with %d leases, and %d were", puts, leases, stored.Load())
	}
	store.release()
	wait.Wait()
	if stored.Load() == 0 {
		t.Error("none was stored")
	}
}

// A body that comes slowly keeps nobody's turn, and what has come of it is stored.
func TestASlowSmallPieceTakesNoTurn(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.Silence = 10 * time.Second })
	url, id := g.create(1000)
	slow := g.dial("PATCH", url, "Content-Length: 100", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
	slow.write("12345")
	other, _ := g.create(1000)
	for at := range int64(3) {
		g.expect(g.patch(other, at, bytes.NewReader([]byte("x"))), http.StatusNoContent)
	}
	check(t, slow.Close())
	eventually(t, 10*time.Second, "its bytes are stored", func() bool {
		u, err := g.catalog.UploadOf(t.Context(), id)
		check(t, err)
		return u.Offset == 5
	})
	g.verify(id, []byte("12345"))
}

// Whoever announces much has no lease before some of it has come.
func TestWhatIsAnnouncedIsWorthNoLease(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(1_000_000)
	holder := func() string {
		u, err := g.catalog.UploadOf(t.Context(), id)
		check(t, err)
		return u.Holder
	}
	sender := g.dial("PATCH", url, "Content-Length: 1000000", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream", "Expect: 100-continue")
	answer := make([]byte, len("HTTP/1.1 100 "))
	if _, err := io.ReadFull(sender, answer); err != nil || string(answer) != "HTTP/1.1 100 " { // the body is being read
		t.Fatalf("%q, %v", answer, err)
	}
	if got := holder(); got != "" {
		t.Errorf("without a byte %q has the lease", got)
	}
	sender.write("some")
	eventually(t, 10*time.Second, "it has the lease", func() bool { return holder() != "" })
}
