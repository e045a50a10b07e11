package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const runbook = "../../docs/runbook"

// Whoever is woken by an alert finds its page, and every page is of an alert.
func TestEveryAlertHasItsPage(t *testing.T) {
	rules := read(t, "rules.yml")
	var alerts []string
	for _, match := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, match[1])
	}
	if len(alerts) < 10 {
		t.Fatalf("only %v are found", alerts)
	}
	for _, alert := range alerts {
		if !strings.Contains(rules, "runbook: docs/runbook/"+alert+".md") {
			t.Errorf("%s doesn't name its page", alert)
		}
		page := read(t, filepath.Join(runbook, alert+".md"))
		for _, part := range []string{"# " + alert + "\n", "**Who notices.**", "**Look**\n- ", "**Do**\n- "} {
			if !strings.Contains(page, part) {
				t.Errorf("the page of %s lacks %q", alert, part)
			}
		}
	}
	pages, err := filepath.Glob(filepath.Join(runbook, "Reelflow*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := strings.TrimSuffix(filepath.Base(page), ".md"); !slices.Contains(alerts, name) {
			t.Errorf("%s is the page of no alert", name)
		}
	}
}

// What the pages point at is there.
func TestThePagesLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbook, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := read(t, filepath.Join(runbook, link[1]))
			if link[2] != "" && !slices.Contains(anchors(target), link[2]) {
				t.Errorf("%s: %s has no heading %s", filepath.Base(page), link[1], link[2])
			}
		}
	}
}

func anchors(page string) (all []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		all = append(all, "#"+strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-"))
	}
	return all
}

// Dashboards can be loaded beside each other.
func TestDashboardsAreWhole(t *testing.T) {
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		var d struct {
			UID, Title string
			Panels     []struct {
				ID      int
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if d.UID == "" || d.Title == "" || seen[d.UID] {
			t.Errorf("%s: the uid %q", file, d.UID)
		}
		seen[d.UID] = true
		for i, p := range d.Panels {
			if p.ID != i+1 || p.Title == "" || len(p.Targets) == 0 || p.Targets[0].Expr == "" {
				t.Errorf("%s: panel %d is %+v", file, i+1, p)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
