package workflows

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/reelflow/reelflow/video"
)

// TestOnServer shows on a real Temporal server what its stand-in in the SDK
// can't: real order, real cancellation, real ends of runs.
func TestOnServer(t *testing.T) {
	temporal := startTemporal(t)
	shared := temporal.open(t, "lives")
	// First and alone: it looks at the clock.
	t.Run("pause means that nothing runs", func(t *testing.T) { pauseMeansThatNothingRuns(t, shared) })
	for name, test := range map[string]func(*testing.T, *server){
		"signals keep their order":      signalsKeepTheirOrder,
		"ends asked for everywhere":     endsAskedForEverywhere,
		"copying ends with the upload":  copyingEndsWithTheUpload,
		"workflow canceled":             workflowCanceled,
		"a pause overtaken":             pauseOvertaken,
		"asked in the moment it is out": askedInTheMomentOfPublication,
		"no command is lost":            noCommandIsLost,
		"reset after the purge":         resetAfterThePurge,
		"terminated, it comes back":     terminatedComesBack,
		"status as the contract says":   statusAsTheContractSays,
		"a plain client":                plainClient,
		"lists by stage":                listsByStage,
		"an update sent twice":          updateSentTwice,
		"purged is closed":              purgedIsClosed,
		"no timer is left":              noTimerIsLeft,
		"every activity has its place":  everyActivityHasItsPlace,
		"repeated without end":          repeatedWithoutEnd,
		"what operators read":           whatOperatorsRead,
		"a full life costs few actions": fullLifeCostsFewActions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, shared)
		})
	}
	// These stop the workers.
	for name, test := range map[string]func(*testing.T, *server){
		"at the very end of a run":  atTheVeryEndOfARun,
		"another worker takes over": anotherWorkerTakesOver,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, temporal.open(t, strings.ReplaceAll(name, " ", "-")))
		})
	}
}

// pauseMeansThatNothingRuns pauses and resumes a hundred times, over all stages.
// An answer comes within a second; a machine that is busy with other tests as
// well may be late now and then.
func pauseMeansThatNothingRuns(t *testing.T, s *server) {
	var late atomic.Int32
	t.Cleanup(func() {
		if n := late.Load(); n > 5 {
			t.Errorf("%d of 100 pauses took more than a second", n)
		}
	})
	for _, stage := range video.BeforePublication {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			l, work := s.at(t, stage)
			for range 20 {
				asked := time.Now()
				now := l.must(video.Pause)
				took := time.Since(asked)
				busy, begun := l.world.works(), l.world.begun()
				if took > time.Second {
					t.Logf("paused after %v", took)
					late.Add(1)
				}
				if took > 5*time.Second || !now.Paused || now.Stage != stage || busy != 0 {
					t.Errorf("paused after %v: %+v; %d activities run", took, now, busy)
				}
				time.Sleep(10 * time.Millisecond)
				if again := l.world.begun(); again != begun {
					t.Errorf("%d activities began in a pause", again-begun)
				}
				if l.must(video.Resume).Paused {
					t.Error("still paused")
				}
				l.until("work", func(s video.Status) bool { return s.Stage == stage && l.world.works() == work })
			}
			l.letGo()
			l.must(video.Delete)
			l.ends(video.ByDeletion)
		})
	}
}

// at brings a life to a stage before publication, where it stays. It returns how
// many activities run there.
func (s *server) at(t *testing.T, stage video.Stage) (*tale, int) {
	l := s.tale(t)
	return l, l.reach(stage)
}

func (l *tale) reach(stage video.Stage) int {
	l.t.Helper()
	switch stage {
	case video.Uploading:
		l.begin()
	case video.Processing:
		n := l.world.plan.Pieces
		l.holding("EncodePiece", n).until("no sound", func(video.Status) bool { return l.world.works() == n })
		return n
	case video.Reviewing:
		l.in.Review = true
		l.uploaded()
	case video.Scheduled:
		l.in.Policy.PublishDelay = time.Hour
		l.uploaded()
	case video.Publishing:
		l.holding("CopyReplica", 2)
		return 2
	}
	l.arrives(stage)
	return 0
}

// works counts the activities that run but the writing of rows.
func (w *world) works() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, running := range w.running {
		if what != "Control" {
			n += running
		}
	}
	return n
}

// begun counts the activities ever begun but the writing of rows.
func (w *world) begun() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.did {
		if what != "Control" {
			n++
		}
	}
	return n
}

func endsAskedForEverywhere(t *testing.T, s *server) {
	for _, stage := range append(slices.Clone(video.BeforePublication), video.Draft, video.Published) {
		for _, c := range []video.Command{video.Cancel, video.Delete} {
			for _, by := range []string{"signal", "update"} {
				if stage == video.Published && c == video.Cancel {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", stage, c, by), func(t *testing.T) {
					t.Parallel()
					var l *tale
					switch stage {
					case video.Draft:
						l, _ = s.at(t, video.Processing)
						l.must(video.Cancel, video.CommandRequest{KeepDraft: true})
						l.letGo()
					case video.Published:
						l = s.tale(t).uploaded()
						l.arrives(video.Published)
					default:
						l, _ = s.at(t, stage)
					}
					if by == "signal" {
						l.signal(string(c))
					} else {
						l.must(c)
						if n := l.world.works(); c == video.Cancel && n > 3 { // stores are being purged, nothing else
							t.Errorf("%d activities run after the answer", n)
						}
					}
					l.ends(map[video.Command]video.Ending{video.Cancel: video.ByCancellation, video.Delete: video.ByDeletion}[c])
					if n := l.world.count("Publish"); (n > 0) != (stage == video.Published) {
						t.Errorf("published %d times", n)
					}
				})
			}
		}
	}
}

func workflowCanceled(t *testing.T, s *server) {
	for _, row := range []struct {
		stage video.Stage
		ends  video.Ending
	}{
		{video.Uploading, video.ByCancellation}, {video.Processing, video.ByCancellation}, {video.Scheduled, video.ByCancellation},
		{video.Published, video.ByDeletion},
	} {
		t.Run(string(row.stage), func(t *testing.T) {
			t.Parallel()
			l := s.tale(t)
			if row.stage == video.Published {
				l.uploaded().arrives(video.Published)
			} else {
				l, _ = s.at(t, row.stage)
			}
			if err := s.client.CancelWorkflow(t.Context(), l.in.ID.WorkflowID(), ""); err != nil {
				t.Fatal(err)
			}
			l.ends(row.ends)
		})
	}
}

func pauseOvertaken(t *testing.T, s *server) {
	l, _ := s.at(t, video.Processing)
	l.world.change(func() { l.world.deaf = true })
	answer := make(chan error, 1)
	go func() { _, err := l.update(video.Pause); answer <- err }()
	l.until("a pause", func(s video.Status) bool { return s.Paused })
	select {
	case err := <-answer:
		t.Fatalf("answered %v while three activities run", err)
	case <-time.After(200 * time.Millisecond):
	}
	l.signal("resume")
	refusedWith(t, <-answer, video.Conflict, "overtaken", "processing")
	l.letGo()
	l.world.change(func() { l.world.deaf = false })
	l.arrives(video.Published)
	l.must(video.Delete)
	l.ends(video.ByDeletion)
}

// The row that publishes may be written although a pause or cancel came: the
// control row takes it back, so it has to be written again.
func askedInTheMomentOfPublication(t *testing.T, s *server) {
	for _, row := range []struct {
		asked, then video.Command
		ends        video.Ending
		published   int
	}{
		{video.Pause, video.Resume, "", 2}, {keep, video.Resume, "", 2},
		{video.Cancel, "", video.ByCancellation, 1}, {video.Delete, "", video.ByDeletion, 1},
	} {
		t.Run(string(row.asked), func(t *testing.T) {
			t.Parallel()
			l := s.tale(t)
			l.world.late = true
			l.holding("Publish", 1).signal(string(row.asked))
			if row.then != "" {
				l.until("silence", func(s video.Status) bool {
					return l.world.busy("Publish") == 0 && s.Stage != video.Published && (s.Paused || s.Stage == video.Draft)
				})
				l.letGo()
				l.signal(string(row.then))
				l.arrives(video.Published)
				l.signal("delete")
			}
			l.ends(map[bool]video.Ending{true: video.ByDeletion, false: row.ends}[row.then != ""])
			if n := l.world.count("Publish"); n != row.published {
				t.Errorf("published %d times, want %d", n, row.published)
			}
		})
	}
}

// noCommandIsLost asks for things while a run ends and the next begins.
func noCommandIsLost(t *testing.T, s *server) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 1))
			l := s.tale(t)
			l.world.slow["Publish"] = time.Duration(chance.IntN(40)) * time.Millisecond
			l.uploaded()
			held := false
			for range 14 {
				held = !held
				c := map[bool]video.Command{true: video.Hold, false: video.Release}[held]
				if chance.IntN(2) == 0 {
					l.signal(string(c))
				} else {
					l.must(c)
				}
				time.Sleep(time.Duration(chance.IntN(20)) * time.Millisecond)
			}
			now := l.arrives(video.Published)
			if now.Refused != 0 || canBe(now, video.Release) != held {
				t.Errorf("held %v: %+v", held, now)
			}
			l.must(video.Delete)
			if held {
				l.must(video.Release)
			}
			l.ends(video.ByDeletion)
		})
	}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("the end ", seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 2))
			l := s.tale(t).uploaded()
			for l.world.count("Publish") == 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Duration(chance.IntN(25)) * time.Millisecond)
			switch seed % 3 {
			case 0:
				l.signal("delete")
			case 1:
				l.must(video.Delete)
			case 2:
				if err := s.client.CancelWorkflow(t.Context(), l.in.ID.WorkflowID(), ""); err != nil {
					t.Fatal(err)
				}
			}
			if r := l.receipt(); r.Reason != video.ByDeletion && r.Reason != video.ByCancellation {
				t.Errorf("ended as %q", r.Reason)
			}
		})
	}
}

// atTheVeryEndOfARun puts a command into the same workflow task as the end of the
// work before continue-as-new: no workflow worker is there while both arrive.
func atTheVeryEndOfARun(t *testing.T, s *server) {
	lives := map[string]*tale{}
	for _, asked := range []string{"delete", "hold", "workflow canceled", "hold and delete"} {
		l := s.tale(t)
		l.world.late, l.world.deaf = true, true
		lives[asked] = l.holding("Publish", 1)
	}
	s.dismiss()
	s.employ(t, worker.Options{DisableWorkflowWorker: true})
	updated := make(chan error, 1)
	for asked, l := range lives {
		l.world.change(func() { l.world.deaf, l.world.row.Epoch = false, 1000 }) // done
		l.untilEvent(enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, "Publish")
		switch asked {
		case "workflow canceled":
			if err := s.client.CancelWorkflow(t.Context(), l.in.ID.WorkflowID(), ""); err != nil {
				t.Fatal(err)
			}
		case "hold and delete":
			l.world.slow["Control"] = 300 * time.Millisecond
			l.signal("hold")
			go func() { _, err := l.update(video.Delete); updated <- err }()
		default:
			l.signal(asked)
		}
	}
	time.Sleep(200 * time.Millisecond) // the update is on its way
	s.employ(t, worker.Options{LocalActivityWorkerOnly: true})
	lives["delete"].ends(video.ByDeletion)
	lives["workflow canceled"].ends(video.ByDeletion)
	if now := lives["hold"].arrives(video.Published); !canBe(now, video.Release) {
		t.Errorf("the hold was lost: %+v", now)
	}
	if err := <-updated; err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, asked := range []string{"hold", "hold and delete"} {
		lives[asked].signal("delete")
		lives[asked].signal("release")
		lives[asked].ends(video.ByDeletion)
	}
}

// untilEvent waits for an event about an activity.
func (l *tale) untilEvent(want enumspb.EventType, name string) {
	l.t.Helper()
	patient(l.t, name, func() error {
		named := map[int64]bool{}
		for _, e := range l.history(l.run.GetRunID()).GetEvents() {
			if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == name {
				named[e.GetEventId()] = true
			}
			if e.GetEventType() == want && named[e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()] {
				return nil
			}
		}
		return fmt.Errorf("no %v", want)
	})
}

// anotherWorkerTakesOver stops every worker without grace in the middle of work.
func anotherWorkerTakesOver(t *testing.T, s *server) {
	l, _ := s.at(t, video.Processing)
	s.dismiss()
	l.world.change(func() { clear(l.world.held); l.world.late = true })
	s.employ(t, worker.Options{})
	l.arrives(video.Published)
	if n := l.world.count("Probe"); n != 1 {
		t.Errorf("probed %d times", n)
	}
	l.must(video.Delete)
	l.ends(video.ByDeletion)
}

// resetAfterThePurge resets each run of a purged video to its start: nothing of
// it may live again.
func resetAfterThePurge(t *testing.T, s *server) {
	l := s.tale(t).uploaded()
	l.arrives(video.Published)
	l.must(video.Delete)
	l.ends(video.ByDeletion)
	for _, run := range l.runs() {
		before := l.world.begun()
		did := len(l.world.did)
		_, err := s.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
			Namespace:         s.namespace,
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: l.in.ID.WorkflowID(), RunId: run},
			Reason:            "a test", WorkflowTaskFinishEventId: 4, RequestId: run,
		})
		if err != nil {
			t.Fatal(err)
		}
		l.ends(video.ByDeletion)
		if l.world.begun() == before {
			t.Error("the reset run did not look at the ledger")
		}
		for _, what := range l.world.did[did:] {
			if slices.Contains([]string{"Probe", "EncodePiece", "EncodeAudio", "Package", "CopyReplica", "Publish"}, what) {
				t.Errorf("%s ran again", what)
			}
		}
	}
}

// terminatedComesBack is what the audit starts for a video whose workflow was
// terminated: it waits, paused, for a person, and a resume leads to publication.
func terminatedComesBack(t *testing.T, s *server) {
	l, _ := s.at(t, video.Processing)
	if err := s.client.TerminateWorkflow(t.Context(), l.in.ID.WorkflowID(), "", "a test"); err != nil {
		t.Fatal(err)
	}
	l.letGo()
	again := s.tale(t)
	again.in, again.world = l.in, l.world
	epoch := l.world.epoch()
	again.in.Carried = &video.Carried{
		State: video.State{Stage: video.Processing, Paused: true}, Epoch: epoch, Uploaded: true, Plan: l.world.plan, Stray: true,
	}
	run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: l.in.ID.WorkflowID(), TaskQueue: video.ControlQueue},
		video.LifecycleWorkflow, again.in)
	if err != nil {
		t.Fatal(err)
	}
	again.run = run
	again.until("a row that fences the former run", func(s video.Status) bool {
		return s.Paused && strings.Contains(s.WaitingFor, "terminated") && l.world.epoch() > epoch && l.world.last().Stray
	})
	if n := l.world.count("Publish") + l.world.count("DestroyKey"); n != 0 {
		t.Errorf("did %v", l.world.did)
	}
	again.must(video.Resume)
	again.arrives(video.Published)
	again.must(video.Delete)
	again.ends(video.ByDeletion)
}

func statusAsTheContractSays(t *testing.T, s *server) {
	l, _ := s.at(t, video.Scheduled)
	v, err := s.client.QueryWorkflow(t.Context(), l.in.ID.WorkflowID(), "", "status")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := v.Get(&got); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields("actions deadlines done ending id paused refused stage total waiting_for")
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("the status has %v, want %v", names, want)
	}
	for name, value := range map[string]any{
		"id": string(l.in.ID), "stage": "scheduled", "paused": false, "ending": "", "waiting_for": "the time to publish",
		"actions": []any{"pause", "cancel", "delete", "publish", "hold"}, "done": 0.0, "total": 0.0, "refused": 0.0,
	} {
		if g, w := mustJSON(got[name]), mustJSON(value); g != w {
			t.Errorf("%s is %s, want %s", name, g, w)
		}
	}
	at, err := time.Parse(time.RFC3339, got["deadlines"].(map[string]any)["publish_at"].(string))
	if err != nil || time.Until(at) < 59*time.Minute || time.Until(at) > time.Hour {
		t.Errorf("publish_at: %v, %v", at, err)
	}
	l.must(video.Publish)
	l.arrives(video.Published)
	l.signal("delete")
	l.ends(video.ByDeletion)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
