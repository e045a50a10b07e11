package video

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files anew")

func TestDiagram(t *testing.T) {
	const file = "../docs/states.md"
	want := Diagram()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/states.md does not show the table of commands as it is; write it anew with: go generate ./video")
	}
}

// A stage that the diagram does not lead to or out of would be forgotten in it.
func TestDiagramShowsEveryStage(t *testing.T) {
	for _, stage := range Stages {
		in, out := strings.Contains(Diagram(), "--> "+string(stage)), strings.Contains(Diagram(), "    "+string(stage)+" -->")
		if !in || !out {
			t.Errorf("%s: arrows into it %v, out of it %v", stage, in, out)
		}
	}
}
