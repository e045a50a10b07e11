package captions

import (
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"en": "en", "EN-us": "en-US", "pt-BR": "pt-BR", "zh-hant": "zh-Hant", "zh-Hant-TW": "zh-Hant-TW", "es-419": "es-419", "iw": "he", "gsw": "gsw", "sr-Latn": "sr-Latn",
	} {
		got, err := Language(text)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
		again, err := Language(got)
		if err != nil || again != got {
			t.Errorf("%q is %q, %v, the second time", got, again, err)
		}
	}
	for _, text := range []string{"", "e", "english", "und", "x-own", "en_US", "en-us-x-own", "en-u-ca-buddhist", "de-1996", "../en", "en ", "qq", "e\x00n", "en-", "*"} {
		if got, err := Language(text); video.CodeOf(err) != video.Invalid || err == nil {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"en": "English", "de": "Deutsch", "pt-BR": "português", "zh-Hant": "繁體中文", "gsw": "Schwiizertüütsch", "": "",
	} {
		if got := Label(tag); got != want {
			t.Errorf("the label of %q is %q, want %q", tag, got, want)
		}
	}
}
