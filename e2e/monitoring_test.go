package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// rare are the metrics that come to be when something goes wrong which this test doesn't let
// go wrong; they are the SDK's (https://docs.temporal.io/references/sdk-metrics).
var rare = []string{"temporal_workflow_task_execution_failed_total", "temporal_request_resource_exhausted_total"}

// What alerts and dashboards ask for is what processes show after a life. With MONITORING=1
// (make monitoring-test) a real Prometheus is asked every expression as well.
func TestAlertsAndDashboardsFindWhatTheyAskFor(t *testing.T) {
	r := start(t, stack.Options{Workers: 2, Roles: []string{"control", "all"}})
	var ask func(string) int
	if os.Getenv("MONITORING") != "" {
		ask = r.prometheus()
	}
	me := r.as("me")
	v := r.upload(me, clip(t, 4, 360, false))
	r.stage(me, v.ID, video.Published, 3*time.Minute)
	r.plays(me, v.ID)
	text := r.collected()
	shown := names(text)
	for source, expressions := range monitored(t) {
		for _, expr := range expressions {
			for _, name := range metricNames(expr) {
				if !shown[name] && !slices.Contains(rare, name) {
					t.Errorf("%s asks for %s, which no process shows", source, name)
				}
			}
			if ask != nil {
				r.until(source+" is answered: "+expr, 2*time.Minute, func() bool { return ask(expr) > 0 })
			}
		}
	}
	if ask != nil {
		r.must(me.Delete(r.ctx, v.ID))
		r.erased(v.ID, 2*time.Minute)
		r.until("no alert that wakes somebody stays on", 3*time.Minute, func() bool { return ask(`ALERTS{alertstate="firing",severity="page"}`) == 0 })
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, string(v.ID)) || strings.Contains(line, "A clip") || strings.Contains(line, `="me"`) {
			t.Errorf("the metrics say what no label may hold: %s", line)
		}
	}
}

// collected is all that gateways and workers show.
func (r *rig) collected() (text string) {
	r.t.Helper()
	for _, address := range append(slices.Clone(r.URLs), r.Health...) {
		part, err := plainly(address + "/metrics")
		r.must(err)
		text += string(part)
	}
	return text
}

// names are those of the metrics in a text, and Prometheus' own.
func names(text string) map[string]bool {
	all := map[string]bool{"up": true}
	for _, match := range regexp.MustCompile(`(?m)^([a-z_]+)[{ ]`).FindAllStringSubmatch(text, -1) {
		all[match[1]] = true
	}
	return all
}

// plainly reads an address that is not the API's.
func plainly(address string) ([]byte, error) {
	answer, err := (&http.Client{Timeout: 20 * time.Second}).Get(address)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// monitored are the expressions of alerts, without what they are compared with, and of dashboards.
func monitored(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	folder := filepath.Join(root(t), "deploy", "monitoring")
	rules, err := os.ReadFile(filepath.Join(folder, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)- alert: (\w+)\n\s+expr: (.*) [<>] [0-9.]+$`).FindAllStringSubmatch(string(rules), -1) {
		all[match[1]] = []string{match[2]}
	}
	if alerts := strings.Count(string(rules), "- alert:"); len(all) != alerts {
		t.Fatalf("%d of %d alerts compare something with a number", len(all), alerts)
	}
	boards, err := filepath.Glob(filepath.Join(folder, "dashboards", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range boards {
		var board struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &board)
		}
		if err != nil {
			t.Fatal(path, err)
		}
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				all[filepath.Base(path)] = append(all[filepath.Base(path)], target.Expr)
			}
		}
	}
	return all
}

// metricNames are those of our metrics and the SDK's in an expression.
func metricNames(expr string) []string {
	return regexp.MustCompile(`\b(?:reelflow|temporal|process|go)_[a-z_]+\b|\bup\b`).FindAllString(withoutStrings.ReplaceAllString(expr, `""`), -1)
}

var withoutStrings = regexp.MustCompile(`"[^"]*"`)

// prometheus runs a real one over the stack, with the rules as they are. It returns what asks it
// an expression, and says how many series answer.
func (r *rig) prometheus() (ask func(expr string) int) {
	r.t.Helper()
	folder := filepath.Join(root(r.t), "deploy", "monitoring")
	for _, check := range [][]string{{"check", "rules", filepath.Join(folder, "rules.yml")}, {"check", "config", filepath.Join(folder, "prometheus.yml")}} {
		if out, err := exec.Command("promtool", check...).CombinedOutput(); err != nil {
			r.t.Fatalf("promtool %v: %v\n%s", check, err, out)
		}
	}
	dir := r.t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n%s%s",
		filepath.Join(folder, "rules.yml"), job("reelflow-gateway", r.URLs), job("reelflow-worker", r.Health))
	r.must(os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	address := listener.Addr().String()
	r.must(listener.Close())
	server := exec.CommandContext(r.ctx, "prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", address, "--log.level", "error")
	server.Stderr = r.t.Output()
	r.must(server.Start())
	r.t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	ask = func(expr string) int {
		text, err := plainly("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		if err == nil {
			err = json.Unmarshal(text, &answer)
		}
		if err != nil {
			return -1
		}
		return len(answer.Data.Result)
	}
	r.until("Prometheus answers", time.Minute, func() bool { return ask("vector(1)") == 1 })
	return ask
}

func job(name string, addresses []string) string {
	var targets []string
	for _, address := range addresses {
		targets = append(targets, strings.TrimPrefix(address, "http://"))
	}
	return fmt.Sprintf("  - job_name: %s\n    static_configs: [{targets: [%s]}]\n", name, strings.Join(targets, ", "))
}
