package workflows

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

func (f *film) working(what string, n int) func(video.Status) bool {
	return func(video.Status) bool { return f.world.busy(what) == n }
}

func stands(stage video.Stage) func(video.Status) bool {
	return func(s video.Status) bool { return s.Stage == stage }
}

func (f *film) signals(commands ...video.Command) func() {
	return func() {
		for _, c := range commands {
			var payload any
			if c == keep {
				c, payload = video.Cancel, video.CommandRequest{KeepDraft: true}
			}
			f.SignalWorkflow(string(c), payload)
		}
	}
}

// keep is a cancel that asks to keep a draft.
const keep video.Command = "cancel, kept"

func (f *film) renewed() video.LifecycleInput {
	f.t.Helper()
	again, ok := errors.AsType[*workflow.ContinueAsNewError](f.GetWorkflowError())
	if !ok {
		f.t.Fatalf("the life must go on in a new run, not end with %v", f.GetWorkflowError())
	}
	var next video.LifecycleInput
	if err := dataConverter().FromPayloads(again.Input, &next); err != nil {
		f.t.Fatal(err)
	}
	return next
}

// Commands of one moment: nothing had time to stop or to move on in between, and
// yet each is taken as if it had.
func TestCommandsOfOneMoment(t *testing.T) {
	for _, row := range []struct {
		why   string
		from  video.Stage // processing, reviewing or draft
		grace time.Duration
		sent  []video.Command
		want  string // published, or why it ended
	}{
		{"a draft taken up at once", video.Processing, 0, []video.Command{keep, video.Resume}, "published"},
		{"a draft taken up and given up", video.Draft, 0, []video.Command{video.Resume, video.Cancel}, "canceled"},
		{"a draft taken up and kept again", video.Draft, 0, []video.Command{video.Resume, keep, video.Resume}, "published"},
		{"a draft thrown away can't be taken up", video.Draft, 0, []video.Command{video.Cancel, video.Resume}, "canceled"},
		{"a draft paused once it was taken up", video.Draft, 0, []video.Command{video.Resume, video.Pause, video.Cancel}, "canceled"},
		{"a draft kept twice", video.Draft, 0, []video.Command{keep, keep, video.Resume}, "published"},
		{"a cancel taken back at once", video.Processing, time.Hour, []video.Command{video.Cancel, video.Restore}, "published"},
		{"a cancel taken back twice", video.Processing, time.Hour, []video.Command{video.Cancel, video.Restore, video.Restore, video.Cancel, video.Restore}, "published"},
		{"a cancel after one was taken back", video.Processing, time.Hour, []video.Command{video.Cancel, video.Restore, video.Cancel}, "canceled"},
		{"without a grace nothing is taken back", video.Processing, 0, []video.Command{video.Cancel, video.Restore}, "canceled"},
		{"a deletion is not taken back", video.Processing, time.Hour, []video.Command{video.Cancel, video.Delete, video.Restore}, "deleted"},
		{"nor one of a draft", video.Draft, 0, []video.Command{video.Delete, video.Resume}, "deleted"},
		{"the first decision stands", video.Reviewing, 0, []video.Command{video.Approve, video.Reject}, "published"},
		{"also when it is no", video.Reviewing, 0, []video.Command{video.Reject, video.Approve, video.Publish}, "rejected"},
		{"also of an operator", video.Reviewing, 0, []video.Command{video.Publish, video.Reject, video.Approve}, "published"},
		{"no approval of what is canceled", video.Reviewing, 0, []video.Command{video.Cancel, video.Approve}, "canceled"},
		{"a pause is over with a cancel", video.Processing, 0, []video.Command{video.Pause, video.Cancel, video.Resume}, "canceled"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			f := newFilm(t)
			f.in.Policy.CancelGrace = row.grace
			f.in.Review = row.from == video.Reviewing
			f.world.held["Package"] = !f.in.Review
			begin := f.working("Package", 1)
			scenes := []scene{}
			switch row.from {
			case video.Reviewing:
				begin = stands(video.Reviewing)
			case video.Draft:
				scenes = append(scenes, scene{"work", begin, f.signals(keep)})
				begin = func(s video.Status) bool { return s.Stage == video.Draft && f.world.busy("Package") == 0 }
			}
			f.play(append(scenes, scene{"the moment", begin, func() {
				f.world.change(func() { f.world.held["Package"] = false })
				f.signals(row.sent...)()
			}})...)
			if row.want == "published" {
				if next := f.renewed(); next.Carried.Stage != video.Published || f.world.count("DestroyKey") != 0 {
					t.Errorf("carried %+v", next.Carried)
				}
				return
			}
			if r := f.receipt(); string(r.Reason) != row.want {
				t.Errorf("ended as %q, want %q", r.Reason, row.want)
			}
		})
	}
}

// A pause that was overtaken by another command says so; it is not a success.
func TestPauseThatIsOvertaken(t *testing.T) {
	for _, by := range []video.Command{video.Resume, video.Cancel, keep, video.Delete} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			f := newFilm(t)
			f.world.held["Probe"], f.world.slow["Control"] = true, 30*time.Millisecond
			var pause *answer
			f.play(
				scene{"work", f.working("Probe", 1), func() { pause = f.update(video.Pause) }},
				scene{"a pause", func(s video.Status) bool { return s.Paused }, func() {
					if pause.done {
						t.Error("pause answered before it had taken hold")
					}
					f.world.change(func() { f.world.held["Probe"] = false })
					f.signals(by)()
				}},
			)
			refusal, ok := errors.AsType[*temporal.ApplicationError](pause.refusal)
			if !ok || refusal.Type() != string(video.Conflict) || !pause.accepted || !strings.Contains(refusal.Message(), "overtaken") {
				t.Errorf("answered %+v", pause)
			}
		})
	}
}

// Operators can take a cancel back for as long as nothing is erased.
func TestRestoreUnderLegalHold(t *testing.T) {
	f := newFilm(t)
	f.in.Policy.CancelGrace = time.Second
	f.world.held["Probe"] = true
	f.play(
		scene{"work", f.working("Probe", 1), f.signals(video.Hold, video.Cancel)},
		scene{"a hold", func(s video.Status) bool { return s.WaitingFor == "the end of the legal hold" }, func() {
			f.world.change(func() { f.world.held["Probe"] = false })
			f.signals(video.Restore)()
		}},
	)
	if next := f.renewed(); !next.Carried.Held || f.world.count("DestroyKey") != 0 {
		t.Errorf("carried %+v", next.Carried)
	}
}

// A draft thrown away comes back as a draft: nobody asked to publish it.
func TestDraftThrownAwayComesBackAsDraft(t *testing.T) {
	f := newFilm(t)
	f.in.Policy.CancelGrace = time.Hour
	f.world.held["Probe"] = true
	f.play(
		scene{"work", f.working("Probe", 1), f.signals(keep)},
		scene{"a draft", stands(video.Draft), f.signals(video.Cancel)},
		scene{"a canceled one", stands(video.Canceled), f.signals(video.Restore)},
		scene{"a draft again", stands(video.Draft), func() {
			if s := f.status(); s.Ending != "" || s.Deadlines["expires_at"].IsZero() {
				t.Errorf("%+v", s)
			}
			f.signals(video.Delete)()
		}},
	)
	f.receipt()
}

// A hold and its release follow each other faster than rows are written.
func TestLastWordReachesTheCatalog(t *testing.T) {
	f := newFilm(t)
	f.in.Review = true
	f.world.slow["Control"] = 5 * time.Millisecond
	f.play(
		scene{"review", stands(video.Reviewing), f.signals(video.Hold, video.Release, video.Hold, video.Release, video.Hold)},
		scene{"a hold", func(video.Status) bool { return f.world.last().Held && f.world.busy("Control") == 0 }, func() {
			if n := f.world.most("Control"); n > 1 {
				t.Errorf("%d rows of one epoch were written at once", n)
			}
			f.signals(video.Release, video.Approve)()
		}},
	)
	if next := f.renewed(); next.Carried.Held {
		t.Errorf("carried %+v", next.Carried)
	}
	if shown := f.world.last(); shown.Held || shown.Stage != video.Publishing || len(shown.Done) != 1 {
		t.Errorf("the catalog shows %+v", shown)
	}
}

func TestContinueAsNewForgetsNothing(t *testing.T) {
	t.Run("the gateway's word", func(t *testing.T) {
		f := newFilm(t)
		f.silent = true
		f.at(5*time.Millisecond, func() { f.signals(video.Pause)() })
		f.at(10*time.Millisecond, func() {
			f.SignalWorkflow(video.UploadedSignal, nil)
			f.signals(video.Hold)()
		})
		f.at(15*time.Millisecond, func() {
			f.SetContinueAsNewSuggested(true)
			f.signals(video.Hold)()
		})
		f.run()
		if next := f.renewed(); !next.Carried.Uploaded || !next.Carried.Paused || !next.Carried.Held {
			t.Errorf("carried %+v", next.Carried)
		}
	})
	t.Run("an upload that goes on for days", func(t *testing.T) {
		f := newFilm(t)
		f.silent = true
		f.in.Policy.UploadStall = time.Minute
		f.at(time.Hour, func() {
			f.SetContinueAsNewSuggested(true)
			f.world.come(10)
		})
		f.run()
		if next := f.renewed(); next.Carried.Uploaded || next.Carried.Stage != video.Uploading {
			t.Errorf("carried %+v", next.Carried)
		}
	})
	t.Run("how much of a delay is over", func(t *testing.T) {
		f := newFilm(t)
		f.in.Policy.PublishDelay = 3 * time.Hour
		f.at(time.Hour, func() { f.signals(video.Pause)() })
		f.at(4*time.Hour, func() { f.signals(video.Resume)() })
		f.at(4*time.Hour+time.Second, func() {
			f.SetContinueAsNewSuggested(true)
			f.signals(video.Hold)()
		})
		f.run()
		next := f.renewed()
		if w := next.Carried.Waited; w < 59*time.Minute || w > 61*time.Minute || next.Carried.Stage != video.Scheduled {
			t.Fatalf("carried %+v", next.Carried)
		}
		f = newFilm(t)
		f.in = next
		from := f.Now()
		f.run()
		if took := f.Now().Sub(from); took < 119*time.Minute || took > 121*time.Minute {
			t.Errorf("published after another %v", took)
		}
	})
}
