package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"google.golang.org/protobuf/proto"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// A life is cheap: what one costs in Temporal actions is counted by the server
// itself, heartbeats included.
func TestActionsOfALife(t *testing.T) {
	r := start(t, stack.Options{})
	me := r.as("me")
	before := r.actions()
	v := r.upload(me, clip(t, 10, 270, false))
	r.stage(me, v.ID, video.Published, 2*time.Minute)
	if err := me.Delete(r.ctx, v.ID); err != nil {
		t.Fatal(err)
	}
	r.erased(v.ID, time.Minute)
	var lines []string
	total := 0
	for kind, n := range r.actions() {
		if n -= before[kind]; n > 0 {
			total += n
			lines = append(lines, fmt.Sprintf("%4d %s", n, kind))
		}
	}
	slices.Sort(lines)
	events, size := r.history(v.ID)
	t.Logf("%d actions, %d events, %d bytes of history\n%s", total, events, size, strings.Join(lines, "\n"))
	if total > 40 {
		t.Errorf("one life of a 10 s clip with two backups costs %d actions, more than 40", total)
	}
}

// actions reads the server's own counter.
func (r *rig) actions() map[string]int {
	r.t.Helper()
	answer, err := http.Get(r.Metrics)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	counts := map[string]int{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "action{") && !strings.HasPrefix(line, "action_total{") || !strings.Contains(line, `namespace="default"`) {
			continue
		}
		_, kind, _ := strings.Cut(line, `action_type="`)
		kind, _, _ = strings.Cut(kind, `"`)
		n, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if err != nil {
			r.t.Fatal(err)
		}
		counts[kind] += int(n)
	}
	return counts
}

// history is the length of a life over all its runs, in events and bytes.
func (r *rig) history(id video.ID) (events int, size int64) {
	r.t.Helper()
	c, err := client.DialContext(r.ctx, client.Options{HostPort: r.Temporal})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	d, err := c.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	runs := []string{d.GetWorkflowExecutionInfo().GetFirstRunId(), d.GetWorkflowExecutionInfo().GetExecution().GetRunId()}
	for _, run := range slices.Compact(runs) {
		one := c.GetWorkflowHistory(r.ctx, id.WorkflowID(), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for one.HasNext() {
			e, err := one.Next()
			if err != nil {
				r.t.Fatal(err)
			}
			events++
			size += int64(proto.Size(e))
		}
	}
	return events, size
}
