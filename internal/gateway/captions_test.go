package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

const (
	someVTT = "WEBVTT\n\nNOTE mine\n\n00:01.000 --> 00:02.500 align:start\n<v Ann>Hello & welcome\n"
	someSRT = "1\r\n00:00:01,000 --> 00:00:02,500\r\nBonjour\r\n"
)

func captionsOf(id video.ID, language string) string {
	return "/v1/videos/" + string(id) + "/captions/" + language
}

// Captions that an author gives are in the video, in the master playlist and in the playback,
// and are replaced and taken away again.
func TestCaptions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.packaged(id)
	v := s.video(s.request("owner", "PUT", captionsOf(id, "EN-us"), someVTT, "Content-Type", "text/vtt; charset=utf-8"), http.StatusCreated)
	if len(v.Captions) != 1 || v.Captions[0] != (video.Captions{Language: "en-US", Label: "American English"}) {
		t.Errorf("%+v", v.Captions)
	}
	for status, body := range []string{someVTT, someSRT} {
		s.video(s.request("owner", "PUT", captionsOf(id, "fr"), body, "Content-Type", "application/x-subrip"), http.StatusCreated-status)
	}
	if v = s.video(s.request("", "GET", "/v1/videos/"+string(id), ""), 200); len(v.Captions) != 2 || v.Captions[1].Label != "français" {
		t.Errorf("%+v", v.Captions)
	}
	p := s.play("", id)
	if len(p.Captions) != 2 || p.Captions[0].Language != "en-US" {
		t.Fatalf("%+v", p.Captions)
	}
	master := string(s.ok(p.HLS))
	for _, line := range []string{
		`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="American English",LANGUAGE="en-US",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="captions-en-US.m3u8"` + "\n",
		`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="français",LANGUAGE="fr",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="captions-fr.m3u8"` + "\n",
		"FRAME-RATE=29.970,SUBTITLES=\"captions\"\n720p.m3u8\n", "SUBTITLES=\"captions\"\n480p.m3u8\n",
	} {
		if !strings.Contains(master, line) {
			t.Errorf("%s\nlacks %s", master, line)
		}
	}
	playlist := beside(t, p.HLS, "captions-en-US.m3u8")
	if text := string(s.ok(playlist)); !strings.Contains(text, "#EXTINF:7.500000,\ncaptions/en-US.vtt\n#EXT-X-ENDLIST\n") || !strings.Contains(text, "TARGETDURATION:8\n") || strings.Contains(text, "KEY") {
		t.Errorf("%s", text)
	}
	got := s.request("", "GET", beside(t, playlist, "captions/en-US.vtt"), "")
	const want = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:90000\n\n00:00:01.000 --> 00:00:02.500 align:start\n<v Ann>Hello &amp; welcome</v>\n"
	if string(got.body) != want || got.header.Get("Content-Type") != "text/vtt; charset=utf-8" || got.header.Get("Cache-Control") != "no-store" || p.Captions[0].URL != beside(t, playlist, "captions/en-US.vtt") {
		t.Errorf("%q %v", got.body, got.header)
	}
	for part, want := range map[string]string{"bytes=0-5": want[:6], "bytes=3-60": want[3:61], "bytes=70-": want[70:], "bytes=-9": want[len(want)-9:]} {
		if got := s.request("", "GET", p.Captions[0].URL, "", "Range", part); got.status != 206 || string(got.body) != want {
			t.Errorf("%s: %d %q, want %q", part, got.status, got.body, want)
		}
	}
	for range 2 {
		v = s.video(s.request("owner", "DELETE", captionsOf(id, "en-US"), ""), 200)
	}
	if len(v.Captions) != 1 || strings.Contains(string(s.ok(p.HLS)), "en-US") || s.request("", "GET", p.Captions[0].URL, "").status != 404 {
		t.Errorf("they are still there: %+v", v.Captions)
	}
}

func TestCaptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Processing, "public")
	for name, c := range map[string]struct {
		language, kind, body string
		code                 video.Code
		says                 string
	}{
		"no language":          {"english", "text/vtt", someVTT, video.Invalid, "BCP 47"},
		"no captions":          {"en", "text/vtt", "hello", video.Invalid, "Line 1 belongs to no cue"},
		"a script":             {"en", "text/plain", strings.Replace(someVTT, "Hello", "<script>", 1), video.Invalid, "Line 6 has the tag <script>"},
		"nothing":              {"en", "text/vtt", "", video.Invalid, "no text"},
		"too much":             {"en", "text/vtt", "WEBVTT\n\n" + strings.Repeat("x", 1<<20), video.TooLarge, "1048576"},
		"JSON":                 {"en", "application/json", "{}", video.UnsupportedMedia, "SRT"},
		"a page":               {"en", "text/html", someVTT, video.UnsupportedMedia, "SRT"},
		"no media type at all": {"en", "text", someVTT, video.UnsupportedMedia, "SRT"},
	} {
		got := s.refusal(s.request("owner", "PUT", captionsOf(id, c.language), c.body, "Content-Type", c.kind), c.code)
		if !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: %s", name, got.Detail)
		}
		if c.language == "english" && (len(got.Errors) != 1 || got.Errors[0] != (problem.Field{Location: "path.language", Message: got.Detail})) {
			t.Errorf("%s: %+v", name, got.Errors)
		}
	}
	s.video(s.request("admin", "POST", "/v1/videos/"+string(id)+"/hold", ""), 200)
	for _, method := range []string{"PUT", "DELETE"} {
		if got := s.refusal(s.request("owner", method, captionsOf(id, "en"), someVTT, "Content-Type", "text/vtt"), video.Conflict); !strings.Contains(got.Detail, "legal hold") {
			t.Error(got.Detail)
		}
	}
}

// Captions lie in the backups soon after they were given; until then those are shown as behind.
func TestCaptionsAreCopied(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.video(s.request("owner", "PUT", captionsOf(id, "en"), someVTT, "Content-Type", "text/vtt"), http.StatusCreated)
	for end := time.Now().Add(time.Minute); ; {
		found, err := s.catalog.CaptionsOf(t.Context(), []video.ID{id})
		if err != nil || time.Now().After(end) {
			t.Fatal(found, err)
		}
		if len(found[id]) == 2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
