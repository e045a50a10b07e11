package workflows

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more tests side by side than there are cores: all they do is wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
