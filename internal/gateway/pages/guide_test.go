package pages

import (
	"reflect"
	"testing"
)

func TestBlocks(t *testing.T) {
	got := blocksOf("One `a` and [b](https://c.example/) [d.\n\n## Head\n\n- `e` f\n- g\n\n- h\n\n```\n- i `j`\n## k\n```\nEnd")
	want := []block{
		{Text: []span{{Text: "One "}, {Text: "a", Code: true}, {Text: " and "}, {Text: "b", Link: "https://c.example/"}, {Text: " [d."}}},
		{Heading: "Head"},
		{Items: [][]span{{{Text: ""}, {Text: "e", Code: true}, {Text: " f"}}, {{Text: "g"}}}},
		{Items: [][]span{{{Text: "h"}}}},
		{Lines: "- i `j`\n## k\n"},
		{Text: []span{{Text: "End"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
