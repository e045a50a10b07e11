package playback

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/deadlines"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// until waits for what other goroutines bring about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// dial opens a connection whose system takes next to nothing from the other side, and
// sends a request.
func (h *theatre) dial(request string) net.Conn {
	h.t.Helper()
	narrow := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if control := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) }); control != nil {
			return control
		}
		return err
	}}
	conn, err := narrow.DialContext(h.t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	h.must(err)
	h.t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, request)
	h.must(err)
	return conn
}

func (h *theatre) get(address string, headers ...string) net.Conn {
	h.t.Helper()
	return h.dial(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.TrimPrefix(address, h.url), strings.Join(headers, "")))
}

// A reader who stops reading is cut off, and holds nothing any more: neither memory nor
// one of the downloads.
func TestAReaderWhoNeverReadsIsCutOff(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.bounds.Stall = 200 * time.Millisecond
	f := h.show(video.Public, 1, 16<<20) // more than all buffers between the two take
	conn := h.get(h.play(f.id, Anyone, "source"))
	until(t, "the download begins", func() bool { return h.downloads.count() == 1 })
	until(t, "the download is given up", func() bool { return h.downloads.count() == 0 })
	all, err := io.ReadAll(conn)
	if len(all) >= len(f.source) {
		t.Errorf("all %d bytes came (%v)", len(all), err)
	}
	for _, address := range []string{f.segments[0], h.play(f.id, Anyone, "720p.m3u8")} {
		if got := h.ask("GET", address); got.status != 200 { // small ones fit into what was buffered
			t.Errorf("%s: %d", address, got.status)
		}
	}
}

// A slow reader who goes on is not cut off.
func TestASlowReaderIsServed(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.bounds.Stall = 2 * time.Second
	f := h.show(video.Public, 0, 24<<20) // more than buffers take
	conn := h.get(h.play(f.id, Anyone, "source"), "Connection: close\r\n")
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	h.must(err)
	defer got.Body.Close()
	begun, sum := time.Now(), 0
	for part := make([]byte, 512<<10); err == nil; time.Sleep(100 * time.Millisecond) {
		var n int
		n, err = io.ReadFull(got.Body, part)
		if !bytes.Equal(part[:n], f.source[sum:sum+n]) {
			t.Fatalf("other bytes after %d", sum)
		}
		sum += n
	}
	if sum != len(f.source) || time.Since(begun) < h.bounds.Stall {
		t.Errorf("%d of %d bytes in %v: %v", sum, len(f.source), time.Since(begun), err)
	}
}

// A body that nobody wants and that doesn't come is not waited for without an end. One
// that comes does no harm.
func TestBodiesThatNobodyReads(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	begun := time.Now()
	conn := h.get(f.segments[0], "Content-Length: 1\r\n")
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	h.must(err)
	defer got.Body.Close()
	if body, _ := io.ReadAll(got.Body); got.StatusCode != 503 || !strings.Contains(string(body), `"reason":"slow"`) || !got.Close {
		t.Errorf("%d %s", got.StatusCode, body)
	}
	if took := time.Since(begun); took > 5*deadlines.BodyTime {
		t.Errorf("it took %v", took)
	}
	conn = h.dial(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", strings.TrimPrefix(f.segments[0], h.url)))
	in := bufio.NewReader(conn)
	for range 2 { // the connection is as good as before
		got, err := http.ReadResponse(in, nil)
		h.must(err)
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || !bytes.Equal(body, f.sealed[0]) {
			t.Fatalf("%d, %d bytes, %v", got.StatusCode, len(body), err)
		}
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(f.segments[0], h.url))
		h.must(err)
	}
}

// One request with many ranges costs the store what one without costs.
func TestManyRangesCostOneRead(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1, 300_000)
	ranges := "bytes=" + strings.Repeat("0-0,9-9,", 3250) + "1-1"
	for address, want := range map[string][]byte{f.segments[0]: f.sealed[0], h.play(f.id, Anyone, "source"): f.source, h.play(f.id, Anyone, "poster.jpg"): f.poster} {
		before := h.store.gets.Load()
		got := h.ask("GET", address, "Range", ranges)
		if got.status != 200 || !bytes.Equal(got.body, want) {
			t.Errorf("%s: %d, %d bytes", address, got.status, len(got.body))
		}
		if reads := h.store.gets.Load() - before; reads > 2 {
			t.Errorf("%s: %d reads of the store", address, reads)
		}
	}
}

// Downloads that nobody reads hold next to nothing. It runs alone: what it measures is
// the whole process's.
func TestStalledDownloadsHoldLittle(t *testing.T) {
	h := open(t)
	f := h.show(video.Public, 0, 8<<20, 8<<20)
	before := inUse()
	const many = 64
	for i := range many {
		h.get(h.play(f.id, Anyone, "source"), fmt.Sprintf("X-Forwarded-For: 192.0.2.%d\r\n", i))
	}
	until(t, "all downloads stand", func() bool { return h.downloads.count() == many })
	read := int64(-1)
	until(t, "nothing more is read", func() bool {
		last := read
		read = h.store.bytes.Load()
		time.Sleep(100 * time.Millisecond)
		return read == last
	})
	if held := inUse() - before; held > 64<<20 {
		t.Errorf("%d downloads hold %d MB", many, held>>20)
	}
	runtime.KeepAlive(f) // was there before, too
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// With as many downloads as there may be the next one is asked to come again, and
// whoever needs no bytes is served nevertheless.
func TestTooManyDownloads(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.Server.downloads = newOpenDownloads(1, 1)
	f := h.show(video.Public, 0, 16<<20)
	address := h.play(f.id, Anyone, "source")
	conn := h.get(address, "X-Forwarded-For: 192.0.2.1\r\n")
	until(t, "the first begins", func() bool { return h.downloads.count() == 1 })
	if got := h.ask("GET", address); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := h.ask("HEAD", address); got.status != 200 {
		t.Errorf("HEAD: %d", got.status)
	}
	conn.Close()
	until(t, "another one may", func() bool { return h.ask("GET", address, "Range", "bytes=0-9").status == 206 })
}

// countingNames counts how often a file's name is asked for.
type countingNames struct {
	nameless
	asked atomic.Int64
}

func (c *countingNames) SourceName(ctx context.Context, row catalog.Video) (filename, contentType string, err error) {
	c.asked.Add(1)
	return c.nameless.SourceName(ctx, row)
}

// One address has its share of the downloads, and leaves the others theirs.
func TestDownloadsOfOneAddress(t *testing.T) {
	h := open(t)
	f := h.show(video.Public, 0, 16<<20)
	address := h.play(f.id, Anyone, "source")
	greedy := make([]net.Conn, maxDownloadsEach)
	for i := range greedy {
		greedy[i] = h.get(address, "X-Forwarded-For: 192.0.2.1\r\n")
	}
	until(t, "it has its share", func() bool { return h.downloads.count() == len(greedy) })
	names := &countingNames{}
	h.Server.host = names
	if got := h.ask("GET", address, "X-Forwarded-For", "192.0.2.1"); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	if n := names.asked.Load(); n != 0 {
		t.Errorf("the vault was asked for a name before the refusal, %d times", n)
	}
	if got := h.ask("GET", address, "X-Forwarded-For", "192.0.2.2", "Range", "bytes=0-9"); got.status != 206 {
		t.Errorf("somebody else: %d %s", got.status, got.body)
	}
	for _, conn := range greedy {
		conn.Close()
	}
	until(t, "all are over", func() bool { return h.downloads.count() == 0 })
	if len(h.downloads.of) != 0 {
		t.Errorf("%v are remembered", h.downloads.of)
	}
	if got := h.ask("GET", address, "X-Forwarded-For", "192.0.2.1", "Range", "bytes=0-9"); got.status != 206 {
		t.Errorf("later: %d %s", got.status, got.body)
	}
}

// A deletion ends the longest download.
func TestADeletionEndsADownload(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 0, slices.Repeat([]int{8 << 20}, 4)...)
	conn := h.get(h.play(f.id, Anyone, "source"), "Connection: close\r\n")
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	h.must(err)
	defer got.Body.Close()
	_, err = io.CopyN(io.Discard, got.Body, 1<<20)
	h.must(err)
	_, err = h.rows.Hide(t.Context(), f.id)
	h.must(err)
	time.Sleep(lookEvery) // the next look finds it
	n, err := io.Copy(io.Discard, got.Body)
	if err == nil || n+1<<20 >= int64(len(f.source)) {
		t.Errorf("%d bytes came after the deletion, of %d (%v)", n, len(f.source), err)
	}
}

// Many who ask for the same at once cost the store one read, and the vault one loan.
func TestTheSameForManyIsReadOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	h.store.hold.Lock()
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			if got := h.ask("GET", f.segments[0]); !bytes.Equal(got.body, f.sealed[0]) {
				t.Errorf("%d, %d bytes", got.status, len(got.body))
			}
		})
	}
	until(t, "one reads", func() bool { return h.store.gets.Load() == 1 })
	h.store.hold.Unlock()
	wait.Wait()
	if got := h.store.gets.Load(); got != 1 {
		t.Errorf("%d reads", got)
	}
}

// What somebody reads stays; for the others there is the store.
func TestWithoutRoomInMemory(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.Server.ciphertext = newCiphertext(arenaSize)
	f := h.show(video.Public, 30)
	room := arenaSize / blockSize / ((len(f.sealed[0]) + blockSize - 1) / blockSize)
	var held []*cached
	for _, o := range h.factsOf(f).segments["720p"] {
		kept, err := h.ciphertext.get(t.Context(), f.id, o, func(ctx ctx) (io.ReadCloser, error) { return h.store.Get(ctx, o.key, o.version, 0, o.size) })
		h.must(err)
		if kept != nil {
			held = append(held, kept)
		}
	}
	if len(held) != room {
		t.Errorf("%d are held", len(held))
	}
	for i, address := range f.segments {
		if !bytes.Equal(h.ok(address), f.sealed[i]) {
			t.Errorf("segment %d differs", i)
		}
	}
	for _, e := range held {
		e.release()
	}
	for range 2 { // each drives another one out
		for i, address := range f.segments {
			if !bytes.Equal(h.ok(address), f.sealed[i]) {
				t.Errorf("segment %d differs", i)
			}
		}
	}
	if n := len(h.ciphertext.known); n != room {
		t.Errorf("%d are kept", n)
	}
}

func (h *theatre) factsOf(f *film) *packaged {
	h.t.Helper()
	state, err := h.rows.PlaybackState(h.t.Context(), f.id)
	h.must(err)
	p, err := h.facts.of(h.t.Context(), f.id, state.Revision)
	h.must(err)
	return p
}

// What is deleted is shown no more at once, and its memory is free soon.
func TestADeletionIsHeededAtOnceAndForgotten(t *testing.T) {
	t.Parallel()
	h := open(t)
	f, other := h.show(video.Public, 1, 10), h.show(video.Public, 1, 10)
	of := func(f *film, c Class) (addresses []string) {
		for _, what := range []string{"master.m3u8", "720p.m3u8", "key/720p/0", "poster.jpg", "preview/0.jpg", "previews.vtt", "source"} {
			addresses = append(addresses, h.play(f.id, c, what))
		}
		return addresses
	}
	all := func(f *film) []string { return slices.Concat(of(f, Anyone), of(f, Insider), f.segments) }
	for _, address := range append(all(f), all(other)...) {
		h.ok(address)
	}
	_, err := h.rows.Hide(t.Context(), f.id)
	h.must(err)
	for _, address := range slices.Concat(of(f, Anyone), f.segments) { // as at the video's own address
		if got := h.ask("GET", address); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", address, got.status)
		}
	}
	for _, address := range of(f, Insider) { // who still see the video
		if got := h.ask("GET", address); got.status != http.StatusGone {
			t.Errorf("%s: %d", address, got.status)
		}
	}
	h.forgetDeleted(t.Context())
	if ids := h.ciphertext.ids(); ids[f.id] || !ids[other.id] || slices.Contains(h.facts.ids(), f.id) || !slices.Contains(h.facts.ids(), other.id) {
		t.Errorf("kept: %v, %v", ids, h.facts.ids())
	}
	for _, address := range all(other) {
		h.ok(address)
	}
}

// The facts of a video are read again once its row has changed.
func TestFactsFollowTheRow(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	before := h.ok(h.play(f.id, Anyone, "720p.m3u8"))
	if p := h.factsOf(f); p != h.factsOf(f) {
		t.Error("the facts are read each time")
	}
	h.move(f.id, 3, video.Reviewing)
	h.put(legOf(f, 3), segmentOf(1), noise(1000))
	h.move(f.id, 4, video.Published)
	if after := h.ok(h.play(f.id, Anyone, "720p.m3u8")); bytes.Count(after, []byte("#EXTINF")) != 2 || bytes.Equal(before, after) {
		t.Errorf("%s", after)
	}
}

// A reviewer's address is good for as long as the review lasts.
func TestAReviewersAddressEndsWithTheReview(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	for i, row := range []struct {
		stage             video.Stage
		reviewer, insider int
	}{{video.Reviewing, 200, 200}, {video.Scheduled, 404, 200}, {video.Publishing, 404, 200}, {video.Published, 200, 200}} {
		h.move(f.id, int64(3+i), row.stage)
		if got := h.ask("GET", h.play(f.id, Reviewer, "master.m3u8")).status; got != row.reviewer {
			t.Errorf("%s: the reviewer gets %d", row.stage, got)
		}
		if got := h.ask("GET", h.play(f.id, Insider, "master.m3u8")).status; got != row.insider {
			t.Errorf("%s: the owner gets %d", row.stage, got)
		}
	}
}

// Requests share a loan, and none of them has the key once Destroy is done.
func TestLoansAreSharedAndEndWithTheKey(t *testing.T) {
	t.Parallel()
	h := open(t)
	f := h.show(video.Public, 1)
	var first, second *sharedLoan
	h.must(h.keys.with(t.Context(), f.id, func(vault.Key) error {
		first = h.keys.lent[f.id]
		return h.keys.with(t.Context(), f.id, func(vault.Key) error { second = h.keys.lent[f.id]; return nil })
	}))
	if first == nil || first != second {
		t.Error("two loans at once")
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					h.ask("GET", h.play(f.id, Anyone, "key/720p/0"))
				}
			}
		})
	}
	begun := time.Now()
	_, err := h.keyring.Destroy(t.Context(), vault.Intent{ID: f.id, Reason: "deleted"})
	took := time.Since(begun)
	h.must(err)
	close(stop)
	wait.Wait()
	if took > 5*vault.MaxLoan {
		t.Errorf("the destruction waited %v", took)
	}
	err = h.keys.with(t.Context(), f.id, func(k vault.Key) error { _, err := k.SegmentKey("720p", 0); return err })
	if code := video.CodeOf(err); code != video.Gone && code != video.Unavailable {
		t.Errorf("after the destruction: %v", err)
	}
}
