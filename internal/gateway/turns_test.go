package gateway

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/turns"
	"github.com/reelflow/reelflow/video"
)

// waits returns once so many wait for a turn.
func (s *site) waits(all *turns.Turns, n int) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); all.Waiting() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%d wait for a turn, not %d", all.Waiting(), n)
		}
	}
}

// hold takes the only turn.
func (s *site) hold(all *turns.Turns) (done func()) {
	s.t.Helper()
	done, err := all.Take(s.t.Context(), "elsewhere")
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

// While others have the turns what costs much waits, and is refused in the end. Players,
// uploads, and machines that watch the gateway wait for nobody.
func TestReadsTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.readTurns.reads = turns.New(1, 1, 0, nil)
	id := s.in(video.Published, "public")
	s.packaged(id)
	p := s.play("owner", id)
	media := beside(t, p.HLS, "720p.m3u8")
	segment := items(t, string(s.ok(media)), media)[0].segment
	upload := s.made("owner", `{"title":"x","source":{"size":1000,"filename":"x.mp4"}}`).Upload.URL

	done := s.hold(s.readTurns.reads)
	var wait sync.WaitGroup
	costly := []string{"/v1/videos/" + string(id), "/watch/" + string(id), "/openapi.json", "/", "/v1/videos/" + string(id) + "/events"}
	for _, path := range costly {
		wait.Go(func() {
			got := s.request("", "GET", path, "")
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		})
	}
	s.waits(s.readTurns.reads, len(costly))
	for _, address := range []string{p.HLS, media, segment, p.Poster, "/healthz", "/readyz", "/signin"} {
		if got := s.request("", "GET", address, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d", address, got.status)
		}
	}
	if got := s.tus("", "HEAD", *upload, ""); got.status != http.StatusOK {
		t.Errorf("the upload's HEAD: %d", got.status)
	}
	if got := s.tus("", "PATCH", *upload, strings.Repeat("x", 1000), "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); got.status != http.StatusNoContent {
		t.Errorf("the upload's PATCH: %d %s", got.status, got.body)
	}
	s.waits(s.readTurns.reads, len(costly)) // all the while
	wait.Wait()
	done()
	for _, path := range costly {
		if got := s.request("", "GET", path, ""); got.status == http.StatusServiceUnavailable {
			t.Errorf("%s, later: %d", path, got.status)
		}
	}
}

// Who follows a video, or reads nothing of an answer, keeps no turn.
func TestWhoReadsSlowlyKeepsNoTurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.readTurns.reads = turns.New(1, 1, 0, nil)
	id := s.in(video.Published, "public")
	s.await(s.listen("", id))
	slow := s.dial()
	if err := slow.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	request := "GET /openapi.json HTTP/1.1\r\nHost: " + slow.RemoteAddr().String() + "\r\n\r\n"
	if _, err := io.WriteString(slow, strings.Repeat(request, 200)); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil { // of the first; then nothing
		t.Fatal(err)
	}
	for range 3 {
		if got := s.request("", "GET", "/v1/videos/"+string(id), ""); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// The beginnings of downloads take turns of their own, for a store can let them wait.
func TestDownloadsTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.readTurns.downloads = turns.New(1, 1, 0, nil)
	path := "/play/" + string(s.in(video.Published, "public")) + "/x/source"
	done := s.hold(s.readTurns.downloads)
	waited := make(chan answer)
	go func() { waited <- s.request("", "GET", path, "") }()
	s.waits(s.readTurns.downloads, 1)
	if got := s.request("", "GET", "/", ""); got.status != http.StatusOK {
		t.Errorf("a page: %d", got.status)
	}
	done()
	if got := <-waited; got.status == http.StatusOK || got.status == http.StatusServiceUnavailable { // its token doesn't hold
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Several ranges at once take turns, of whatever they are: they get the whole, which is much
// for one line. One range doesn't wait for them.
func TestSeveralRangesTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.readTurns.ranges = turns.New(1, 1, 0, nil)
	id := s.in(video.Published, "public")
	film := s.packaged(id)
	p := s.play("", id)
	media := beside(t, p.HLS, "720p.m3u8")
	segment := items(t, string(s.ok(media)), media)[0].segment
	done := s.hold(s.readTurns.ranges)
	several := make(chan answer)
	go func() { several <- s.request("", "GET", segment, "", "Range", "bytes=0-0,2-2") }()
	s.waits(s.readTurns.ranges, 1)
	if got := s.request("", "GET", segment, "", "Range", "bytes=0-0"); got.status != http.StatusPartialContent {
		t.Errorf("one range: %d", got.status)
	}
	done()
	whole := s.ok(segment)
	if got := <-several; got.status != http.StatusOK || !slices.Equal(got.body, whole) || len(film.segments) == 0 {
		t.Errorf("several ranges: %d, %d bytes", got.status, len(got.body))
	}
}
