package playback

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

func FuzzPlaybackToken(f *testing.F) {
	s, now := (&Server{secret: bytes.Repeat([]byte{7}, 32)}), time.Now()
	id, other := video.NewID(), video.NewID()
	good := s.Token(id, Anyone, now.Add(time.Hour))
	for _, seed := range []string{"", good, s.Token(other, Insider, now.Add(time.Hour)), s.Token(id, Insider, now), good + "=", good[:len(good)-1]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if class, err := s.checkToken(id, token, now); err == nil && (token != good || class != Anyone) {
			t.Errorf("%q lets in as %c", token, class)
		} else if err != nil && video.CodeOf(err) != video.Unauthenticated {
			t.Error(err)
		}
	})
}

func FuzzDownloadType(f *testing.F) {
	for _, seed := range []string{"", "video/mp4", "text/html", "video/", "VIDEO/x; a=b", "video/mp4, text/html"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		if kind := downloadType(said); !strings.HasPrefix(kind, "video/") && kind != "application/octet-stream" || strings.ContainsAny(kind, "\r\n,") {
			t.Errorf("a browser might take %q for a page: %q", said, kind)
		}
	})
}
