package captions

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// pieces are what captions are made of, and what they should not be.
var pieces = []string{
	"\n", "\n\n", "\r\n", "\r", " ", "\t", "a", "Hello", "-->", "<", ">", "&", "{", "}", "{\\an8}", "<b>", "</b>", "<i>", "</i>", "<v Mary>", "</v>", "<v", "<c.x>", "</c>", "<font color=\"x\">",
	"</font>", "<script>", "&amp;", "&lt;", "&gt;", "&#60;", "&nbsp;", "&#7;", "\u00a0", "\ufeff", "\u2028", "\x00", "\xff", "NOTE", "STYLE", "WEBVTT", "<00:00:01.000>", "<ruby>", "<rt>", "ש",
}

type random struct{ *rand.Rand }

func seeded(t *testing.T) random {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return random{rand.New(rand.NewPCG(seed, 0))}
}

// file is a good start, and then some cues with any text.
func (r random) file() []byte {
	var out strings.Builder
	out.WriteString([]string{"WEBVTT\n\n", "\ufeffWEBVTT x\r\n\r\n", ""}[r.IntN(3)])
	for range 1 + r.IntN(3) {
		out.WriteString([]string{"1\n", ""}[r.IntN(2)] + one)
		for range r.IntN(6) {
			out.WriteString(pieces[r.IntN(len(pieces))])
		}
		out.WriteString("\n\n")
	}
	return []byte(out.String())
}
