package pages

import "strings"

// block is a part of a text, of which one field is set but for Text and its Code.
type block struct {
	Heading string
	Text    []span
	Items   [][]span // of a list
	Lines   string   // to be shown as they are
}

// span is a piece of a line.
type span struct {
	Text string
	Code bool
	Link string // where it leads; empty for nowhere
}

// blocksOf reads Markdown, as far as the API's description uses it: headings of the second
// level, paragraphs of a line each, lists, code between fences and backticks, and links.
func blocksOf(markdown string) (all []block) {
	fenced, list := false, false
	for line := range strings.Lines(markdown) {
		text := strings.TrimSuffix(line, "\n")
		item, isItem := strings.CutPrefix(text, "- ")
		heading, isHeading := strings.CutPrefix(text, "## ")
		switch {
		case strings.HasPrefix(text, "```"):
			if fenced = !fenced; fenced {
				all = append(all, block{})
			}
		case fenced:
			all[len(all)-1].Lines += line
		case isItem && list:
			last := &all[len(all)-1]
			last.Items = append(last.Items, spansOf(item))
		case isItem:
			all = append(all, block{Items: [][]span{spansOf(item)}})
		case isHeading:
			all = append(all, block{Heading: heading})
		case text != "":
			all = append(all, block{Text: spansOf(text)})
		}
		list = isItem && !fenced
	}
	return all
}

func spansOf(line string) (all []span) {
	for i, part := range strings.Split(line, "`") {
		if i%2 == 1 {
			all = append(all, span{Text: part, Code: true})
			continue
		}
		before, link, found := strings.Cut(part, "[")
		text, rest, closed := strings.Cut(link, "](")
		address, after, ended := strings.Cut(rest, ")")
		if !found || !closed || !ended {
			all = append(all, span{Text: part})
			continue
		}
		all = append(all, span{Text: before}, span{Text: text, Link: address}, span{Text: after})
	}
	return all
}
