package gateway

import (
	"errors"
	"fmt"
	"html"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// The examples of /docs run as they stand there, one after the other.
func TestTheExamplesRun(t *testing.T) {
	s := newSite(t)
	page := string(s.request("", "GET", "/docs", "").body)
	script := ""
	for _, block := range regexp.MustCompile(`(?s)<pre><code>(.*?)</code></pre>`).FindAllStringSubmatch(page, -1) {
		script += html.UnescapeString(block[1]) + "\n"
	}
	if n := strings.Count(script, "curl "); n < 8 {
		t.Fatalf("the page has %d examples:\n%s", n, script)
	}
	script = strings.Replace(script, "http://127.0.0.1:8080", s.url, 1) + `echo "$VIDEO $OFFSET"`
	dir := t.TempDir()
	content := []byte(strings.Repeat("0123456789", 50))
	if err := os.WriteFile(filepath.Join(dir, "clip.mp4"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	command.Dir, command.Env = dir, append(os.Environ(), "no_proxy=*")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	id, offset, _ := strings.Cut(lines[len(lines)-1], " ")
	if offset != "100" || !strings.Contains(string(out), `"code":"not_found"`) || !strings.Contains(string(out), `"title":"Waves"`) {
		t.Errorf("they say:\n%s", out)
	}
	u, err := s.catalog.UploadOf(t.Context(), video.ID(id))
	if err != nil || u.Length != int64(len(content)) || u.Offset != u.Length || u.Ending != video.ByDeletion {
		t.Errorf("%d of %d bytes, ending %q: %v", u.Offset, u.Length, u.Ending, err)
	}
}

// The lists of codes and reasons are whole.
func TestTheGuideNamesEveryCodeAndReason(t *testing.T) {
	for _, code := range video.Codes {
		if want := fmt.Sprintf("- `%s` %d: ", code, problem.StatusOf(code)); !strings.Contains(guide, want) {
			t.Errorf("the guide doesn't have %q", want)
		}
	}
	_, reasons, _ := strings.Cut(guide, "The reasons:")
	for _, reason := range append(reasonsInTheSource(t), workflowPaused, workflowFailing, noWorker) {
		if !strings.Contains(reasons, "`"+reason+"`") {
			t.Errorf("the guide doesn't have the reason %q", reason)
		}
	}
}

// reasonsInTheSource finds what is given to For, to refusal and as Reason, and in the table of tus's refusals.
func reasonsInTheSource(t *testing.T) (all []string) {
	t.Helper()
	given := regexp.MustCompile(`\.For\("(\w+)"\)|refusal\([\w.]+, [\w.]+, "(\w+)"|Reason = "(\w+)"|"ERR_\w+": +\{"(\w+)"`)
	look := func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range given.FindAllStringSubmatch(string(text), -1) {
			all = append(all, strings.Join(found[1:], ""))
		}
		return err
	}
	if err := errors.Join(filepath.WalkDir(".", look), filepath.WalkDir("../catalog", look)); err != nil || len(all) < 12 {
		t.Fatalf("found only %v, %v", all, err)
	}
	return all
}
