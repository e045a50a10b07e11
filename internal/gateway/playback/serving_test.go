package playback

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Everything comes out as it was put in, the second time from memory.
func TestServing(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 2, 3*vault.ChunkSize+7, 100, vault.ChunkSize)
	for range 2 {
		for i, address := range f.segments {
			if !bytes.Equal(h.ok(address), f.sealed[i]) {
				t.Errorf("segment %d differs", i)
			}
		}
		if !bytes.Equal(h.ok(h.play(f.id, Anyone, "poster.jpg")), f.poster) {
			t.Error("the poster differs")
		}
		if got := h.ok(h.play(f.id, Anyone, "preview/0.jpg")); string(got) != "\xff\xd8tiles" {
			t.Errorf("the preview differs: %q", got)
		}
	}
	if got := h.store.gets.Load(); got != 4 {
		t.Errorf("%d reads of the store for 4 objects", got)
	}
	if !bytes.Equal(h.ok(h.play(f.id, Anyone, "source")), f.source) {
		t.Error("the download differs")
	}
	for _, none := range []string{"720p", "none.m3u8", "preview/1.jpg", "preview/-1.jpg", "preview/x", "key/720p/x"} {
		if got := h.ask("GET", h.play(f.id, Anyone, none)); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", none, got.status)
		}
	}
}

// Any part of a download is that part of the file.
func TestPartsOfADownload(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 0, 9*vault.ChunkSize+7, 100, vault.ChunkSize+1)
	size := len(f.source)
	address := h.play(f.id, Anyone, "source")
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, size-1).Draw(t, "from")
		to := rapid.IntRange(from, size-1).Draw(t, "to")
		before := h.store.asked.Load()
		got := h.ask("GET", address, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
		if got.status != http.StatusPartialContent || !bytes.Equal(got.body, f.source[from:to+1]) {
			t.Fatalf("%d, %d bytes", got.status, len(got.body))
		}
		// The chunks that the part touches, with their headers, and nothing behind them.
		if read := h.store.asked.Load() - before; read <= int64(to-from) || read > int64(to-from)+2*sealedChunkSize+4096 {
			t.Fatalf("%d bytes were asked for, for %d", read, to-from+1)
		}
	})
}

// Conditions and ranges are what net/http makes of them, but for what RFC 9110 leaves
// to us: several ranges, and ranges that can't be read, are as if there were none, and
// a HEAD has none at all.
func TestConditionsAsTheStandardLibraryHasThem(t *testing.T) {
	t.Parallel()
	content := noise(1000)
	theirs := func(r *http.Request, etag string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		return w
	}
	rapid.Check(t, func(t *rapid.T) {
		tags := []string{"", `"a"`, `"b"`, `W/"a"`, "*", `"b", "a"`, `W/"b", W/"a"`}
		r := httptest.NewRequest("GET", "/", nil)
		for _, name := range []string{"If-Match", "If-None-Match"} {
			if tag := rapid.SampledFrom(tags).Draw(t, name); tag != "" {
				r.Header.Set(name, tag)
			}
		}
		if tag := rapid.SampledFrom(tags[:4]).Draw(t, "If-Range"); tag != "" {
			r.Header.Set("If-Range", tag)
		}
		if spec := rapid.SampledFrom([]string{"", "0-", "-1", "-5000", "0-0", "999-", "999-5000", "1000-", "1001-1002", "5-10"}).Draw(t, "range"); spec != "" {
			r.Header.Set("Range", "bytes="+spec)
		}
		want := theirs(r, `"a"`)
		p := partFor(r, `"a"`, int64(len(content)))
		if p.status != want.Code {
			t.Fatalf("%d, and theirs is %d for %v", p.status, want.Code, r.Header)
		}
		if p.status == 200 || p.status == 206 {
			if !bytes.Equal(content[p.offset:p.offset+p.length], want.Body.Bytes()) {
				t.Fatalf("another part for %v", r.Header)
			}
			w := httptest.NewRecorder()
			p.writeHead(w, int64(len(content)))
			if got, want := w.Header().Get("Content-Range"), want.Header().Get("Content-Range"); got != want {
				t.Fatalf("Content-Range %q, and theirs is %q", got, want)
			}
		}
	})
	for _, whole := range []string{"bytes=0-0,5-5", "bytes=5-4", "bytes=a-b", "bytes=-", "bytes", "lines=0-5", "bytes=99999999999999999999-", "bytes=+1-2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Range", whole)
		if p := partFor(r, `"a"`, 1000); p.status != 200 || p.length != 1000 {
			t.Errorf("%s: %+v", whole, p)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Range", "bytes=-0") // the last no bytes: section 14.1.2
	if p := partFor(r, `"a"`, 1000); p.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("-0: %+v", p)
	}
	r = httptest.NewRequest("HEAD", "/", nil)
	r.Header.Set("Range", "bytes=0-0")
	if p := partFor(r, `"a"`, 1000); p.status != 200 {
		t.Errorf("HEAD: %+v", p)
	}
}

// What a viewer has is known without a look into the store, and what is at an address
// has a tag of its own.
func TestNothingIsReadForWhatIsKnown(t *testing.T) {
	t.Parallel()
	h := open(t)
	f, other := h.show(video.Public, 1, 1000), h.show(video.Public, 1, 1000)
	tags := map[string]bool{}
	for _, address := range []string{f.segments[0], h.play(f.id, Anyone, "source"), h.play(f.id, Anyone, "poster.jpg"), h.play(other.id, Anyone, "source")} {
		head := h.ask("HEAD", address)
		tag := head.header.Get("ETag")
		if tags[tag] || len(tag) < 66 {
			t.Errorf("%s: ETag %s", address, tag)
		}
		tags[tag] = true
		known := h.ask("GET", address, "If-None-Match", tag)
		if head.status != 200 || known.status != http.StatusNotModified || len(known.body) != 0 || known.header.Get("ETag") != tag {
			t.Errorf("%s: %d, %d", address, head.status, known.status)
		}
		if got := h.ask("GET", address, "Range", "bytes=10000000-"); got.status != http.StatusRequestedRangeNotSatisfiable ||
			!strings.HasPrefix(got.header.Get("Content-Range"), "bytes */") || !strings.Contains(string(got.body), `"code":"invalid"`) {
			t.Errorf("%s: %d %s", address, got.status, got.body)
		}
		if got := h.ask("GET", address, "If-Match", `"other"`); got.status != http.StatusPreconditionFailed {
			t.Errorf("%s: %d", address, got.status)
		}
	}
	if got := h.store.gets.Load(); got != 0 {
		t.Errorf("the store was read %d times", got)
	}
}

// What the store can't give is said, and with the same words whatever it lacks; what
// is in memory is served meanwhile.
func TestAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 2, 1000)
	h.ok(f.segments[0])
	h.store.down.Store(true)
	h.ok(f.segments[0])
	for _, address := range []string{f.segments[1], h.play(f.id, Anyone, "source"), h.play(f.id, Anyone, "poster.jpg")} {
		if got := h.ask("GET", address); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("ETag") != "" {
			t.Errorf("%s: %d %v", address, got.status, got.header)
		}
	}
	h.store.down.Store(false)
	h.must(h.store.Delete(t.Context(), h.factsOf(f).poster.key, h.factsOf(f).poster.version))
	if got := h.ask("GET", h.play(f.id, Anyone, "poster.jpg")); got.status != http.StatusServiceUnavailable {
		t.Errorf("what the manifest has and the store lacks for now: %d", got.status)
	}
	h.ok(f.segments[1]) // a failure is not remembered
}

// WebVTT leads each stretch of time to its tile.
func TestPreviewCues(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	got := string(h.ok(h.play(f.id, Anyone, "previews.vtt")))
	want := "WEBVTT\n"
	for _, cue := range []string{"00.000 --> 00:00:01.500 0,0", "01.500 --> 00:00:03.000 90,0", "03.000 --> 00:00:04.500 0,160", "04.500 --> 00:00:06.000 90,160", "06.000 --> 00:00:07.500 0,320"} {
		i := strings.LastIndex(cue, " ")
		want += "\n00:00:" + cue[:i] + "\npreview/0.jpg#xywh=" + cue[i+1:] + ",90,160\n"
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := cueTime(3725.0004); got != "01:02:05.000" {
		t.Error(got)
	}
}
