package uploads_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

func TestUploadInChunks(t *testing.T) {
	t.Parallel()
	g := newRealRig(t).gateway()
	file := someFile(1, 20<<20+17)
	url, id := g.create(int64(len(file)))
	for off := 0; off < len(file); {
		n := min(6<<20, len(file)-off)
		answer := g.patch(url, int64(off), bytes.NewReader(file[off:off+n]))
		g.expect(answer, http.StatusNoContent)
		if off += n; answer.offset(t) != int64(off) {
			t.Fatalf("offset %d, want %d", answer.offset(t), off)
		}
	}
	g.verifyFinished(id, file)
	if head := g.head(url); head.status != http.StatusOK || head.offset(t) != int64(len(file)) {
		t.Fatalf("%+v", head)
	}
	// Repeating the last request, whose answer may have been lost, is harmless.
	g.expect(g.patch(url, int64(len(file)), nil), http.StatusNoContent)
	if told := g.timesTold(id); told != 1 {
		t.Fatalf("told %d times", told)
	}
}

// Many requests on one connection, each gone before a beat of its lease is answered.
func TestManySmallPatches(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(14, 150*1000)
	url, id := g.create(int64(len(file)))
	for off := 0; off < len(file); off += 1000 {
		g.expect(g.patch(url, int64(off), bytes.NewReader(file[off:off+1000])), http.StatusNoContent)
	}
	g.verifyFinished(id, file)
}

func TestUploadInOnePatch(t *testing.T) {
	t.Parallel()
	g := newRealRig(t).gateway()
	file := someFile(2, 50<<20)
	url, id := g.create(int64(len(file)))
	began := time.Now()
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusNoContent)
	t.Logf("%d MB in %v", len(file)>>20, time.Since(began))
	g.verifyFinished(id, file)
}

func TestSizesAroundSegments(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.SegmentSize = 300 << 10 })
	for _, size := range []int{0, 1, 256<<10 - 1, 256 << 10, 300 << 10, 300<<10 + 1, 600 << 10, 1_000_003} {
		file := someFile(uint64(size), size)
		url, id := g.create(int64(size))
		if size > 0 {
			g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusNoContent)
		}
		g.verifyFinished(id, file)
		g.expect(g.head(url), http.StatusOK)
	}
}

func TestCreation(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(100, "Upload-Metadata", metadata("filename", "Ägypten 🐪.mp4", "video_id", string(video.NewID())))
	if strings.Contains(url, string(id)) || !strings.HasPrefix(url, g.url+uploads.Path) {
		t.Fatalf("Location %q", url)
	}
	head := g.head(url)
	g.expect(head, http.StatusOK)
	got := handler.ParseMetadataHeader(head.header.Get("Upload-Metadata"))
	if got["filename"] != "Ägypten 🐪.mp4" || head.header.Get("Upload-Length") != "100" || head.header.Get("Reelflow-Video") != string(id) {
		t.Fatalf("%+v %v", head, got)
	}
	expires, err := http.ParseTime(head.header.Get("Upload-Expires"))
	if err != nil || time.Until(expires) < 50*time.Minute || time.Until(expires) > time.Hour {
		t.Fatalf("Upload-Expires %q: %v", head.header.Get("Upload-Expires"), err)
	}
	again := g.do("POST", g.url+uploads.Path, nil, "Upload-Length", "100", "Upload-Metadata", metadata("video_id", string(id)))
	g.expect(again, http.StatusCreated)
	if again.header.Get("Location") != url || again.header.Get("Upload-Expires") == "" {
		t.Fatalf("%+v", again)
	}
}

func TestCreationWithUpload(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(3, 100_000)
	id := video.NewID()
	post := func(body []byte) reply {
		return g.do("POST", g.url+uploads.Path, bytes.NewReader(body), "Upload-Length", "100000",
			"Upload-Metadata", metadata("video_id", string(id)), "Content-Type", "application/offset+octet-stream")
	}
	first := post(file[:40_000])
	g.expect(first, http.StatusCreated)
	if first.offset(t) != 40_000 {
		t.Fatalf("%+v", first)
	}
	// A client that never saw the answer sends the same again: nothing is doubled.
	second := post(file[:40_000])
	g.expect(second, http.StatusCreated)
	if second.offset(t) != 40_000 || second.header.Get("Location") != first.header.Get("Location") {
		t.Fatalf("%+v", second)
	}
	g.expect(g.patch(first.header.Get("Location"), 40_000, bytes.NewReader(file[40_000:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestDeferredLength(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.MaxBytes = 1_000_000 })
	file := someFile(4, 700_000)
	url, id := g.create(-1)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:500_000])), http.StatusNoContent)
	if head := g.head(url); head.header.Get("Upload-Defer-Length") != "1" || head.offset(t) != 500_000 {
		t.Fatalf("%+v", head)
	}
	g.expect(g.patch(url, 500_000, nil, "Upload-Length", "2000000"), http.StatusRequestEntityTooLarge)
	g.expect(g.patch(url, 500_000, bytes.NewReader(file[500_000:]), "Upload-Length", "700000"), http.StatusNoContent)
	g.verifyFinished(id, file)

	// The length can also come when all bytes are there.
	url, id = g.create(-1)
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusNoContent)
	g.expect(g.patch(url, 700_000, nil, "Upload-Length", "700000"), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.MaxBytes = 1_000_000; s.SegmentSize = 300_000 })
	for _, length := range []string{"1000001", "99999999999999999999999"} {
		refused := g.do("POST", g.url+uploads.Path, nil, "Upload-Length", length)
		g.expect(refused, http.StatusRequestEntityTooLarge)
		if !strings.Contains(refused.body, "1000000 bytes") || refused.header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("the limit isn't named: %+v", refused)
		}
	}
	over := someFile(5, 1_000_100)
	for name, body := range map[string]io.Reader{"announced": bytes.NewReader(over), "chunked": chunked(over)} {
		url, id := g.create(-1)
		refused := g.patch(url, 0, body)
		g.expect(refused, http.StatusRequestEntityTooLarge)
		if !strings.Contains(refused.body, "1000000 bytes") {
			t.Fatalf("%s: the limit isn't named: %+v", name, refused)
		}
		if kept := g.head(url).offset(t); kept > 1_000_000 {
			t.Fatalf("%s: %d bytes kept", name, kept)
		} else {
			g.verify(id, over[:kept])
		}
	}
}

// chunked hides a body's length.
func chunked(p []byte) io.Reader { return io.MultiReader(bytes.NewReader(p)) }

func TestOverlongBody(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.SegmentSize = 300_000 })
	file := someFile(6, 600_000)
	url, id := g.create(600_000)
	g.expect(g.patch(url, 0, bytes.NewReader(append(bytes.Clone(file), 1))), http.StatusRequestEntityTooLarge)
	g.expect(g.patch(url, 0, chunked(append(bytes.Clone(file), 1, 2, 3))), http.StatusRequestEntityTooLarge)
	kept := g.head(url).offset(t)
	if kept >= 600_000 || g.timesTold(id) > 0 {
		t.Fatalf("an over-long body finished the upload: offset %d", kept)
	}
	g.expect(g.patch(url, kept, chunked(file[kept:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestWrongOffset(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(7, 1000)
	url, id := g.create(1000)
	g.expect(g.patch(url, 10, bytes.NewReader(file[10:])), http.StatusConflict)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:10])), http.StatusNoContent)
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusConflict)
	g.expect(g.patch(url, 10, bytes.NewReader(file[10:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.SegmentSize = 300_000 })
	file := someFile(8, 1_000_000)
	s1, s2, s5 := sha1.Sum(file[:100_000]), sha256.Sum256(file[100_000:900_000]), md5.Sum(file[900_000:])
	sum := func(name string, p []byte) string { return name + " " + base64.StdEncoding.EncodeToString(p) }
	url, id := g.create(1_000_000)

	g.expect(g.patch(url, 0, bytes.NewReader(file[:100_000]), "Upload-Checksum", "crc32 AAAAAA=="), http.StatusBadRequest)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:100_000]), "Upload-Checksum", "sha1 ???"), http.StatusBadRequest)
	wrong := g.patch(url, 0, bytes.NewReader(file[1:900_001]), "Upload-Checksum", sum("sha256", s2[:]))
	g.expect(wrong, 460)
	if g.head(url).offset(t) != 0 {
		t.Fatal("bytes with a wrong checksum were kept")
	}
	g.expectVersions(id, 0)
	g.expect(g.patch(url, 0, bytes.NewReader(file[:100_000]), "Upload-Checksum", sum("sha1", s1[:])), http.StatusNoContent)
	g.expect(g.patch(url, 100_000, bytes.NewReader(file[100_000:900_000]), "Upload-Checksum", sum("sha256", s2[:])), http.StatusNoContent)
	g.expect(g.patch(url, 900_000, bytes.NewReader(file[900_000:]), "Upload-Checksum", sum("md5", s5[:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestChecksumOfACutBody(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.SegmentSize = 300_000 })
	file := someFile(9, 1_000_000)
	whole := sha256.Sum256(file)
	url, id := g.create(1_000_000)
	s := g.send(url, 0, "Upload-Checksum", "sha256 "+base64.StdEncoding.EncodeToString(whole[:]))
	if _, err := s.Write(file[:700_000]); err != nil {
		t.Fatal(err)
	}
	s.drop()
	if g.head(url).offset(t) != 0 {
		t.Fatal("unchecked bytes were kept")
	}
	g.expectVersions(id, 0)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	answer := g.do("OPTIONS", g.url+uploads.Path, nil, "Origin", "https://a.example", "Access-Control-Request-Method", "PATCH")
	g.expect(answer, http.StatusOK)
	for name, want := range map[string]string{
		"Tus-Extension":                "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum",
		"Tus-Checksum-Algorithm":       "sha1,sha256,md5",
		"Tus-Max-Size":                 "300000000",
		"Tus-Version":                  "1.0.0",
		"Access-Control-Allow-Origin":  "https://a.example",
		"Access-Control-Allow-Methods": "POST, HEAD, PATCH, DELETE, OPTIONS",
	} {
		if got := answer.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	url, _ := g.create(10)
	head := g.do("HEAD", url, nil, "Origin", "https://a.example")
	exposed := head.header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"Upload-Offset", "Upload-Expires", "Retry-After", "Reelflow-Video", "Location"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed", name)
		}
	}
	// Refusals of our own must be readable by pages, too.
	unknown := g.do("HEAD", g.url+uploads.Path+strings.Repeat("a", 26), nil, "Origin", "https://a.example")
	g.expect(unknown, http.StatusNotFound)
	if unknown.header.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Error("a refusal without CORS")
	}
}

func TestMethodOverride(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(10, 1000)
	url, id := g.create(1000)
	check(t, g.control(t.Context(), controlOf(id, true)))
	paused := g.do("POST", url, bytes.NewReader(file), patchHeaders(0, "X-HTTP-Method-Override", "PATCH")...)
	g.expect(paused, http.StatusLocked) // the gate saw a PATCH, not a POST
	check(t, g.control(t.Context(), controlOf(id, false)))
	g.expect(g.do("POST", url, bytes.NewReader(file), patchHeaders(0, "X-HTTP-Method-Override", "patch")...), http.StatusNoContent)
	g.verifyFinished(id, file)
	g.expect(g.do("POST", url, nil, "X-HTTP-Method-Override", "GET"), http.StatusBadRequest)
	g.expect(g.do("POST", url, nil, "X-HTTP-Method-Override", "DELETE"), http.StatusNoContent)
	g.expect(g.head(url), http.StatusGone)
}

// Requests that nobody should send get an answer of the 400s, and leave nothing.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(1000)
	base := g.url + uploads.Path
	for _, bad := range []struct {
		name, method, url string
		headers           []string
		status            int
	}{
		{"no length", "POST", base, nil, 400},
		{"negative length", "POST", base, []string{"Upload-Length", "-5"}, 400},
		{"both lengths", "POST", base, []string{"Upload-Length", "5", "Upload-Defer-Length", "1"}, 400},
		{"odd defer", "POST", base, []string{"Upload-Defer-Length", "yes"}, 400},
		{"concat", "POST", base, []string{"Upload-Length", "5", "Upload-Concat", "partial"}, 400},
		{"nobody", "POST", base, []string{"Upload-Length", "5", "Authorization", ""}, 401},
		{"other version", "POST", base, []string{"Upload-Length", "5", "Tus-Resumable", "0.2"}, 412},
		{"root PATCH", "PATCH", base, nil, 405},
		{"GET", "GET", url, nil, 405},
		{"no offset", "PATCH", url, []string{"Content-Type", "application/offset+octet-stream"}, 400},
		{"odd offset", "PATCH", url, patchHeaders(0, "Upload-Offset", "0x10"), 400},
		{"other type", "PATCH", url, patchHeaders(0, "Content-Type", "video/mp4"), 415},
		{"declared twice", "PATCH", url, patchHeaders(0, "Upload-Length", "1000"), 400},
		{"unknown", "PATCH", base + strings.Repeat("b", 26), patchHeaders(0), 404},
		{"unknown DELETE", "DELETE", base + strings.Repeat("b", 26), nil, 404},
		{"no token", "PATCH", base + "../../etc/passwd", patchHeaders(0), 404},
		{"the id is no token", "HEAD", base + strings.ToUpper(string(id)), nil, 404},
		{"old DELETE", "DELETE", url, []string{"Tus-Resumable", ""}, 412},
	} {
		if answer := g.do(bad.method, bad.url, strings.NewReader("x"), bad.headers...); answer.status != bad.status {
			t.Errorf("%s: status %d, want %d: %s", bad.name, answer.status, bad.status, answer.body)
		}
	}
	if offset := g.head(url).offset(t); offset != 0 {
		t.Errorf("%d bytes were stored", offset)
	}
	g.expectVersions(id, 0)
}

// An IETF draft, -05, as the library speaks it.
func TestDraftProtocol(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(11, 100_000)
	answer := g.do("POST", g.url+uploads.Path, bytes.NewReader(file), "Tus-Resumable", "", "Upload-Draft-Interop-Version", "6", "Upload-Complete", "?1")
	g.expect(answer, http.StatusCreated)
	g.verifyFinished(video.ID(answer.header.Get("Reelflow-Video")), file)
}

func TestResumeAfterADroppedConnection(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.SegmentSize = 300_000 })
	file := someFile(12, 2_000_000)
	url, id := g.create(int64(len(file)))
	offset := int64(0)
	for _, upTo := range []int{700_000, 700_001, 1_500_000} {
		s := g.send(url, offset)
		if _, err := s.Write(file[offset:upTo]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // lets what is in the socket arrive
		s.drop()
		head := g.head(url)
		g.expect(head, http.StatusOK)
		if offset = head.offset(t); offset < int64(upTo)/2 || offset > int64(upTo) {
			t.Fatalf("%d of %d bytes are stored", offset, upTo)
		}
	}
	g.expect(g.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// What a stalled client has sent is stored although nothing more comes.
func TestStalledClient(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.FlushAfter = 100 * time.Millisecond })
	file := someFile(13, 100_000)
	url, id := g.create(int64(len(file)))
	s := g.send(url, 0)
	if _, err := s.Write(file[:60_000]); err != nil {
		t.Fatal(err)
	}
	stored := func(n int64) func() bool {
		return func() bool {
			u, err := g.catalog.UploadOf(context.Background(), id)
			check(t, err)
			return u.Offset == n
		}
	}
	eventually(t, 2*time.Second, "the bytes are stored", stored(60_000))
	if _, err := s.Write(file[60_000:90_000]); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Second, "later bytes are stored", stored(90_000))
	if _, err := s.Write(file[90_000:]); err != nil {
		t.Fatal(err)
	}
	check(t, s.Close())
	g.expect(<-s.answer, http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestExpiryMovesWithTheBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.idle = 3 * time.Second
	g := r.gateway()
	url, _ := g.create(10)
	first, err := http.ParseTime(g.head(url).header.Get("Upload-Expires"))
	check(t, err)
	time.Sleep(1100 * time.Millisecond)
	answer := g.patch(url, 0, strings.NewReader("12345"))
	later, err := http.ParseTime(answer.header.Get("Upload-Expires"))
	check(t, err)
	if !later.After(first) {
		t.Fatalf("expires %v, and after more bytes %v", first, later)
	}
	if n, _ := strconv.Atoi(g.head(url).header.Get("Upload-Offset")); n != 5 {
		t.Fatalf("offset %d", n)
	}
}
