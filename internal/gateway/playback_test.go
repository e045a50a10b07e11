package gateway

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/playback"
	"github.com/reelflow/reelflow/video"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func record(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w
}

func (s *site) play(as string, id video.ID) video.Playback {
	s.t.Helper()
	got := s.request(as, "GET", "/v1/videos/"+string(id)+"/playback", "")
	var p video.Playback
	if err := json.Unmarshal(got.body, &p); err != nil || got.status != 200 {
		s.t.Fatalf("playback: %d %s", got.status, got.body)
	}
	return p
}

// beside resolves an address in a playlist.
func beside(t *testing.T, base, ref string) string {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// item is one segment in a playlist.
type item struct{ key, iv, segment string }

func items(t *testing.T, playlist, base string) (all []item) {
	t.Helper()
	form := regexp.MustCompile(`#EXT-X-KEY:METHOD=AES-128,URI="([^"]+)",IV=0x([0-9a-f]{32})\n#EXTINF:3\.750000,\n(\S+)\n`)
	for _, m := range form.FindAllStringSubmatch(playlist, -1) {
		all = append(all, item{beside(t, base, m[1]), m[2], beside(t, base, m[3])})
	}
	return all
}

// watch plays a rendition to its end, as a player with neither header nor cookie.
func (s *site) watch(media string) (segments [][]byte) {
	s.t.Helper()
	for _, it := range items(s.t, string(s.ok(media)), media) {
		key, sealed := s.ok(it.key), s.ok(it.segment)
		iv, err := hex.DecodeString(it.iv)
		if err != nil {
			s.t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			s.t.Fatal(err)
		}
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(sealed, sealed)
		segments = append(segments, sealed[:len(sealed)-int(sealed[len(sealed)-1])])
	}
	return segments
}

func (s *site) ok(address string) []byte {
	s.t.Helper()
	got := s.request("", "GET", address, "")
	if got.status != 200 {
		s.t.Fatalf("GET %s: %d %s", address, got.status, got.body)
	}
	return got.body
}

func TestPlaying(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	film := s.packaged(id)
	p := s.play("", id)
	if p.Download != "" || !strings.HasPrefix(p.HLS, s.url) || time.Until(p.ExpiresAt) < time.Minute {
		t.Errorf("%+v", p)
	}
	master := string(s.ok(p.HLS))
	names := regexp.MustCompile(`#EXT-X-STREAM-INF:BANDWIDTH=\d+(\S+)\n(\S+)\n`).FindAllStringSubmatch(master, -1)
	if len(names) != 2 ||
		names[0][1] != `,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=720x1280,FRAME-RATE=29.970` || names[0][2] != "720p.m3u8" ||
		names[1][1] != `,RESOLUTION=480x854` || names[1][2] != "480p.m3u8" {
		t.Fatalf("master playlist:\n%s", master)
	}
	for _, name := range names {
		media := beside(t, p.HLS, name[2])
		want := film.segments[strings.TrimSuffix(name[2], ".m3u8")]
		got := s.watch(media)
		if len(got) != len(want) {
			t.Fatalf("%s has %d segments", name[2], len(got))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: segment %d differs", name[2], i)
			}
		}
	}
	if got := s.ok(p.Poster); !bytes.Equal(got, film.poster) {
		t.Error("the poster differs")
	}
}

func TestWhatMayBeCached(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.packaged(id)
	p := s.play("", id)
	media := beside(t, p.HLS, "480p.m3u8")
	it := items(t, string(s.ok(media)), media)[0]
	for _, address := range []string{p.HLS, media, it.key, p.Poster, "/watch/" + string(id), "/embed/" + string(id), "/v1/videos/" + string(id)} {
		if got := s.request("", "GET", address, "").header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", address, got)
		}
	}
	segment := s.request("", "GET", it.segment, "")
	if !strings.Contains(segment.header.Get("Cache-Control"), "immutable") || strings.Contains(it.segment, path.Base(path.Dir(p.HLS))) {
		t.Errorf("%s: %v", it.segment, segment.header)
	}
	part := s.request("", "GET", it.segment, "", "Range", "bytes=10-19")
	if part.status != 206 || !bytes.Equal(part.body, segment.body[10:20]) {
		t.Errorf("range: %d, %d bytes", part.status, len(part.body))
	}
	if head := s.request("", "HEAD", it.segment, ""); head.status != 200 || head.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}

func TestADeletionEndsPlaying(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.packaged(id)
	for viewer, code := range map[string]video.Code{"": video.NotFound, "owner": video.Gone} {
		p := s.play(viewer, id)
		media := beside(t, p.HLS, "720p.m3u8")
		it := items(t, string(s.ok(media)), media)[1]
		defer func() {
			for _, address := range []string{p.HLS, media, it.key, p.Poster} {
				s.refusal(s.request("", "GET", address, ""), code)
			}
			s.refusal(s.request("", "GET", it.segment, ""), video.NotFound) // which no token leads to
		}()
	}
	s.video(s.request("owner", "DELETE", "/v1/videos/"+string(id), ""), 202)
	s.refusal(s.request("owner", "GET", "/v1/videos/"+string(id)+"/playback", ""), video.Gone)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, other := s.in(video.Published, "private"), s.in(video.Published, "private")
	s.packaged(id)
	s.packaged(other)
	p := s.play("owner", id)
	s.ok(p.HLS)
	token := path.Base(path.Dir(p.HLS))
	for _, wrong := range []string{
		strings.Replace(p.HLS, string(id), string(other), 1),
		strings.Replace(p.HLS, token, token[:len(token)-1]+"_", 1),
		strings.Replace(p.HLS, token, "x", 1),
	} {
		s.refusal(s.request("", "GET", wrong, ""), video.NotFound)
	}
	for _, wrong := range []string{
		"/play/" + string(id) + "/" + s.players.Token(id, playback.Insider, time.Now().Add(-time.Second)) + "/master.m3u8",
	} {
		s.refusal(s.request("", "GET", wrong, ""), video.Unauthenticated)
	}
	// A token of the public's dies with the video's being public.
	s.refusal(s.request("", "GET", "/play/"+string(id)+"/"+s.players.Token(id, playback.Anyone, time.Now().Add(time.Hour))+"/master.m3u8", ""), video.NotFound)
	s.refusal(s.request("", "GET", strings.Replace(p.HLS, "master", "none", 1), ""), video.NotFound)
}

func TestDownload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.made("owner", `{"allow_download":true,"source":{"filename":"wäves.mp4","content_type":"text/html"}}`).ID
	s.move(id, video.Published)
	film := s.packaged(id)
	p := s.play("other", id)
	got := s.request("", "GET", p.Download, "")
	if got.status != 200 || !bytes.Equal(got.body, film.source) || got.header.Get("Content-Type") != "application/octet-stream" ||
		!strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %q %v", got.status, got.body, got.header)
	}
	part := s.request("", "GET", p.Download, "", "Range", "bytes=8-29")
	if part.status != 206 || !bytes.Equal(part.body, film.source[8:30]) {
		t.Errorf("range: %d %q", part.status, part.body)
	}
	locked := s.in(video.Published, "public")
	s.packaged(locked)
	if s.play("owner", locked).Download != "" {
		t.Error("a download that was not allowed")
	}
	s.refusal(s.request("", "GET", strings.Replace(s.play("", locked).HLS, "master.m3u8", "source", 1), ""), video.Forbidden)
}

func TestTheOwnerPreviews(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Reviewing, "public")
	s.refusal(s.request("owner", "GET", "/v1/videos/"+string(id)+"/playback", ""), video.Conflict)
	s.packaged(id)
	s.ok(s.play("owner", id).HLS)
	s.ok(s.play("reviewer", id).HLS)
	s.refusal(s.request("other", "GET", "/v1/videos/"+string(id)+"/playback", ""), video.NotFound)
}

// Whoever may watch a video sees its picture in lists; nobody else is given an address.
func TestPostersInListsAreForWhoeverSeesThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "private")
	film := s.packaged(id)
	page := string(s.request("owner", "GET", "/videos", "").body)
	address := regexp.MustCompile(`/play/[^"]+/poster.jpg`).FindString(page)
	if got := s.ok(address); !bytes.Equal(got, film.poster) {
		t.Error("the poster of one's own private video differs")
	}
}
