package workflows

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/reelflow/reelflow/video"
)

var record = flag.Bool("record", false, "write the histories in testdata anew, from a real server")

const histories = "testdata/histories"

// stories are the lives whose histories must go on replaying. Each ends.
func stories() map[string]func(*tale) {
	all := map[string]func(*tale){
		"full life": func(l *tale) {
			l.uploaded().arrives(video.Published)
			l.must(video.Delete)
		},
		"deleted with a grace": func(l *tale) {
			l.in.Policy.DeleteGrace = 300 * time.Millisecond
			l.uploaded().arrives(video.Published)
			l.must(video.Delete)
			l.must(video.Delete)
		},
		"canceled": func(l *tale) {
			l.holding("EncodePiece", 2)
			l.must(video.Cancel)
		},
		"canceled from the UI": func(l *tale) {
			l.holding("CopyReplica", 2)
			if err := l.s.client.CancelWorkflow(l.t.Context(), l.in.ID.WorkflowID(), ""); err != nil {
				l.t.Fatal(err)
			}
		},
		"deleted before publication": func(l *tale) {
			l.holding("Package", 1)
			l.must(video.Delete)
		},
		"rejected": func(l *tale) {
			l.in.Policy.RejectedTTL = 300 * time.Millisecond
			l.world.rejected = &video.Rejection{Code: "not_a_video", Message: "This is not a video."}
			l.uploaded()
		},
		"rejected by a reviewer": func(l *tale) {
			l.in.Review = true
			l.uploaded().arrives(video.Reviewing)
			l.must(video.Reject)
			l.arrives(video.Rejected)
			l.must(video.Delete)
		},
		"reviewed and scheduled": func(l *tale) {
			l.in.Review, l.in.Policy.PublishDelay = true, 300*time.Millisecond
			l.in.PublishAt = time.Now().Add(2 * time.Second)
			l.uploaded().arrives(video.Reviewing)
			l.must(video.Approve)
			l.arrives(video.Published)
			l.signal("delete")
		},
		"published now": func(l *tale) {
			l.in.Policy.PublishDelay = time.Hour
			l.uploaded().arrives(video.Scheduled)
			l.must(video.Publish)
			l.arrives(video.Published)
			l.signal("delete")
		},
		"draft taken up": func(l *tale) {
			l.holding("Package", 1)
			l.must(video.Cancel, video.CommandRequest{KeepDraft: true})
			l.letGo()
			l.must(video.Resume)
			l.arrives(video.Published)
			l.must(video.Delete)
		},
		"draft expired": func(l *tale) {
			l.in.Policy.DraftTTL, l.in.KeepDraft = 300*time.Millisecond, true
			l.holding("Package", 1)
			l.signal("cancel")
		},
		"cancel taken back": func(l *tale) {
			l.in.Policy.CancelGrace = time.Hour
			l.holding("Package", 1)
			l.must(video.Cancel)
			l.letGo()
			l.must(video.Restore)
			l.arrives(video.Published)
			l.must(video.Delete)
		},
		"grace of a cancel runs out": func(l *tale) {
			l.in.Policy.CancelGrace = 300 * time.Millisecond
			l.holding("Probe", 1)
			l.must(video.Cancel)
		},
		"legal hold": func(l *tale) {
			l.uploaded().arrives(video.Published)
			l.must(video.Hold)
			l.must(video.Delete)
			l.until("a hold", func(s video.Status) bool { return s.WaitingFor == "the end of the legal hold" })
			l.must(video.Release)
		},
		"followed by the backups": func(l *tale) {
			l.following()
			l.must(video.Pause)
			l.letGo()
			l.must(video.Resume)
			l.until("they follow no more", func(video.Status) bool { return l.world.busy("CopyAhead") == 0 })
			l.signal(video.UploadedSignal)
			l.arrives(video.Published)
			l.must(video.Delete)
		},
		"upload expired": func(l *tale) {
			l.in.Policy.UploadIdle = 300 * time.Millisecond
			l.begin()
		},
		"signals in a hurry": func(l *tale) {
			l.holding("EncodePiece", 2)
			for _, c := range []video.Command{"pause", "resume", "publish", keep, "resume", "pause", keep, "approve", "resume", "hold", "release", "pause", "cancel", "restore"} {
				l.signal(string(c))
			}
		},
		"deleted while a store is down": func(l *tale) {
			l.uploaded().arrives(video.Published)
			l.world.goDown("PurgeReplica")
			l.must(video.Delete)
			l.until("a store that is down", func(s video.Status) bool { return s.WaitingFor != "" })
			l.world.comeBack()
		},
		"leftovers purged again": func(l *tale) {
			l.world.fail["CloseReceipt"] = func(attempt int) error {
				if attempt == 1 {
					return coded(video.Conflict)
				}
				return nil
			}
			l.uploaded().arrives(video.Published)
			l.must(video.Delete)
		},
		"begun again after it was terminated": func(l *tale) {
			l.in.Carried = &video.Carried{State: video.State{Stage: video.Processing, Paused: true}, Epoch: 3, Uploaded: true, Stray: true}
			l.begin()
			l.must(video.Resume)
			l.arrives(video.Published)
			l.must(video.Delete)
		},
		"begun again in its grace": func(l *tale) {
			l.in.Carried = &video.Carried{
				State: video.State{Stage: video.PendingDeletion, Ending: video.ByDeletion}, Epoch: 3, Asked: true,
				HiddenAt: time.Now(), PurgeAt: time.Now().Add(time.Second),
			}
			l.begin()
		},
		"behind its rows": func(l *tale) {
			l.world.row.Epoch, l.world.further = 40, &video.Carried{State: video.State{Stage: video.Published}}
			l.world.fail["SealUpload"] = func(int) error { return coded(video.Conflict) }
			l.uploaded().arrives(video.Published)
			l.must(video.Delete)
		},
		"unknown, then deleted": func(l *tale) {
			l.world.unknown = true
			l.uploaded()
			l.until("it waits", func(s video.Status) bool { return s.WaitingFor != "" })
			l.must(video.Delete)
		},
		"rejected and restored": func(l *tale) {
			l.in.Policy.RejectedTTL = time.Hour
			l.world.rejected = &video.Rejection{Code: "damaged", Message: "It can't be read."}
			l.uploaded().arrives(video.Rejected)
			l.world.change(func() { l.world.rejected = nil })
			l.must(video.Restore)
			l.arrives(video.Published)
			l.must(video.Delete)
		},
	}
	for _, stage := range video.BeforePublication {
		all["paused while "+string(stage)] = func(l *tale) {
			l.reach(stage)
			l.must(video.Pause)
			l.must(video.Pause)
			l.letGo()
			l.must(video.Resume)
			switch stage {
			case video.Uploading:
				l.signal(video.UploadedSignal)
			case video.Reviewing:
				l.must(video.Approve)
			case video.Scheduled:
				l.must(video.Publish)
			}
			l.arrives(video.Published)
			l.must(video.Delete)
		}
	}
	return all
}

// TestRecord writes the histories anew when it is told to. Otherwise it checks
// that every story has been recorded.
func TestRecord(t *testing.T) {
	if !*record {
		for name := range stories() {
			if _, err := os.Stat(file(name, 1)); err != nil {
				t.Errorf("%v; record it with: make record", err)
			}
		}
		return
	}
	if err := os.RemoveAll(histories); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(histories, 0o755); err != nil {
		t.Fatal(err)
	}
	s := startTemporal(t).open(t, "record")
	t.Run("all", func(t *testing.T) {
		for name, story := range stories() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := s.tale(t)
				l.world.plan.Pieces = 2
				story(l)
				l.receipt()
				l.write(name)
			})
		}
		t.Run("reset after the purge", func(t *testing.T) {
			t.Parallel()
			l := s.tale(t).uploaded()
			l.arrives(video.Published)
			l.must(video.Delete)
			l.receipt()
			reset, err := s.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
				Namespace: s.namespace, Reason: "recorded", WorkflowTaskFinishEventId: 4, RequestId: "reset",
				WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: l.in.ID.WorkflowID(), RunId: l.run.GetRunID()},
			})
			if err != nil {
				t.Fatal(err)
			}
			l.receipt()
			l.run = s.client.GetWorkflow(t.Context(), l.in.ID.WorkflowID(), reset.GetRunId())
			l.write(t.Name()[len("TestRecord/all/"):])
		})
		t.Run("audit", func(t *testing.T) { t.Parallel(); recordAudit(t, s) })
	})
}

func recordAudit(t *testing.T, s *server) {
	s.workers[0].RegisterActivityWithOptions(
		func(context.Context) (AuditReport, error) { return AuditReport{Videos: 3, Strays: 1}, nil }, activity.RegisterOptions{Name: "Audit"})
	l := s.tale(t)
	run, err := s.client.ExecuteWorkflow(t.Context(),
		client.StartWorkflowOptions{ID: video.AuditSchedule, TaskQueue: video.ControlQueue}, video.AuditWorkflow)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	h, err := protojson.Marshal(l.historyOf(video.AuditSchedule, run.GetRunID()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("audit", 1), h, 0o644); err != nil {
		t.Fatal(err)
	}
}

// write puts each run of the life into a file of its own.
func (l *tale) write(name string) {
	l.t.Helper()
	for i, run := range l.runs() {
		h, err := protojson.Marshal(l.history(run))
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(file(name, i+1), h, 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
}

func file(story string, run int) string {
	name := []byte(fmt.Sprintf("%s-%d.json", story, run))
	for i, c := range name {
		if c == ' ' || c == '_' {
			name[i] = '-'
		}
	}
	return filepath.Join(histories, string(name))
}
