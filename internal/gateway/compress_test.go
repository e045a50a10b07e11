package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// plainly sends a request with a client that leaves encodings to its caller.
func (s *site) plainly(method, path string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.at(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body}
}

func (s *site) unzip(a answer) string {
	s.t.Helper()
	if a.header.Get("Content-Encoding") != "gzip" {
		s.t.Fatalf("%d is not compressed: %v", a.status, a.header)
	}
	r, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		s.t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(plain)
}

func TestPagesAndJSONAreCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	for range 5 { // a profile of one is short
		s.in(video.Published, "public")
	}
	for _, path := range []string{"/v1/users/owner/videos", "/@owner", "/watch/" + string(id), "/docs", "/openapi.json", "/openapi.yaml"} {
		plain, small := s.plainly("GET", path), s.plainly("GET", path, "Accept-Encoding", "br, gzip;q=0.5")
		if plain.status != http.StatusOK || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", path, plain.status, plain.header)
		}
		if got := s.unzip(small); got != string(plain.body) {
			t.Errorf("%s is another when compressed: %d bytes, not %d", path, len(got), len(plain.body))
		}
		if len(small.body) >= len(plain.body) || small.header.Get("Vary") == "" || small.header.Get("Content-Type") != plain.header.Get("Content-Type") {
			t.Errorf("%s: %d of %d bytes, %v", path, len(small.body), len(plain.body), small.header)
		}
		refused := s.plainly("GET", path, "Accept-Encoding", "gzip;q=0, *;q=0")
		head := s.plainly("HEAD", path, "Accept-Encoding", "gzip")
		ranged := s.plainly("GET", path, "Accept-Encoding", "gzip", "Range", "bytes=0-9")
		for what, a := range map[string]answer{"refused": refused, "HEAD": head, "range": ranged} {
			if a.status != http.StatusOK || a.header.Get("Content-Encoding") != "" {
				t.Errorf("%s of %s: %d %v", what, path, a.status, a.header)
			}
		}
	}
}

// Small answers, video and what belongs to it, and uploads are sent as they are.
func TestWhatIsNotCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.packaged(id)
	addresses := s.play("owner", id)
	for _, path := range []string{"/healthz", "/v1/videos/none", addresses.HLS, addresses.Poster, "/v1/uploads/none", "/assets/none"} {
		if a := s.plainly("GET", path, "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "" || len(a.body) == 0 {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	for _, path := range []string{addresses.HLS, addresses.Poster} {
		if vary := s.plainly("GET", path, "Accept-Encoding", "gzip").header.Values("Vary"); strings.Contains(fmt.Sprint(vary), "Encoding") {
			t.Errorf("%s: Vary %v", path, vary)
		}
	}
}

// An event is sent when it happens, also to those who accept compressed answers.
func TestEventsAreNotHeldBackToBeCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	for _, path := range []string{"/v1/events?id=" + string(id), "/v1/videos/" + string(id) + "/events"} {
		response, err := s.stream(path)
		if err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { response.Body.Close() })
		lines, came := bufio.NewScanner(response.Body), false
		for !came && lines.Scan() {
			came = lines.Text() == "event: video"
		}
		timer.Stop()
		if !came || response.Header.Get("Content-Encoding") != "" || strings.Contains(fmt.Sprint(response.Header["Vary"]), "Encoding") {
			t.Errorf("%s: no event came: %v, %v", path, lines.Err(), response.Header)
		}
		response.Body.Close()
	}
}

func (s *site) stream(path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.at(path), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	return http.DefaultClient.Do(r)
}

// A page names its assets by their content, so that browsers keep them; by their plain
// names they are asked for each time.
func TestAssetsAreNamedByTheirContent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	page := string(s.request("", "GET", "/watch/"+string(id), "").body)
	found := regexp.MustCompile(`"/assets/([a-z.]+)-([0-9a-f]{24})(\.(?:js|css))"`).FindAllStringSubmatch(page, -1)
	names := map[string]bool{}
	for _, f := range found {
		plain, hashed := s.plainly("GET", "/assets/"+f[1]+f[3]), s.plainly("GET", strings.Trim(f[0], `"`))
		names[f[1]+f[3]] = true
		if plain.status != http.StatusOK || hashed.status != http.StatusOK || !bytes.Equal(plain.body, hashed.body) {
			t.Errorf("%s: %d, %d", f[0], plain.status, hashed.status)
		}
		if keep := hashed.header.Get("Cache-Control"); keep != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", f[0], keep)
		}
		other := s.plainly("GET", "/assets/"+f[1]+"-"+strings.Repeat("0", 24)+f[3]) // as of another release
		for name, a := range map[string]answer{"the plain name": plain, "another hash": other} {
			if a.header.Get("Cache-Control") != "no-cache" || !bytes.Equal(a.body, plain.body) {
				t.Errorf("%s of %s: %d %v", name, f[0], a.status, a.header)
			}
		}
	}
	for _, name := range []string{"page.css", "page.js", "watch.js", "hls.worker.js"} {
		if !names[name] {
			t.Errorf("the page names no %s by its content: %v", name, found)
		}
	}
	if a := s.plainly("GET", "/assets/none-"+strings.Repeat("0", 24)+".js"); a.status != http.StatusNotFound || a.header.Get("Cache-Control") == "no-cache" {
		t.Errorf("no asset: %d %v", a.status, a.header)
	}
}

// Each encoding of an asset has its own tag; ranges are of the plain content.
func TestAssetsAreCompressed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const path = "/assets/watch.js"
	plain, small := s.plainly("GET", path), s.plainly("GET", path, "Accept-Encoding", "gzip, br")
	if s.unzip(small) != string(plain.body) || len(small.body) > len(plain.body)/2 {
		t.Errorf("%d of %d bytes", len(small.body), len(plain.body))
	}
	tags := map[string]string{"": plain.header.Get("ETag"), "gzip": small.header.Get("ETag")}
	if tags[""] == tags["gzip"] || tags[""] == "" {
		t.Errorf("tags %v", tags)
	}
	for encoding, tag := range tags {
		for other, known := range tags {
			got := s.plainly("GET", path, "Accept-Encoding", encoding, "If-None-Match", known)
			want := http.StatusOK
			if other == encoding {
				want = http.StatusNotModified
			}
			if got.status != want || got.header.Get("ETag") != tag || got.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%q with the tag of %q: %d %v", encoding, other, got.status, got.header)
			}
		}
		head := s.plainly("HEAD", path, "Accept-Encoding", encoding)
		if head.header.Get("Content-Length") == "" || head.header.Get("Content-Encoding") != encoding || head.header.Get("ETag") != tag {
			t.Errorf("HEAD of %q: %v", encoding, head.header)
		}
	}
	part := s.plainly("GET", path, "Accept-Encoding", "gzip", "Range", "bytes=10-19")
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, plain.body[10:20]) || part.header.Get("ETag") != tags[""] {
		t.Errorf("a range: %d %q %v", part.status, part.body, part.header)
	}
	whole := s.plainly("GET", path, "Accept-Encoding", "gzip", "Range", "bytes=10-19", "If-Range", tags["gzip"])
	if whole.status != http.StatusOK || !bytes.Equal(whole.body, plain.body) {
		t.Errorf("a range of what was compressed: %d, %d bytes", whole.status, len(whole.body))
	}
	for accept, want := range map[string]string{
		"gzip": "gzip", "GZIP;Q=1": "gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1": "gzip", "*": "gzip", "deflate, *;q=0.5": "gzip",
		"gzip;q=0": "", "*;q=0": "", "gzip;q=0, *": "", "*, gzip ; q=0.0": "", "identity": "", "br": "", "gzip;q=x": "",
	} {
		if got := s.plainly("GET", path, "Accept-Encoding", accept).header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", accept, got, want)
		}
	}
}
