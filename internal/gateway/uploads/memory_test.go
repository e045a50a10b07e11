package uploads

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// What a client sends of any size isn't remembered with its upload.
func TestMemoryOfUploadsIsBounded(t *testing.T) {
	m, e := newMemory(), newEchoes()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 2 * memorySize {
		token := fmt.Sprintf("%026d", i)
		r, err := http.NewRequest("POST", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Upload-Metadata", "title "+strings.Repeat("QUFB", 1000))
		r.Header.Set("Authorization", fmt.Sprintf("Bearer dev:%d", i))
		m.keep(token, catalog.Upload{Video: video.NewID(), Sealed: make([]byte, 4096), HashState: make([]byte, 200)})
		m.keepOrigin(token, originOf(r))
		e.expect(originOf(r), token)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
		t.Errorf("%d MiB are held of uploads", grown>>20)
	}
	if len(m.byName) > memorySize || len(e.told) > mostEchoes || len(e.expected) > mostEchoes {
		t.Errorf("%d uploads, %d and %d echoes", len(m.byName), len(e.told), len(e.expected))
	}
	runtime.KeepAlive(m)
	runtime.KeepAlive(e)
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"", "filename d29ybGQ=", "a,a", "title !", ", ,", " b  YQ== ,c", "title AA==\tAA=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		metadata, err := parseMetadata([]string{header})
		if err == nil && len(metadata) > strings.Count(header, ",")+1 {
			t.Errorf("%q", metadata)
		}
	})
}
