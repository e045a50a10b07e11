package uploads_test

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

const benchBytes = 287 << 20 // MB as people count a file of the largest size

// BenchmarkPut is what the store itself takes: the file in plain segments, two
// at once, through the same client. The others are to be read beside it.
func BenchmarkPut(b *testing.B) {
	r := newRealRig(b)
	file := someFile(1, benchBytes)
	b.SetBytes(benchBytes)
	for b.Loop() {
		putPlain(b, r.store, file)
	}
}

func putPlain(b *testing.B, store objects.Store, file []byte) {
	id := video.NewID()
	var group sync.WaitGroup
	slots := make(chan struct{}, 2)
	for off := 0; off < len(file); off += 8 << 20 {
		slots <- struct{}{}
		group.Go(func() {
			_, err := store.Put(context.Background(), uploadsKey(id, off), file[off:min(off+8<<20, len(file))], objects.PutOptions{})
			if err != nil {
				b.Error(err)
			}
			<-slots
		})
	}
	group.Wait()
}

func uploadsKey(id video.ID, off int) string {
	return id.Prefix() + "source/" + time.Duration(off).String()
}

func BenchmarkOnePatch(b *testing.B)    { benchPatches(b, benchBytes, benchBytes) }
func BenchmarkPatches8MiB(b *testing.B) { benchPatches(b, benchBytes, 8<<20) }
func BenchmarkPatches1MiB(b *testing.B) { benchPatches(b, 60<<20, 1<<20) }

func benchPatches(b *testing.B, size, chunk int) {
	g := newRealRig(b).gateway(func(s *uploads.Settings) { s.MaxBytes = 1 << 30 })
	file := someFile(1, size)
	b.SetBytes(int64(size))
	for b.Loop() {
		url, _ := g.create(int64(size))
		for off := 0; off < size; off += chunk {
			g.expect(g.patch(url, int64(off), bytes.NewReader(file[off:min(off+chunk, size)])), http.StatusNoContent)
		}
	}
}

// BenchmarkTwentyAtOnce also reports the most memory that was in use, per upload.
func BenchmarkTwentyAtOnce(b *testing.B) {
	const uploads, size = 20, 40 << 20
	g := newRealRig(b).gateway()
	file := someFile(1, size)
	var most atomic.Uint64
	stop := watchMemory(&most)
	b.SetBytes(uploads * size)
	for b.Loop() {
		var group sync.WaitGroup
		for range uploads {
			group.Go(func() {
				url, _ := g.create(size)
				answer, err := g.try(context.Background(), "PATCH", url, bytes.NewReader(file), patchHeaders(0)...)
				if err != nil || answer.status != http.StatusNoContent {
					b.Error(err, answer)
				}
			})
		}
		group.Wait()
	}
	stop()
	b.ReportMetric(float64(most.Load()-size)/uploads/(1<<20), "MiB/upload")
}

// watchMemory keeps the highest footprint that the runtime had from the system.
func watchMemory(most *atomic.Uint64) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.Sys-m.HeapReleased))
		}
	}()
	return func() { close(done) }
}
