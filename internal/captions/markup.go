package captions

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// kept are the tags that are written, without classes. Names of voices are kept with v.
var kept = []string{"b", "i", "u", "ruby", "rt", "v"}

// deepest is how many tags may be open at once.
const deepest = 16

// passed are the tags that are left out while their text stays: of WebVTT and of SubRip.
var passed = []string{"c", "lang", "font", "s"}

// markup writes the text of a cue anew, line by line.
type markup struct {
	done []string // lines
	open []string // tags, the outermost first
	out  strings.Builder
	text bool // the line has some
}

var (
	// tags as WebVTT has them (section 4.2.2): a name, classes, an annotation; or a time.
	tag = regexp.MustCompile(`^<(/?)([A-Za-z]+|\d{1,2}:[\d:.]*)((?:\.[^\s.<>&]+)*)(?:[ \t]+([^<>]*))?/?>`)
	// overrides are of SubStation, which some write into SubRip.
	overrides = regexp.MustCompile(`^\{\\[^{}]*\}`)
	entity    = regexp.MustCompile(`^&(?:amp|lt|gt|lrm|rlm|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});`)
)

// longestEntity is "&#1114111;".
const longestEntity = 10

// upTo cuts a line behind the first of these characters after its own first one. An
// expression takes time for all that it is given, however early it fails.
func upTo(line, any string) string {
	if end := strings.IndexAny(line[1:], any); end >= 0 {
		return line[:end+2]
	}
	return line
}

// line adds one. Why it can't be taken, as the end of a sentence about it, is "" if it can.
func (m *markup) line(line string) (why string) {
	m.text = false
	for line != "" && why == "" {
		rest := ""
		switch line[0] {
		case '<':
			rest, why = m.tag(line)
		case '{':
			rest = m.override(line)
		case '&':
			rest, why = m.entity(line)
		default:
			end := strings.IndexAny(line, "<{&")
			if end < 0 {
				end = len(line)
			}
			m.write(line[:end])
			rest = line[end:]
		}
		line = rest
	}
	if !m.text { // an empty line would end the cue: what was opened on it stays open
		return why
	}
	m.done = append(m.done, strings.Trim(m.out.String(), " "))
	m.out.Reset()
	return why
}

// write writes text, in which nothing is markup.
func (m *markup) write(text string) {
	text = strings.ReplaceAll(text, "\t", " ")
	m.text = m.text || strings.Trim(text, " ") != ""
	m.out.WriteString(escape(text))
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(text string) string { return escapes.Replace(text) }

// tag reads what begins with "<". One that is no tag, as in "a < b" or "<3", is text.
func (m *markup) tag(line string) (rest, why string) {
	found := tag.FindStringSubmatch(upTo(line, "<>"))
	if found == nil {
		if len(line) > 1 && (isLetter(line[1]) || line[1] == '/') {
			return "", `has a "<" that begins no tag which can be read; write it as &lt; if it is text`
		}
		m.write("<")
		return line[1:], ""
	}
	rest = line[len(found[0]):]
	name := strings.ToLower(found[2])
	switch {
	case slices.Contains(passed, name) || !isLetter(name[0]): // a time within a cue
	case !slices.Contains(kept, name):
		return "", "has the tag <" + shortened(name) + ">; allowed are <" + strings.Join(kept, ">, <") + ">, and what is written as &lt; is text"
	case found[1] != "":
		m.close(name)
	case len(m.open) == deepest:
		return "", "opens a tag within too many others"
	default:
		m.push(name, plain(found[4]))
	}
	return rest, ""
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// shortened is a name to be repeated to whoever sent it.
func shortened(name string) string { return name[:min(len(name), 20)] }

func (m *markup) push(name, voice string) {
	m.open = append(m.open, name)
	if voice = strings.Join(strings.Fields(voice), " "); name == "v" && voice != "" {
		m.out.WriteString("<v " + escape(voice) + ">")
		return
	}
	m.out.WriteString("<" + name + ">")
}

// close ends a tag, and those within it. What was never begun isn't ended.
func (m *markup) close(name string) {
	for slices.Contains(m.open, name) {
		last := m.open[len(m.open)-1]
		m.open = m.open[:len(m.open)-1]
		m.out.WriteString("</" + last + ">")
		if last == name {
			return
		}
	}
}

func (m *markup) override(line string) (rest string) {
	if found := overrides.FindString(upTo(line, "{}")); found != "" {
		return line[len(found):]
	}
	m.write("{")
	return line[1:]
}

func (m *markup) entity(line string) (rest, why string) {
	found := entity.FindString(line[:min(len(line), longestEntity)])
	if found == "" {
		m.write("&")
		return line[1:], ""
	}
	plain := html.UnescapeString(found)
	if _, bad := control(plain); bad {
		return "", "has " + found + ", which stands for a control character; only text is allowed"
	}
	m.write(plain)
	return line[len(found):], ""
}

// plain is an annotation without its entities. One with a control character is left out.
func plain(text string) string {
	text = html.UnescapeString(text)
	if _, bad := control(text); bad {
		return ""
	}
	return text
}

// finish ends what is open and returns the text, "" if there is none.
func (m *markup) finish() string {
	if len(m.done) == 0 {
		return ""
	}
	last := &m.done[len(m.done)-1]
	for len(m.open) > 0 {
		m.close(m.open[len(m.open)-1])
	}
	*last = strings.Trim(*last+m.out.String(), " ") // with what was opened on lines without text
	return strings.Join(m.done, "\n")
}
