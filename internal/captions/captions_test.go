package captions

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/reelflow/reelflow/video"
)

const one = "00:00:01.000 --> 00:00:02.000\n"

func TestClean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, want string }{
		"WebVTT":                     {"WEBVTT\n\n00:01.000 --> 00:02.000\nHello", one + "Hello\n"},
		"a title, a mark and CRLF":   {"\ufeffWEBVTT - a film\r\nKind: captions\r\n\r\nfirst\r\n00:01.000 --> 00:02.000\r\nHello\r\nthere\r\n\r\n", one + "Hello\nthere\n"},
		"SubRip":                     {"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 01:00:04,500\nThere\n", one + "Hello\n\n00:00:03.000 --> 01:00:04.500\nThere\n"},
		"SubRip with a mark and CR":  {"\ufeff1\r00:00:01,000 --> 00:00:02,000 X1:1 X2:2\rHello\r", one + "Hello\n"},
		"SubRip that begins empty":   {"\n\n1\n" + one + "Hello", one + "Hello\n"},
		"not in order":               {"WEBVTT\n\n00:03.000 --> 00:04.000\nlater\n\n00:01.000 --> 00:02.000\nsooner", one + "sooner\n\n00:00:03.000 --> 00:00:04.000\nlater\n"},
		"notes, styles and regions":  {"WEBVTT\n\nNOTE a word\nand more\n\nSTYLE\n::cue { background: url(https://example.org/x) }\n\nREGION\nid:fred\n\n" + one + "Hello\n\nNOTE\n", one + "Hello\n"},
		"settings":                   {"WEBVTT\n\n00:01.000 --> 00:02.000 line:-1 position:10%,line-left align:start size:35.5% region:fred vertical:up line:0%\nHello", "00:00:01.000 --> 00:00:02.000 line:-1 position:10%,line-left align:start size:35.5% line:0%\nHello\n"},
		"tags that stay":             {"WEBVTT\n\n" + one + "<v.loud Mary  Ann>I <b>am <I>here</b> now", one + "<v Mary Ann>I <b>am <i>here</i></b> now</v>\n"},
		"tags that go":               {"WEBVTT\n\n" + one + "<c.red.big>Hel</c>lo <00:00:01.500><lang en>you</lang>", one + "Hello you\n"},
		"fonts and overrides":        {"1\n" + one + "{\\an8}<font color=\"#fff\" face='a'>Hello</font> {there}", one + "Hello {there}\n"},
		"tags over several lines":    {"1\n" + one + "<i>Hello\n<b>\nthere</i>", one + "<i>Hello\n<b>there</b></i>\n"},
		"a tag that is never begun":  {"1\n" + one + "Hello</i>", one + "Hello\n"},
		"signs that are no tags":     {"1\n" + one + "I <3 you & <- 3 < 4 > 2", one + "I &lt;3 you &amp; &lt;- 3 &lt; 4 &gt; 2\n"},
		"entities":                   {"WEBVTT\n\n" + one + "a &lt;script&gt; &amp;amp; &#233;&nbsp;&unknown; &copy", one + "a &lt;script&gt; &amp;amp; é\u00a0&amp;unknown; &amp;copy\n"},
		"a voice with an entity":     {"WEBVTT\n\n" + one + "<v A&amp;B&lt;>hi", one + "<v A&amp;B&lt;>hi</v>\n"},
		"an arrow in the text":       {"WEBVTT\n\n" + one + "a --&gt; b", one + "a --&gt; b\n"},
		"cues without text":          {"1\n" + one + "\n2\n" + one + "{\\an8}\n\n3\n" + one + "Hello", one + "Hello\n"},
		"tabulators":                 {"WEBVTT\ttitle\n\n00:01.000\t-->\t00:02.000\talign:end\n\tHello\tthere\t", "00:00:01.000 --> 00:00:02.000 align:end\nHello there\n"},
		"scripts of several peoples": {"1\n" + one + "שלום 你好 👋🏽", one + "שלום 你好 👋🏽\n"},
	} {
		got, err := Clean([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(got) != "WEBVTT\n\n"+c.want {
			t.Errorf("%s:\n%q, want\n%q", name, got, "WEBVTT\n\n"+c.want)
		}
		mustBeClean(t, got)
	}
}

func TestCleanRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, says string
		code       video.Code
	}{
		"nothing":                {"", "There is no text", video.Invalid},
		"no cue":                 {"WEBVTT\n\nNOTE only this", "00:00:01.000 --> 00:00:04.000", video.Invalid},
		"no captions":            {"{\"a\":1}", "Line 1 belongs to no cue", video.Invalid},
		"text without a time":    {"WEBVTT\n\n" + one + "Hello\n\nthere", "Line 6 belongs to no cue", video.Invalid},
		"a number alone":         {"1\n\n" + one, "Line 1 belongs to no cue", video.Invalid},
		"no time":                {"1\nsoon --> later\nHello", "Line 2 has no times", video.Invalid},
		"half a time":            {"1\n00:00:01,000 -->\nHello", "Line 2 has no times", video.Invalid},
		"frames":                 {"1\n00:00:01:12 --> 00:00:02:00\nHello", "Line 2 has no times", video.Invalid},
		"a minute of 61 seconds": {"1\n00:00:61,000 --> 00:02:00,000\nHello", "Line 2 has no times", video.Invalid},
		"hundreds of hours":      {"1\n100:00:01,000 --> 100:00:02,000\nHello", "Line 2 has no times", video.Invalid},
		"an end before it":       {"1\n00:00:02,000 --> 00:00:01,000\nHello", "Line 2 ends at 00:00:01.000", video.Invalid},
		"no time at all":         {"1\n00:00:02,000 --> 00:00:02,000\nHello", "Line 2 ends at 00:00:02.000", video.Invalid},
		"a script":               {"WEBVTT\n\n" + one + "<script>alert(1)</script>", "Line 4 has the tag <script>; allowed are <b>", video.Invalid},
		"a picture":              {"1\n" + one + "Hello\n<img src=x onerror=y>", "Line 4 has the tag <img>", video.Invalid},
		"half a tag":             {"1\n" + one + "Hello <i there", `Line 3 has a "<" that begins no tag`, video.Invalid},
		"an address":             {"1\n" + one + "<https://example.org>", `Line 3 has a "<"`, video.Invalid},
		"many tags":              {"1\n" + one + strings.Repeat("<b>", 17), "Line 3 opens a tag within too many", video.Invalid},
		"an arrow in the text":   {"1\n" + one + "Hello\n" + one + "there", "Line 4 has \"-->\" within the text", video.Invalid},
		"an arrow in a note":     {"WEBVTT\n\nNOTE\n" + one + "Hello", "Line 4 has \"-->\" within a note", video.Invalid},
		"a cue in the header":    {"WEBVTT\n" + one + "Hello", "Line 2 needs an empty line", video.Invalid},
		"a segment of HLS":       {"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n" + one + "Hello", "Line 2 is of a segment", video.Invalid},
		"Latin 1":                {"1\n" + one + "caf\xe9", "Line 3 is not UTF-8", video.Invalid},
		"UTF-16":                 {"\xff\xfe1\x00", "Line 1 is not UTF-8", video.Invalid},
		"a bell":                 {"1\n" + one + "\a", "Line 3 holds a control character (U+0007)", video.Invalid},
		"a hidden bell":          {"WEBVTT\n\n" + one + "&#7;", "Line 4 has &#7;", video.Invalid},
		"too much":               {"WEBVTT\n\n" + one + strings.Repeat("x", MaxSize), "1048576 bytes", video.TooLarge},
		"what grows to too much": {"WEBVTT\n\n" + one + strings.Repeat("&", MaxSize/2), "1048576 bytes", video.TooLarge},
	} {
		_, err := Clean([]byte(c.file))
		if e, ok := err.(*video.Error); !ok || e.Code != c.code || !strings.Contains(e.Detail, c.says) {
			t.Errorf("%s: %v, want %s and %q", name, err, c.code, c.says)
		}
	}
}

// What hostile files cost is bounded by their size. What takes time by its square takes most
// of a minute, and many with the race detector; the rest takes parts of a second. It is the processor's time, of this process, so
// that no other test may run beside it.
func TestCleanIsQuick(t *testing.T) {
	for name, part := range map[string]string{
		"opened tags": "<b>", "closed tags": "</b></i>", "brackets": "<", "threes": "<3", "overrides": "{\\", "entities": "&#", "arrows": "--", "empty lines": "\n", "cues": one + "a\n\n",
	} {
		began := processorTime(t)
		_, _ = Clean([]byte("1\n" + one + strings.Repeat(part, MaxSize/8/len(part)))) // whether it can be read is not asked here
		if took := processorTime(t) - began; took > 20*time.Second {
			t.Errorf("%s take %v", name, took)
		}
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano())
}

var anyTag = regexp.MustCompile(`<(/?(?:b|i|u|ruby|rt|v)|v [^<>]+)>`)

// mustBeClean checks that a text is what Clean would make of it, and nothing else is in it.
func mustBeClean(t *testing.T, text []byte) {
	t.Helper()
	again, err := Clean(text)
	if err != nil || !bytes.Equal(again, text) {
		t.Fatalf("cleaned again it is %q, %v; it was %q", again, err, text)
	}
	if !utf8.Valid(text) || !bytes.HasPrefix(text, []byte(Header+"\n")) || bytes.Contains(text, []byte("\n\n\n")) {
		t.Fatalf("%q", text)
	}
	rest := anyTag.ReplaceAllString(strings.ReplaceAll(string(text), " --> ", ""), "")
	if strings.ContainsAny(rest, "<>\r") {
		t.Fatalf("there is markup in %q", text)
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		"WEBVTT\n\nNOTE a\n\nSTYLE\n::cue{}\n\n1\n00:01.000 --> 00:02.000 line:0 align:start\n<v A&amp;>a</v> <c.x>b</c>\n", "1\r\n00:00:01,000 --> 00:00:02,000\r\n<font color=\"red\">a</font> {\\an8}\r\n\r\n",
		"\ufeffWEBVTT\n\n" + one + "<i>\n<b>a</i>\n\n", "1\n" + one + "&#x3c;script&#62; <3 <00:00:01.000>\n \t\nx", "WEBVTT\n\n" + one + "&lt;<u>&nbsp;</u>&#10;",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := Clean(file)
		if err == nil && len(got) <= MaxSize {
			mustBeClean(t, got)
		} else if code := video.CodeOf(err); err != nil && code != video.Invalid && code != video.TooLarge {
			t.Fatal(err)
		}
	})
}

// TestManyFiles puts pieces of captions together at random, ten seconds long in a soak.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(200 * time.Millisecond)
	if os.Getenv("SOAK") != "" {
		end = time.Now().Add(10 * time.Second)
	}
	random, read := seeded(t), 0
	for n := 0; n < 100 || time.Now().Before(end); n++ {
		file := random.file()
		got, err := Clean(file)
		if err != nil {
			continue
		}
		read++
		mustBeClean(t, got)
	}
	if read == 0 {
		t.Error("none of them could be read")
	}
}
