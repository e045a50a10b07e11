package captions

import (
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/reelflow/reelflow/video"
)

// Language returns a language tag (BCP 47, RFC 5646) in its canonical form: "EN-us" is
// "en-US", "iw" is "he". It fails with Invalid for what is none, and for tags that say more
// than language, script and region: players compare them letter by letter.
func Language(text string) (string, error) {
	tag, err := language.Parse(text)
	if err != nil || strings.Contains(text, "_") {
		return "", notALanguage()
	}
	base, script, region := tag.Raw()
	plain, err := language.Compose(base, script, region)
	if err != nil || plain != tag || tag.IsRoot() || base.String() == "und" || len(tag.String()) > longestTag {
		return "", notALanguage()
	}
	return tag.String(), nil
}

// longestTag is a language of three letters, a script and a region of three digits.
const longestTag = len("zxx-Latn-419")

func notALanguage() error {
	return video.Errorf(video.Invalid, `The language is not one that is known; it is a tag of BCP 47 such as "en", "pt-BR" or "zh-Hant".`)
}

// Label is the name of a language in that language, or in English, or else its tag.
func Label(tag string) string {
	known, err := language.Parse(tag)
	if err != nil {
		return tag
	}
	for _, name := range []string{display.Self.Name(known), display.English.Tags().Name(known)} {
		if name != "" && !strings.ContainsAny(name, "\"\r\n") { // which playlists can't quote
			return name
		}
	}
	return tag
}
