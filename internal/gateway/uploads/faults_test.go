package uploads_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func small(s *uploads.Settings) { s.SegmentSize = 300_000 }

// trouble fails every nth put while it is on.
type trouble struct {
	on    atomic.Bool
	count atomic.Int64
	every int64
	with  error
}

func (x *trouble) fault(op objectstest.Op, _ string) error {
	if op == objectstest.Put && x.on.Load() && x.count.Add(1)%x.every == 0 {
		return x.with
	}
	return nil
}

func TestStoreInTrouble(t *testing.T) {
	t.Parallel()
	down := video.Errorf(video.Unavailable, "The store can't be reached.")
	for name, with := range map[string]error{"down": down, "answers lost": objectstest.AnswerLost(down)} {
		t.Run(name, func(t *testing.T) {
			x := &trouble{every: 3, with: with}
			r := newRigOn(t, objectstest.Faulty(objectstest.NewMemory("primary"), x.fault))
			g := r.gateway(small)
			file := someFile(30, 3_000_000)
			url, id := g.create(int64(len(file)))
			x.on.Store(true)
			refused := g.patch(url, 0, bytes.NewReader(file))
			g.expect(refused, http.StatusServiceUnavailable)
			if refused.header.Get("Retry-After") == "" {
				t.Error("without Retry-After")
			}
			offset := g.head(url).offset(t)
			// Two segments go at once, in either order, so the third put is one of the first four.
			if offset%300_000 != 0 || offset > 900_000 {
				t.Errorf("%d bytes are stored, and the third put failed", offset)
			}
			r.verify(id, file[:offset])
			x.on.Store(false)
			g.expect(g.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
			r.verifyFinished(id, file)
		})
	}
}

// A store that hangs must not keep a pause from taking hold.
func TestPauseWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	x := &trouble{every: 1, with: objectstest.Until(never)}
	g := newRigOn(t, objectstest.Faulty(objectstest.NewMemory("primary"), x.fault)).gateway(small)
	file := someFile(31, 3_000_000)
	url, id := g.create(int64(len(file)))
	x.on.Store(true)
	s := g.send(url, 0)
	go s.Write(file)
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	check(t, g.control(t.Context(), controlOf(id, true)))
	g.expect(<-s.answer, http.StatusLocked)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("paused after %v", took)
	}
	g.expectVersions(id, 0)
}

// The workflow is told as soon as it can be reached, though the client has long gone.
func TestAnnouncedLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.gateway()
	r.setDeaf(true)
	url, id := g.create(3)
	g.expect(g.patch(url, 0, strings.NewReader("abc")), http.StatusNoContent)
	time.Sleep(50 * time.Millisecond)
	if r.timesTold(id) != 0 {
		t.Fatal("told while it could not be")
	}
	r.setDeaf(false)
	r.verifyFinished(id, []byte("abc"))
	r.gateway() // one more that looks for what was left
	time.Sleep(100 * time.Millisecond)
	if told := r.timesTold(id); told != 1 {
		t.Fatalf("told %d times", told)
	}
}

// A gateway died between the last byte and the end of the upload.
func TestFinishedByAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := someFile(32, 900_000)
	g := r.gateway(small)
	url, id := g.create(-1)
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusNoContent)
	lease := acquire(t, r, id)
	check(t, r.catalog.DeclareLength(t.Context(), lease, int64(len(file))))
	check(t, r.catalog.Unlease(t.Context(), id, lease.Holder, lease.Epoch))
	r.verifyFinished(id, file)
	g.expect(g.patch(url, int64(len(file)), nil), http.StatusNoContent)
}

// HEAD is answered from memory while the catalog can't be asked, and by a
// gateway that has no memory of the upload with 423: no client begins from zero.
func TestHeadWhileTheCatalogIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g, other := r.gateway(), r.gateway()
	file := someFile(33, 1000)
	url, _ := g.create(1000)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:400])), http.StatusNoContent)
	g.stop()
	other.stop()
	check(t, r.catalog.Close())
	head := g.head(url)
	g.expect(head, http.StatusOK)
	if head.offset(t) != 400 {
		t.Fatalf("%+v", head)
	}
	other.expect(other.head(url), http.StatusLocked)
	g.expect(g.patch(url, 400, bytes.NewReader(file[400:])), http.StatusServiceUnavailable)
}

// downVault is a vault that lends no keys while it is down.
type downVault struct {
	vault.Vault
	down atomic.Bool
}

func (v *downVault) Lend(ctx context.Context, id video.ID) (*vault.Loan, error) {
	if v.down.Load() {
		return nil, video.Errorf(video.Unavailable, "The key vault can't be reached.")
	}
	return v.Vault.Lend(ctx, id)
}

// How far an upload is needs no key: HEAD is right while the vault is down, at a gateway
// that has never heard of the upload, too, and whoever asks. Bytes are refused for the moment.
func TestTheVaultIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := &downVault{Vault: r.vault}
	r.vault = v
	g, other := r.gateway(), r.gateway()
	file := someFile(34, 1000)
	url, id := g.create(1000)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:400])), http.StatusNoContent)
	v.down.Store(true)
	for _, at := range []*gateway{g, other} {
		here := at.url + strings.TrimPrefix(url, g.url)
		for _, who := range []string{"Bearer dev:me", "Bearer nonsense", ""} {
			head := at.do("HEAD", here, nil, "Authorization", who)
			at.expect(head, http.StatusOK)
			if head.offset(t) != 400 {
				t.Errorf("%q is told of %d bytes", who, head.offset(t))
			}
		}
		refused := at.patch(here, 400, bytes.NewReader(file[400:]))
		if p := at.problem(refused); refused.status != 503 || p.Code != video.Unavailable || refused.header.Get("Retry-After") == "" {
			t.Errorf("%d %+v", refused.status, p)
		}
	}
	v.down.Store(false)
	other.expect(other.patch(other.url+strings.TrimPrefix(url, g.url), 400, bytes.NewReader(file[400:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// Few buffers make segments shorter and clients wait, but nobody for ever.
func TestManyUploadsInLittleMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.gateway(func(s *uploads.Settings) { s.Buffers = 2; s.SegmentSize = 512 << 10 })
	var group sync.WaitGroup
	errs := make(chan error, 20)
	for i := range 20 {
		group.Go(func() {
			file := someFile(uint64(100+i), 1<<20)
			url, id := g.create(int64(len(file)))
			answer, err := g.try(t.Context(), "PATCH", url, bytes.NewReader(file), patchHeaders(0)...)
			if err == nil && answer.status != http.StatusNoContent {
				err = errors.New(answer.body)
			}
			if err != nil {
				errs <- err
				return
			}
			g.verifyFinished(id, file)
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func acquire(t *testing.T, r *rig, id video.ID) catalog.Lease {
	t.Helper()
	epoch, ok, err := r.catalog.Acquire(t.Context(), id, "somebody", time.Minute)
	check(t, err)
	if !ok {
		t.Fatal("the lease is taken")
	}
	return catalog.Lease{Video: id, Holder: "somebody", Epoch: epoch}
}
