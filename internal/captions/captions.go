// Package captions reads captions as people have them, WebVTT or SubRip (SRT), and writes
// them anew as plain WebVTT (https://www.w3.org/TR/webvtt1/).
//
// What is written holds times, text, where a cue stands, and the few tags that say
// something to readers: bold, italics, underlines, ruby and who speaks. Everything else that
// a file may hold is left behind: styles, regions, notes, identifiers, classes, fonts. So
// nothing that a browser would fetch or run gets from one person's file into another one's
// player. What can't be read is refused, with the number of its line and what is allowed.
package captions

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reelflow/reelflow/video"
)

const (
	// MaxSize is the most that a file may hold, in bytes.
	MaxSize = 1 << 20
	// maxWritten is the most that it may grow to when it is written anew, because "&" takes
	// five bytes.
	maxWritten = 2 * MaxSize
)

// signature is what every WebVTT file begins with.
const signature = "WEBVTT"

// Header is the first line of what Clean returns. Behind it a server may insert lines of
// the header, such as the X-TIMESTAMP-MAP of RFC 8216, section 3.5.
const Header = signature + "\n"

// Clean reads WebVTT, or SubRip if it doesn't begin with WEBVTT, and returns it as plain
// WebVTT, cues in the order of their beginnings. Cleaning it again changes nothing. It fails
// with Invalid, naming the line, and with TooLarge.
func Clean(file []byte) ([]byte, error) {
	if len(file) > MaxSize {
		return nil, tooLarge()
	}
	lines, err := linesOf(file)
	if err != nil {
		return nil, err
	}
	p := parser{lines: lines}
	if err := p.parse(); err != nil {
		return nil, err
	}
	if len(p.cues) == 0 {
		return nil, video.Errorf(video.Invalid, "There is no text in these captions. A cue is a line such as %q, then its text, then an empty line.", exampleTiming)
	}
	slices.SortStableFunc(p.cues, func(a, b cue) int { return cmp.Compare(a.start, b.start) })
	var out strings.Builder
	out.WriteString(Header)
	for _, c := range p.cues {
		c.write(&out)
	}
	if out.Len() > maxWritten {
		return nil, tooLarge()
	}
	return []byte(out.String()), nil
}

// mostLines is far above what people say in ten minutes, and what a file of line feeds would take.
const mostLines = 100_000

func tooLarge() error {
	return video.Errorf(video.TooLarge, "Captions may have %d bytes at most.", MaxSize)
}

// linesOf divides a file into lines, which end in CRLF, LF or CR, and checks that they are
// text. A byte order mark before the first is left out.
func linesOf(file []byte) ([]string, error) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(file))
	if strings.Count(text, "\n") > mostLines {
		return nil, video.Errorf(video.TooLarge, "Captions may have %d lines at most.", mostLines)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !utf8.ValidString(line) {
			return nil, wrong(i, "is not UTF-8; save the file as UTF-8 text")
		}
		if r, found := control(line); found {
			return nil, wrong(i, "holds a control character (%U); only text is allowed", r)
		}
	}
	return lines, nil
}

// control finds a character that is no text. A tabulator is as good as a space.
func control(text string) (rune, bool) {
	for _, r := range text {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return r, true
		}
	}
	return 0, false
}

// wrong is the refusal of a line, by its index.
func wrong(line int, format string, args ...any) error {
	return video.Errorf(video.Invalid, "Line %d "+format+".", append([]any{line + 1}, args...)...)
}

// cue is one text and when it is shown.
type cue struct {
	start, end time.Duration
	settings   []string // as section 4.4 of WebVTT has them
	text       string   // of lines that are not empty, in WebVTT's markup
}

func (c cue) write(out *strings.Builder) {
	out.WriteString("\n" + timestamp(c.start) + " --> " + timestamp(c.end))
	for _, setting := range c.settings {
		out.WriteString(" " + setting)
	}
	out.WriteString("\n" + c.text + "\n")
}

// parser goes through the blocks of a file: lines between empty ones.
type parser struct {
	lines  []string
	webvtt bool
	cues   []cue
}

func (p *parser) parse() error {
	next := 0
	if first := p.lines[0]; first == signature || strings.HasPrefix(first, signature+" ") || strings.HasPrefix(first, signature+"\t") {
		p.webvtt = true
		if next = p.endOf(0); next > 1 {
			if err := checkHeader(p.lines[1:next]); err != nil {
				return err
			}
		}
	}
	for next < len(p.lines) {
		if isBlank(p.lines[next]) {
			next++
			continue
		}
		end := p.endOf(next)
		if err := p.block(next, end); err != nil {
			return err
		}
		next = end
	}
	return nil
}

// endOf is the index of the first empty line from one on, or that after the last.
func (p *parser) endOf(from int) int {
	for from < len(p.lines) && !isBlank(p.lines[from]) {
		from++
	}
	return from
}

func isBlank(line string) bool { return strings.Trim(line, " \t") == "" }

// checkHeader refuses a header that shifts all times, as segments of HLS have it, and cues
// that would be taken for a part of it.
func checkHeader(header []string) error {
	for i, line := range header {
		if strings.HasPrefix(line, "X-TIMESTAMP-MAP") {
			return wrong(i+1, "is of a segment of HLS; captions are one file whose times begin with the video")
		}
		if strings.Contains(line, arrow) {
			return wrong(i+1, "needs an empty line before it: %s and what belongs to it end there", signature)
		}
	}
	return nil
}

// block reads what stands between two empty lines, from and before their indices.
func (p *parser) block(from, end int) error {
	if p.webvtt && isAside(p.lines[from]) {
		for i := from; i < end; i++ {
			if strings.Contains(p.lines[i], arrow) {
				return wrong(i, "has %q within a note, style or region; put an empty line before it", arrow)
			}
		}
		return nil
	}
	timing := from
	if !strings.Contains(p.lines[timing], arrow) {
		timing++ // behind the number or name of the cue
	}
	if timing >= end || !strings.Contains(p.lines[timing], arrow) {
		return wrong(from, "belongs to no cue; a cue begins with a line such as %q and ends with an empty line", exampleTiming)
	}
	c, err := timingOf(p.lines[timing])
	if err != nil {
		return wrong(timing, "%s", err.Error())
	}
	if c.text, err = p.textOf(timing+1, end); err != nil {
		return err
	}
	if c.text != "" {
		p.cues = append(p.cues, c)
	}
	return nil
}

// isAside reports whether a block of WebVTT is not shown.
func isAside(line string) bool {
	for _, name := range []string{"NOTE", "STYLE", "REGION"} {
		rest, ok := strings.CutPrefix(line, name)
		if ok && isBlank(rest) || ok && name == "NOTE" && strings.ContainsAny(rest[:1], " \t") {
			return true
		}
	}
	return false
}

// textOf is the text of a cue in the lines from one index up to another.
func (p *parser) textOf(from, end int) (string, error) {
	var m markup
	for i := from; i < end; i++ {
		if strings.Contains(p.lines[i], arrow) {
			return "", wrong(i, "has %q within the text of a cue; put an empty line before each cue", arrow)
		}
		if why := m.line(p.lines[i]); why != "" {
			return "", wrong(i, "%s", why)
		}
	}
	return m.finish(), nil
}
