package workflows

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

func recorded(t *testing.T) map[string]*historypb.History {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(histories, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded histories in %s; make them with: make record (%v)", histories, err)
	}
	all := map[string]*historypb.History{}
	for _, f := range files {
		r, err := os.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		all[f], err = client.HistoryFromJSON(r, client.HistoryJSONOptions{})
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Lives go on for years, over many releases: whatever the code does today must
// lead to what was recorded.
func TestReplay(t *testing.T) {
	for name, history := range recorded(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{Interceptors: Interceptors()})
			if err != nil {
				t.Fatal(err)
			}
			Register(replayer)
			if err := replayer.ReplayWorkflowHistory(quiet{}, history); err != nil {
				t.Errorf("%s no longer replays: the workflow code, run over what was recorded, asks for something else than it did. "+
					"Lives begun under the old code would be stuck at their next step. Keep the old way beside the new one "+
					"(workflow.GetVersion); before the first release record anew instead: make record.\n%v", name, err)
			}
		})
	}
}

// A replay that can't fail proves nothing: without the interceptor the order of
// signals is lost, and the replayer must notice.
func TestReplayNotices(t *testing.T) {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	Register(replayer)
	if err := replayer.ReplayWorkflowHistory(quiet{}, recorded(t)[file("signals in a hurry", 1)]); err == nil {
		t.Error("a replay without the interceptors was taken for the same")
	}
}

// words are all keys of what is written into histories. Whoever adds one decides
// here that it names neither a person nor a video.
var words = strings.Fields(`actions attempt audio backups bytes cancel_grace carried complete deadlines delete_grace
	delete_markers done done_commands draft draft_ttl ending epoch expires_at failure found_after held hidden_at id
	keep_draft key_destroyed_at last_byte_at multiparts objects offset overdue overdue_after overdue_at owner paused piece pieces
	plan policy primary publish_at publish_delay purge_at reason refused rejected rejected_ttl removed renditions review
	risen segments stage store stores strays stray total upload_idle upload_stall uploaded versions video_sha256 videos waited erased since stall stalled import
	waiting_for code message hold_said fences grace asked whole rejection stray trouble trouble_since unknown further resume_stage was_draft
	begun failed paused_in_temporal unstarted stopped left skipped signaled`)

// Nothing personal goes into Temporal: histories outlive what they tell of.
func TestHistoriesNameNobody(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^([a-z2-7]{26}|[0-9a-f]{4,64})$`)
	for name := range recorded(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var history any
		if err := json.Unmarshal(text, &history); err != nil {
			t.Fatal(err)
		}
		walk(history, func(key string, value any) {
			s, ok := value.(string)
			if ok && (strings.Contains(s, "@") || len(host) > 3 && strings.Contains(s, host)) {
				t.Errorf("%s: %s is %q", name, key, s)
			}
			if ok && key == "data" {
				payload(t, name, s, id)
			}
		})
	}
}

// payload checks what a workflow or activity was given or gave back.
func payload(t *testing.T, name, data string, id *regexp.Regexp) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var content any
	if err := json.Unmarshal(text, &content); err != nil {
		return // not JSON
	}
	walk(content, func(key string, value any) {
		if key != "" && !slices.Contains(words, key) {
			t.Errorf("%s holds %q (%v): if it names neither a person nor a video, add it to the words of this test", name, key, value)
		}
		if s, ok := value.(string); ok && (key == "id" || key == "owner") && !id.MatchString(s) {
			t.Errorf("%s: the %s is %q, not opaque", name, key, s)
		}
	})
}

// walk visits every value with the key it has in the object around it.
func walk(v any, visit func(key string, value any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			visit(key, value)
			walk(value, visit)
		}
	case []any:
		for _, value := range v {
			visit("", value)
			walk(value, visit)
		}
	}
}
