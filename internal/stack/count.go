package stack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/reelflow/reelflow/video"
)

// Actions reads the server's own count, by kind, of the actions in the namespace
// since it started: what Temporal Cloud would bill, heartbeats included.
func (s *Stack) Actions(ctx context.Context) (map[string]int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Metrics, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read Temporal's metrics: %w", err)
	}
	defer answer.Body.Close()
	return countActions(answer.Body)
}

// countActions reads the counter `action` from what Prometheus would collect
// (https://prometheus.io/docs/instrumenting/exposition_formats).
func countActions(metrics io.Reader) (map[string]int, error) {
	counts := map[string]int{}
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		line := lines.Text()
		name, _, _ := strings.Cut(line, "{")
		if name != "action" && name != "action_total" || !strings.Contains(line, `namespace="default"`) {
			continue
		}
		_, kind, _ := strings.Cut(line, `action_type="`)
		kind, _, _ = strings.Cut(kind, `"`)
		n, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read Temporal's metrics: %w", err)
		}
		counts[kind] += int(n)
	}
	return counts, lines.Err()
}

// History is the length of a life over its first and its last run, in events and bytes.
func (s *Stack) History(ctx context.Context, id video.ID) (events int, size int64, err error) {
	c, err := client.DialContext(ctx, client.Options{HostPort: s.Temporal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	d, err := c.DescribeWorkflowExecution(ctx, id.WorkflowID(), "")
	if err != nil {
		return 0, 0, err
	}
	runs := []string{d.GetWorkflowExecutionInfo().GetFirstRunId(), d.GetWorkflowExecutionInfo().GetExecution().GetRunId()}
	for _, run := range slices.Compact(runs) {
		one := c.GetWorkflowHistory(ctx, id.WorkflowID(), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for one.HasNext() {
			e, err := one.Next()
			if err != nil {
				return 0, 0, err
			}
			events++
			size += int64(proto.Size(e))
		}
	}
	return events, size, nil
}
