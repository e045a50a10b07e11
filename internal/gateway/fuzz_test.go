package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

func FuzzUploadMetadata(f *testing.F) {
	for _, seed := range []string{"", "filename d29ybGQ=", "title 8J+OrA==,caption", "title !", ", ,", "filetype " + strings.Repeat("QUFB", 100), "title AA==", "publish_delay TmFO", "review dHJ1ZQ==,hashtags YSxi"} {
		f.Add(seed)
	}
	g := Gateway{settings: Settings{MaxBytes: 1 << 20}}
	parser := newMetadataParser()
	f.Fuzz(func(t *testing.T, header string) {
		said, err := parser.parse(handler.ParseMetadataHeader(header))
		var b birth
		if err == nil {
			b, err = g.check(said, devPerson("owner"))
		}
		if err != nil {
			if problem.Of(err).Code != video.Invalid {
				t.Fatal(err)
			}
			return
		}
		for text, most := range map[string]int{b.about.Title: 200, b.about.Caption: 4000, b.about.Filename: 255, b.about.ContentType: 127} {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most {
				t.Errorf("%q", text)
			}
		}
		var again about
		if text, err := json.Marshal(b.about); err != nil || json.Unmarshal(text, &again) != nil || again.Title != b.about.Title {
			t.Errorf("%q comes back as %q (%v)", b.about.Title, again.Title, err)
		}
		if kind := downloadType(b.about.ContentType); !strings.HasPrefix(kind, "video/") && kind != "application/octet-stream" {
			t.Errorf("a browser might take %q for a page", kind)
		}
	})
}

func FuzzID(f *testing.F) {
	for _, seed := range []string{"", string(video.NewID()), "../..", strings.Repeat("a", 26), strings.Repeat("A", 26), strings.Repeat("7", 26)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := video.ParseID(text)
		if err != nil {
			if video.CodeOf(err) != video.NotFound {
				t.Error(err)
			}
			return
		}
		if string(id) != text || len(id) != 26 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%q is taken for an id", text)
		}
	})
}

func FuzzCursor(f *testing.F) {
	c, err := catalog.Open(f.Context(), "sqlite://"+filepath.Join(f.TempDir(), "catalog.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	for _, place := range []string{"", "1 " + string(video.NewID()), "-9223372036854775808 " + string(video.NewID()), "99999999999999999999 x", "1 ' OR 1=1"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(place)))
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if _, _, err := c.Videos(t.Context(), catalog.Query{Cursor: cursor}); err != nil && video.CodeOf(err) != video.Invalid {
			t.Error(err)
		}
	})
}

func testSecrets(f *testing.F, issuer string) secrets {
	s, err := deriveSecrets(bytes.Repeat([]byte{7}, 32), issuer)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func FuzzPlaybackToken(f *testing.F) {
	s, now := testSecrets(f, ""), time.Now()
	id, other := video.NewID(), video.NewID()
	good := s.playbackToken(id, anyone, now.Add(time.Hour))
	for _, seed := range []string{"", good, s.playbackToken(other, insiders, now.Add(time.Hour)), s.playbackToken(id, insiders, now), good + "=", good[:len(good)-1]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if class, err := s.checkToken(id, token, now); err == nil && (token != good || class != anyone) {
			t.Errorf("%q lets in as %c", token, class)
		} else if err != nil && video.CodeOf(err) != video.Unauthenticated {
			t.Error(err)
		}
	})
}

func FuzzSession(f *testing.F) {
	s, other := testSecrets(f, "https://issuer.example"), testSecrets(f, "")
	until := time.Now().Add(time.Hour)
	good := s.newSession(person{name: "ann"}, until)
	for _, seed := range []string{"", good, other.newSession(devPerson("admin"), until), s.stamped("signin", []byte("{}")), good[:40]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, ok := s.unstamped("session", value); ok && value != good {
			t.Errorf("%q holds", value)
		}
	})
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer dev:ann", "bearer  dev:a", "Basic x", "Bearer dev:../x", "Bearer dev:\x00", "Bearer dev:" + strings.Repeat("é", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		who, err := devBearer(header)
		if err == nil && (checkName(who.name) != nil || !strings.Contains(header, who.name)) {
			t.Errorf("%q is %q", header, who.name)
		}
		if err != nil && video.CodeOf(err) != video.Unauthenticated {
			t.Error(err)
		}
		if next := localPath(header); !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.HasPrefix(next, `/\`) {
			t.Errorf("%q leads to %q", header, next)
		}
	})
}

// errorsOf collects what a gateway logs as its own fault.
type errorsOf struct{ found chan string }

func (e errorsOf) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelError}))
}

// Write implements io.Writer.
func (e errorsOf) Write(line []byte) (int, error) {
	select {
	case e.found <- string(line):
		return len(line), nil
	default:
		return 0, errors.New("too many errors")
	}
}
