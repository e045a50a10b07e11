package manifest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
)

const flushAfter = 50 * time.Millisecond

// bench is one upload on a real catalog and vault.
type bench struct {
	t     *testing.T
	rows  *catalog.Catalog
	keys  vault.Vault
	store objects.Store
	id    video.ID
}

func newBench(t *testing.T, store objects.Store) *bench {
	t.Helper()
	rows, err := catalog.Open(t.Context(), catalogtest.URL(t))
	must(t, err)
	t.Cleanup(func() { rows.Close() })
	b := &bench{t, rows, vaulttest.New(t), store, video.NewID()}
	must(t, b.keys.Make(t.Context(), b.id))
	must(t, rows.CreateVideo(t.Context(), catalog.Video{ID: b.id, Owner: "o", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: b.id, TokenHash: []byte(b.id), Length: -1, Idle: time.Hour}))
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) hold() *manifest.HeldLease {
	b.t.Helper()
	h, err := manifest.AcquireLease(b.t.Context(), b.rows, b.id)
	must(b.t, err)
	b.t.Cleanup(func() { h.Release() })
	return h
}

func (b *bench) writer() *manifest.Writer {
	return &manifest.Writer{Catalog: b.rows, Vault: b.keys, Primary: b.store, Log: slog.New(slog.DiscardHandler)}
}

// appender goes on where the upload stands.
func (b *bench) appender(h *manifest.HeldLease) *manifest.Appender {
	b.t.Helper()
	u := b.upload()
	digest, err := manifest.UploadDigest(b.t.Context(), b.keys, u)
	must(b.t, err)
	return &manifest.Appender{Writer: b.writer(), Lease: h.Lease, Digest: digest, Offset: u.Offset}
}

func (b *bench) upload() catalog.Upload {
	b.t.Helper()
	u, err := b.rows.UploadOf(b.t.Context(), b.id)
	must(b.t, err)
	return u
}

// The bytes of a slow source are stored soon, and the hash goes on where an
// earlier writer left it.
func TestSlowSourceIsStoredAsItComes(t *testing.T) {
	b := newBench(t, objectstest.NewMemory("primary"))
	file := bytes.Repeat([]byte("0123456789"), 1000)
	h := b.hold()
	for _, half := range [][]byte{file[:5000], file[5000:]} {
		from, to := io.Pipe()
		before := b.upload().Offset
		go func() {
			for part := range 5 {
				to.Write(half[1000*part : 1000*(part+1)])
				time.Sleep(60 * time.Millisecond)
			}
			for b.upload().Offset == before { // though the source has not ended
				time.Sleep(5 * time.Millisecond)
			}
			to.Close()
		}()
		if read, write := b.appender(h).StoreAll(h.Context, from, flushAfter); read != nil || write != nil {
			t.Fatal(read, write)
		}
	}
	digest, err := manifest.UploadDigest(t.Context(), b.keys, b.upload())
	must(t, err)
	if sum := sha256.Sum256(file); b.upload().Offset != 10_000 || !bytes.Equal(digest.Sum(nil), sum[:]) {
		t.Errorf("%d bytes, hash %x", b.upload().Offset, digest.Sum(nil))
	}
}

// A source that goes on for ever is let go when its bytes can't be stored.
func TestSourceIsClosedWhenTheStoreFails(t *testing.T) {
	down := video.Errorf(video.Unavailable, "down")
	b := newBench(t, objectstest.Faulty(objectstest.NewMemory("primary"), func(op objectstest.Op, _ string) error {
		if op == objectstest.Put {
			return objectstest.AnswerLost(down)
		}
		return nil
	}))
	from, to := io.Pipe()
	go func() {
		for {
			if _, err := to.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	h := b.hold()
	if _, write := b.appender(h).StoreAll(h.Context, from, flushAfter); video.CodeOf(write) != video.Unavailable {
		t.Errorf("write: %v", write)
	}
	found, err := b.store.Inventory(t.Context(), b.id.Prefix(), nil)
	if err != nil || !found.Empty() || b.upload().Offset != 0 {
		t.Errorf("left behind: %+v, %v", found, err)
	}
}

// Told to stop, it stores what has come and no more.
func TestToldToStop(t *testing.T) {
	b := newBench(t, objectstest.NewMemory("primary"))
	h := b.hold()
	ctx, stop := context.WithCancel(h.Context)
	from, to := io.Pipe()
	go func() {
		to.Write(make([]byte, 777))
		stop()
		to.CloseWithError(errors.New("stopped"))
	}()
	if read, write := b.appender(h).StoreAll(ctx, from, flushAfter); read == nil || write != nil || b.upload().Offset != 777 {
		t.Errorf("read %v, write %v, %d bytes", read, write, b.upload().Offset)
	}
}

// Whoever wants the upload gets it from one who lives, and what that one would
// still write is refused.
func TestHoldIsLetGoWhenWanted(t *testing.T) {
	b := newBench(t, objectstest.NewMemory("primary"))
	first := b.hold()
	go func() {
		<-first.Context.Done()
		first.Release()
	}()
	began := time.Now()
	second := b.hold()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("let go after %v", took)
	}
	if video.CodeOf(first.Lost()) != video.Unavailable || second.Lost() != nil {
		t.Errorf("the first lost it: %v; the second: %v", first.Lost(), second.Lost())
	}
	if _, write := b.appender(first).StoreAll(t.Context(), io.NopCloser(bytes.NewReader([]byte("late"))), flushAfter); video.CodeOf(write) != video.Conflict {
		t.Errorf("the first writes: %v", write)
	}
}

func TestHoldEndsWithThePauseAndTheEnd(t *testing.T) {
	for row, code := range map[*catalog.Control]video.Code{
		{Epoch: 1, Paused: true}: video.Conflict, {Epoch: 1, Draft: true}: video.Conflict, {Epoch: 1, Ending: video.ByDeletion}: video.Gone,
	} {
		b := newBench(t, objectstest.NewMemory("primary"))
		h := b.hold()
		row.Video = b.id
		_, err := b.rows.Control(t.Context(), *row, nil)
		must(t, err)
		select {
		case <-h.Context.Done():
		case <-time.After(2 * time.Second):
			t.Fatalf("%+v: still held", row)
		}
		if video.CodeOf(h.Lost()) != code {
			t.Errorf("%+v: %v", row, h.Lost())
		}
		h.Release()
		if held, err := b.rows.Leased(t.Context(), b.id); held || err != nil {
			t.Errorf("leased: %t, %v", held, err)
		}
	}
}
