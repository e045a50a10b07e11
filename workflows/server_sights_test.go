package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/video"
)

// anywhere brings a life to any stage but purged, where it stays.
func (s *server) anywhere(t *testing.T, stage video.Stage) *tale {
	t.Helper()
	l := s.tale(t)
	switch stage {
	case video.Published:
		l.uploaded()
	case video.PendingDeletion:
		l.in.Policy.DeleteGrace = time.Hour
		l.uploaded().arrives(video.Published)
		l.must(video.Delete)
	case video.Purging:
		l.in.Policy.OverdueAfter = 300 * time.Millisecond
		l.world.goDown("PurgeReplica")
		l.uploaded().arrives(video.Published)
		l.must(video.Delete)
	case video.Draft:
		l.holding("Package", 1).must(video.Cancel, video.CommandRequest{KeepDraft: true})
	case video.Canceled:
		l.in.Policy.CancelGrace = time.Hour
		l.holding("Package", 1).must(video.Cancel)
	case video.Rejected:
		l.world.rejected = &video.Rejection{Code: "not_a_video", Message: "This is a text."}
		l.uploaded()
	default:
		l, _ = s.at(t, stage)
	}
	l.arrives(stage)
	return l
}

// whatOperatorsRead checks what the Temporal UI shows of a video in each stage.
func whatOperatorsRead(t *testing.T, s *server) {
	says := map[video.Stage][]string{
		video.Uploading:       {"**uploading**", "waits for: the rest of the upload", "can be asked: pause, cancel, delete, hold"},
		video.Processing:      {"**processing**", "done: 0 of 3"},
		video.Reviewing:       {"**reviewing**", "waits for: reviewers to approve or reject", "approve, reject"},
		video.Scheduled:       {"**scheduled**", "waits for: the time to publish", "publish at: 20"},
		video.Publishing:      {"**publishing**", "done: 0 of 2"},
		video.Published:       {"**published**", "can be asked: delete, hold"},
		video.PendingDeletion: {"**pending deletion, ending: deleted**", "the grace of the deletion", "purge at: 20"},
		video.Purging:         {"**purging, ending: deleted**", "overdue at: 20"},
		video.Draft:           {"**draft**", "a resume, or the draft's expiry", "expires at: 20", "resume, cancel, delete, hold"},
		video.Canceled:        {"**canceled, ending: canceled**", "an operator's restore", "expires at: 20"},
		video.Rejected:        {"**rejected, ending: rejected**", "an operator's restore", "expires at: 20"},
	}
	for stage, words := range says {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			l := s.anywhere(t, stage)
			l.until("words", func(video.Status) bool {
				details := l.details()
				for _, w := range words {
					if !strings.Contains(details, w) {
						return false
					}
				}
				return true
			})
			if stage.OnTheWay() {
				l.must(video.Pause)
				if details := l.details(); !strings.Contains(details, ", paused**") || !strings.Contains(details, "waits for: a resume") {
					t.Errorf("paused, the details say:\n%s", details)
				}
			}
			for _, run := range l.runs() {
				everythingHasSummaries(t, l, run)
			}
		})
	}
}

func everythingHasSummaries(t *testing.T, l *tale, run string) {
	t.Helper()
	for _, e := range l.history(run).GetEvents() {
		what := e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
		if timer := e.GetTimerStartedEventAttributes(); timer != nil {
			what = "a timer of " + timer.GetStartToFireTimeout().AsDuration().String()
		}
		if what != "" && len(e.GetUserMetadata().GetSummary().GetData()) < 4 {
			t.Errorf("%s has no summary", what)
		}
	}
}

// listsByStage checks the search attributes that lists of videos are made with.
func listsByStage(t *testing.T, s *server) {
	find := func(l *tale, query string) {
		l.t.Helper()
		patient(l.t, query, func() error {
			list, err := s.client.ListWorkflow(l.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
				Query: fmt.Sprintf("WorkflowId = '%s' AND %s", l.in.ID.WorkflowID(), query),
			})
			if err == nil && len(list.GetExecutions()) != 1 {
				err = fmt.Errorf("%d found", len(list.GetExecutions()))
			}
			return err
		})
	}
	for _, stage := range video.Stages {
		if stage == video.Purged {
			continue
		}
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			l := s.anywhere(t, stage)
			find(l, fmt.Sprintf("ExecutionStatus = 'Running' AND VideoStage = '%s' AND VideoOwner = '5f0c' AND VideoPaused = false", stage))
			if stage.OnTheWay() {
				l.must(video.Pause)
				find(l, fmt.Sprintf("VideoStage = '%s' AND VideoPaused = true", stage))
			}
			if stage == video.Purging {
				find(l, "ExecutionStatus = 'Running' AND VideoOverdue = true")
			}
			l.world.comeBack()
			if stage != video.Purging { // that is asked again only after a while
				l.signal("delete")
			}
			if stage != video.Purging && stage != video.PendingDeletion {
				l.receipt()
				find(l, "ExecutionStatus = 'Completed' AND VideoStage = 'purged' AND VideoOwner IS NULL AND VideoPaused = false AND VideoOverdue = false")
			}
		})
	}
}

// plainClient knows the names of the contract and nothing else, not even what a
// payload should be.
func plainClient(t *testing.T, s *server) {
	l, work := s.at(t, video.Processing)
	odd := func(signal string, payloads ...*commonpb.Payload) {
		t.Helper()
		_, err := s.client.WorkflowService().SignalWorkflowExecution(t.Context(), &workflowservice.SignalWorkflowExecutionRequest{
			Namespace: s.namespace, SignalName: signal, Input: &commonpb.Payloads{Payloads: payloads},
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "video/" + string(l.in.ID)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	as := func(encoding, data string) *commonpb.Payload {
		return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(encoding)}, Data: []byte(data)}
	}
	paused := func(s video.Status) bool { return s.Paused && l.world.works() == 0 }
	goesOn := func(s video.Status) bool { return !s.Paused && l.world.works() == work }
	for _, payloads := range [][]*commonpb.Payload{
		nil, {as("json/plain", "7")}, {as("json/plain", "not json")}, {as("binary/null", "")}, {as("unheard/of", "\x00\xff")},
		{as("json/plain", `"a text"`), as("json/plain", `{"and":"more"}`)}, {as("json/plain", `{"keep_draft":"maybe","paused":false}`)}, {{}},
	} {
		odd("pause", payloads...)
		l.until("a pause", paused)
		odd("resume", payloads...)
		l.until("work", goesOn)
	}
	odd("dance")
	odd("Pause")
	for _, args := range [][]any{nil, {7}, {"a text", 3}, {nil}, {[]byte{0, 1}}, {map[string]any{"keep_draft": []int{1}}}} {
		if now, err := l.update("pause", args...); err != nil || !now.Paused {
			t.Errorf("update pause%v: %+v, %v", args, now, err)
		}
		if now, err := l.update("resume", args...); err != nil || now.Paused {
			t.Errorf("update resume%v: %+v, %v", args, now, err)
		}
	}
	if _, err := l.update("dance"); err == nil {
		t.Error("an unknown update is answered")
	}
	odd("cancel", as("json/plain", `{"keep_draft":true}`))
	l.arrives(video.Draft)
	odd("resume")
	l.until("work", goesOn)
	if now := l.status(); now.Refused != 0 {
		t.Errorf("%+v", now)
	}
	odd("cancel", as("json/plain", `"keep_draft"`))
	l.ends(video.ByCancellation)
}

// updateSentTwice is a client that asks again because the answer was lost.
func updateSentTwice(t *testing.T, s *server) {
	l, _ := s.at(t, video.Processing)
	pause := func(id string) video.Status {
		t.Helper()
		handle, err := s.client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			UpdateID: id, WorkflowID: l.in.ID.WorkflowID(), UpdateName: "pause", WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			t.Fatal(err)
		}
		var now video.Status
		if err := handle.Get(t.Context(), &now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	pause("one")
	l.must(video.Resume)
	if !pause("one").Paused || l.status().Paused {
		t.Error("the same update took effect twice")
	}
	pause("another")
	if !l.status().Paused {
		t.Error("another update took no effect")
	}
	_, err := l.update(video.Approve)
	refusedWith(t, err, video.Conflict, "approve", "processing", "resume", "cancel", "delete")
	l.must(video.Delete)
	l.ends(video.ByDeletion)
}

// purgedIsClosed: the last row of the table of commands. The workflow is over,
// so the server itself refuses.
func purgedIsClosed(t *testing.T, s *server) {
	l := s.tale(t).uploaded()
	l.arrives(video.Published)
	l.must(video.Delete)
	l.receipt()
	for _, c := range video.Commands {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := s.client.SignalWorkflow(ctx, l.in.ID.WorkflowID(), "", string(c), nil); !isNotFound(err) {
			t.Errorf("signal %s: %v", c, err)
		}
		if _, err := l.update(c); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("update %s: %v", c, err)
		}
		cancel()
	}
	if now := l.status(); now.Stage != video.Purged || len(now.Actions) != 0 || now.Paused {
		t.Errorf("status: %+v", now)
	}
	if details := l.details(); !strings.Contains(details, "**purged**") {
		t.Errorf("details:\n%s", details)
	}
}

// fullLifeCostsFewActions counts what a Temporal bill counts.
func fullLifeCostsFewActions(t *testing.T, s *server) {
	l := s.tale(t).uploaded()
	l.arrives(video.Published)
	l.must(video.Delete)
	l.receipt()
	actions, events := 0, 0
	for _, run := range l.runs() {
		actions++ // the start, or continue-as-new
		for _, e := range l.history(run).GetEvents() {
			events++
			switch {
			case e.GetActivityTaskStartedEventAttributes() != nil:
				actions += int(e.GetActivityTaskStartedEventAttributes().GetAttempt())
			case e.GetTimerStartedEventAttributes() != nil, e.GetWorkflowExecutionSignaledEventAttributes() != nil,
				e.GetWorkflowExecutionUpdateAcceptedEventAttributes() != nil, e.GetUpsertWorkflowSearchAttributesEventAttributes() != nil:
				actions++
			}
		}
	}
	t.Logf("%d actions, %d events", actions, events)
	if actions > 32 {
		t.Errorf("%d actions, at most 32 are promised", actions)
	}
}

// noTimerIsLeft checks that a command takes the timer with it that it made needless: what
// the timeline shows as open is what the life waits for.
func noTimerIsLeft(t *testing.T, s *server) {
	l := s.tale(t)
	l.in.Review, l.in.Policy.PublishDelay, l.in.Policy.CancelGrace = true, time.Hour, time.Hour
	l.holding("Package", 1).must(video.Cancel, video.CommandRequest{KeepDraft: true})
	l.openTimers(1, "as a draft")
	l.letGo()
	l.must(video.Resume)
	l.arrives(video.Reviewing)
	l.openTimers(0, "taken up")
	l.must(video.Cancel)
	l.openTimers(1, "canceled")
	l.must(video.Restore)
	l.openTimers(0, "restored")
	l.must(video.Approve)
	l.arrives(video.Scheduled)
	l.openTimers(1, "scheduled")
	l.must(video.Publish)
	l.arrives(video.Published)
	l.must(video.Delete)
	l.ends(video.ByDeletion)
}

// openTimers counts the timers of the first run that were neither fired nor canceled.
func (l *tale) openTimers(want int, when string) {
	l.t.Helper()
	patient(l.t, "timers "+when, func() error {
		open := 0
		for _, e := range l.history(l.run.GetRunID()).GetEvents() {
			switch e.GetEventType() {
			case enumspb.EVENT_TYPE_TIMER_STARTED:
				open++
			case enumspb.EVENT_TYPE_TIMER_FIRED, enumspb.EVENT_TYPE_TIMER_CANCELED:
				open--
			}
		}
		if open != want {
			return fmt.Errorf("%d timers are open, want %d", open, want)
		}
		return nil
	})
}

// everyActivityHasItsPlace checks that hiding and erasing go first, and owners take turns.
func everyActivityHasItsPlace(t *testing.T, s *server) {
	l := s.tale(t).uploaded()
	l.arrives(video.Published)
	l.must(video.Delete)
	l.ends(video.ByDeletion)
	seen := map[string]int32{}
	for _, run := range l.runs() {
		for _, e := range l.history(run).GetEvents() {
			a := e.GetActivityTaskScheduledEventAttributes()
			if a == nil {
				continue
			}
			if a.GetPriority().GetFairnessKey() != l.in.Owner {
				t.Errorf("%s has the fairness key %q", a.GetActivityType().GetName(), a.GetPriority().GetFairnessKey())
			}
			name := a.GetActivityType().GetName()
			if was, again := seen[name]; !again || a.GetPriority().GetPriorityKey() > was {
				seen[name] = a.GetPriority().GetPriorityKey()
			}
		}
	}
	for _, order := range [][2]string{{"Hide", "Probe"}, {"PurgeReplica", "CopyReplica"}, {"Probe", "EncodePiece"}} {
		if seen[order[0]] == 0 || seen[order[0]] >= seen[order[1]] {
			t.Errorf("%s has priority %d, %s %d", order[0], seen[order[0]], order[1], seen[order[1]])
		}
	}
}

// repeatedWithoutEnd is a client that repeats a command through a grace: the run goes on
// as a new one before the server's limits are reached, and other commands work.
func repeatedWithoutEnd(t *testing.T, s *server) {
	l := s.tale(t)
	l.in.Policy.DeleteGrace = time.Hour
	l.uploaded().arrives(video.Published)
	l.must(video.Delete)
	l.arrives(video.PendingDeletion)
	const senders, each = 8, 560 // above the 4,096 events at which the server suggests a new run
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range each {
				err := s.client.SignalWorkflow(t.Context(), l.in.ID.WorkflowID(), "", "delete", nil)
				for again := 0; err != nil && again < 5; again++ { // a busy server may not answer in time
					err = s.client.SignalWorkflow(t.Context(), l.in.ID.WorkflowID(), "", "delete", nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	l.must(video.Hold)
	l.until("a new run", func(now video.Status) bool {
		d, err := s.client.DescribeWorkflowExecution(t.Context(), l.in.ID.WorkflowID(), "")
		return err == nil && now.Stage == video.PendingDeletion && canBe(now, video.Release) &&
			d.GetWorkflowExecutionInfo().GetHistoryLength() < 4000
	})
	l.must(video.Release)
}
