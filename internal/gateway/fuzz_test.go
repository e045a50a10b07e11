package gateway

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func FuzzUploadMetadata(f *testing.F) {
	for _, seed := range []string{"", "filename d29ybGQ=", "title 8J+OrA==,caption", "title !", ", ,", "filetype " + strings.Repeat("QUFB", 100), "title AA=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		n := newVideoOf(handler.ParseMetadataHeader(header))
		for text, most := range map[string]int{n.Title: 200, n.Caption: 4000, n.Source.Filename: 255, n.Source.ContentType: 127} {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most {
				t.Errorf("%q", text)
			}
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
