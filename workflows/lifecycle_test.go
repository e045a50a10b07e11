package workflows

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/video"
)

func TestLifeThatGoesWell(t *testing.T) {
	f := newFilm(t)
	f.run()
	next := f.renewed()
	if next.Carried == nil || next.Carried.Stage != video.Published {
		t.Fatalf("carried over: %+v", next.Carried)
	}
	want := []string{"SealUpload", "Probe", "EncodePiece", "Package", "CopyReplica", "Publish"}
	if got := f.world.order(want...); !slices.Equal(got, want) {
		t.Errorf("order of work: %v, want %v", got, want)
	}
	for what, n := range map[string]int{"EncodePiece": 3, "EncodeAudio": 1, "CopyReplica": 2, "Control": 0, "CheckUpload": 0, "CopyAhead": 0} {
		if got := f.world.count(what); got != n {
			t.Errorf("%s ran %d times, want %d", what, got, n)
		}
	}

	second := newFilm(t)
	second.in = next
	var gone *answer
	var during video.Status
	second.at(time.Minute, func() { gone = second.update(video.Delete) })
	second.at(2*time.Minute, func() { during = second.status() })
	second.run()
	receipt := second.receipt()
	if receipt.Reason != video.ByDeletion || receipt.VideoSHA256 != next.ID.Hash() {
		t.Errorf("receipt: %+v", receipt)
	}
	if during.Stage != video.PendingDeletion || !gone.done || gone.refusal != nil {
		t.Errorf("during the grace: %+v, delete answered %+v", during, gone)
	}
	want = []string{"Hide", "DestroyKey", "PurgeReplica", "CloseReceipt"}
	if got := second.world.order(want...); !slices.Equal(got, want) {
		t.Errorf("order of the erasure: %v, want %v", got, want)
	}
	if got := second.world.count("PurgeReplica"); got != 3 {
		t.Errorf("purged %d stores, want 3", got)
	}
}

// Every signal of one task in the order in which it was sent, whatever its name.
func TestSignalsKeepTheirOrder(t *testing.T) {
	f := newFilm(t)
	f.world.held["Probe"] = true
	f.at(20*time.Millisecond, func() {
		f.SignalWorkflow(string(video.Resume), nil)
		f.SignalWorkflow(string(video.Pause), "an odd payload")
		f.SignalWorkflow(string(video.Resume), map[string]any{"keep_draft": 7})
		f.SignalWorkflow(string(video.Pause), nil)
	})
	var s video.Status
	f.at(40*time.Millisecond, func() { s = f.status() })
	f.at(60*time.Millisecond, func() { f.SignalWorkflow(string(video.Cancel), nil) })
	f.run()
	if !s.Paused || s.Stage != video.Processing || s.Refused != 0 {
		t.Errorf("after resume, pause, resume, pause: %+v", s)
	}
	if r := f.receipt(); r.Reason != video.ByCancellation {
		t.Errorf("receipt: %+v", r)
	}
}

func TestPauseStopsAndResumeGoesOn(t *testing.T) {
	f := newFilm(t)
	f.world.held["EncodePiece"] = true
	var paused, resumed *answer
	f.at(20*time.Millisecond, func() { paused = f.update(video.Pause) })
	f.at(60*time.Millisecond, func() {
		f.world.mu.Lock()
		f.world.held["EncodePiece"] = false
		f.world.mu.Unlock()
		resumed = f.update(video.Resume)
	})
	f.run()
	if !paused.done || paused.refusal != nil || !paused.status.Paused {
		t.Errorf("pause: %+v", paused)
	}
	if !resumed.done || resumed.refusal != nil {
		t.Errorf("resume: %+v", resumed)
	}
	if f.world.count("Probe") != 1 || f.world.count("Publish") != 1 {
		t.Errorf("what was done before the pause must not be done again: %v", f.world.did)
	}
}

// Short segments are merged before anything reads the upload, and only where there are
// any; a pause stops that, too, and the next leg asks anew whether there are any.
func TestShortSegmentsAreMergedFirst(t *testing.T) {
	f := newFilm(t)
	f.world.short, f.world.held["MergeUpload"] = true, true
	var paused *answer
	var pause func()
	pause = func() {
		if f.world.busy("MergeUpload") == 0 {
			f.at(5*time.Millisecond, pause)
			return
		}
		paused = f.update(video.Pause)
		f.at(40*time.Millisecond, func() {
			f.world.mu.Lock()
			f.world.held["MergeUpload"] = false
			f.world.mu.Unlock()
			f.update(video.Resume)
		})
	}
	f.at(5*time.Millisecond, pause)
	f.run()
	if !paused.done || paused.refusal != nil || !paused.status.Paused {
		t.Errorf("pause: %+v", paused)
	}
	want := []string{"SealUpload", "MergeUpload", "SealUpload", "MergeUpload", "Probe"}
	if got := f.world.did; len(got) < 8 || !slices.Equal(slices.DeleteFunc(slices.Clone(got), func(what string) bool { return !slices.Contains(want, what) }), want) {
		t.Errorf("did %v, want %v", got, want)
	}
	ordinary := newFilm(t)
	ordinary.run()
	if n := ordinary.world.count("MergeUpload"); n != 0 {
		t.Errorf("an ordinary upload was merged %d times", n)
	}
}

func TestUploadNobodyGoesOnWithExpires(t *testing.T) {
	f := newFilm(t)
	f.in.Policy.UploadIdle = time.Hour
	f.silent = true
	f.run()
	if r := f.receipt(); r.Reason != video.ByExpiry {
		t.Errorf("receipt: %+v", r)
	}
	if looks := f.world.count("CheckUpload"); looks < 1 || looks > 20 || f.world.count("CopyAhead") != 0 || f.world.count("Hide") != 0 {
		t.Errorf("did %v", f.world.did)
	}
}

// Bytes that cease to come are noticed and said, and cost little to watch for.
func TestStalledUploadSaysSo(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.in.Policy.UploadStall, f.in.Policy.UploadIdle = time.Minute, 24*time.Hour
	f.world.idle.Stalled = true
	f.at(2*time.Minute, func() {
		if s := f.status(); s.Stage != video.Uploading || !strings.Contains(s.WaitingFor, "stalled") || !strings.Contains(f.world.last().WaitingFor, "stalled") {
			t.Errorf("after two minutes: %+v; shown %q", s, f.world.last().WaitingFor)
		}
		f.world.mu.Lock()
		f.world.idle = UploadState{LastByteAt: f.Now()}
		f.world.mu.Unlock()
	})
	f.at(20*time.Minute, func() {
		if s := f.status(); strings.Contains(s.WaitingFor, "stalled") {
			t.Errorf("with bytes coming again: %+v", s)
		}
		f.SignalWorkflow(video.UploadedSignal, nil)
	})
	f.run()
	if f.world.count("Publish") != 1 {
		t.Errorf("did %v", f.world.did)
	}
	if n := f.world.count("CheckUpload"); n > 100 {
		t.Errorf("looked %d times in 20 minutes", n)
	}
}

// The gateway's signal may be lost with the gateway: the upload is looked at.
func TestLostWordOfTheGateway(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.world.idle.Complete = true
	f.run()
	if f.world.count("Publish") != 1 {
		t.Errorf("did %v", f.world.did)
	}
}

func TestRejectedVideoIsKeptForADay(t *testing.T) {
	f := newFilm(t)
	f.world.rejected = &video.Rejection{Code: "not_a_video", Message: "This is a text."}
	var during video.Status
	f.at(30*time.Minute, func() { during = f.status() })
	f.run()
	if r := f.receipt(); r.Reason != video.ByRejection {
		t.Errorf("receipt: %+v", r)
	}
	want := []string{"DestroyKey", "PurgeReplica", "CloseReceipt"}
	if got := f.world.order(want...); !slices.Equal(got, want) || during.Stage != video.Rejected {
		t.Errorf("order %v; stage in between %s", got, during.Stage)
	}
}

func TestDraftIsTakenUpAgainWhereItStood(t *testing.T) {
	f := newFilm(t)
	f.world.held["Package"] = true
	var kept *answer
	f.at(20*time.Millisecond, func() { kept = f.update(video.Cancel, video.CommandRequest{KeepDraft: true}) })
	f.at(time.Hour, func() {
		if s := f.status(); s.Stage != video.Draft || s.Ending != "" {
			t.Errorf("as a draft: %+v", s)
		}
		f.world.mu.Lock()
		f.world.held["Package"] = false
		f.world.mu.Unlock()
		f.update(video.Resume)
	})
	f.run()
	if !kept.done || kept.refusal != nil || f.world.count("Publish") != 1 || f.world.count("DestroyKey") != 0 {
		t.Errorf("cancel with keep: %+v; did %v", kept, f.world.did)
	}
}

func TestDraftExpires(t *testing.T) {
	f := newFilm(t)
	f.world.held["Probe"] = true
	f.at(20*time.Millisecond, func() { f.SignalWorkflow(string(video.Cancel), map[string]any{"keep_draft": true}) })
	f.run()
	if r := f.receipt(); r.Reason != video.ByExpiry {
		t.Errorf("receipt: %+v", r)
	}
}

func TestOperatorsRestoreACancelWhileItsGraceRuns(t *testing.T) {
	f := newFilm(t)
	f.in.Policy.CancelGrace = time.Hour
	f.world.held["Probe"] = true
	f.at(20*time.Millisecond, func() { f.update(video.Cancel) })
	f.at(30*time.Minute, func() {
		f.world.mu.Lock()
		f.world.held["Probe"] = false
		f.world.mu.Unlock()
		f.update(video.Restore)
	})
	f.run()
	if f.world.count("Publish") != 1 || f.world.count("DestroyKey") != 0 {
		t.Errorf("did %v", f.world.did)
	}
}

// The row has what a run that is given back must know of a cancel, so that its restore
// makes a draft again rather than publish it.
func TestRestoredCancelOfADraftIsADraft(t *testing.T) {
	f := newFilm(t)
	f.in.Policy.CancelGrace = time.Hour
	f.carry(video.Scheduled)
	f.in.Policy.PublishDelay = time.Hour
	f.at(time.Minute, func() { f.update(video.Cancel, video.CommandRequest{KeepDraft: true}) })
	f.at(2*time.Minute, func() { f.update(video.Cancel) })
	var row ControlInput
	f.at(3*time.Minute, func() {
		row = f.world.last()
		f.update(video.Restore)
	})
	f.at(4*time.Minute, func() {
		if s, now := f.status(), f.world.last(); s.Stage != video.Draft || now.WasDraft {
			t.Errorf("restored: %+v, the row is %+v", s, now)
		}
		f.CancelWorkflow()
	})
	f.run()
	if row.Stage != video.Canceled || !row.WasDraft || f.world.count("Publish") != 0 {
		t.Errorf("the row of the cancel: %+v; did %v", row, f.world.did)
	}
}

func TestLegalHoldStopsThePurge(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Published)
	f.at(time.Minute, func() { f.update(video.Hold) })
	f.at(2*time.Minute, func() { f.update(video.Delete) })
	f.at(30*time.Minute, func() {
		if !f.world.last().Held { // whoever starts the purge of a stray looks there
			t.Errorf("in the grace the catalog shows %+v", f.world.last())
		}
	})
	f.at(5*time.Hour, func() {
		if s := f.status(); s.Stage != video.PendingDeletion || f.world.count("DestroyKey") != 0 || s.WaitingFor == "" {
			t.Errorf("under hold long after the grace: %+v", s)
		}
		f.update(video.Release)
	})
	f.run()
	if r := f.receipt(); r.Reason != video.ByDeletion {
		t.Errorf("receipt: %+v", r)
	}
}

func TestStoreThatIsDownDelaysThePurgeAndIsReported(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Published)
	f.in.Policy.DeleteGrace = 0
	f.world.goDown("PurgeReplica")
	f.at(30*time.Hour, f.world.comeBack)
	var during video.Status
	f.at(time.Minute, func() { f.SignalWorkflow(string(video.Delete), nil) })
	f.at(26*time.Hour, func() { during = f.status() })
	f.run()
	f.receipt()
	if shown := f.world.last(); during.Stage != video.Purging || during.WaitingFor == "" || !shown.Overdue {
		t.Errorf("after a day: %+v, shown %+v", during, shown)
	}
	if n := f.world.count("PurgeReplica"); n > 3*300 {
		t.Errorf("%d attempts in 30 hours: a store that is down costs too much", n)
	}
}

// A lock of a store's own is shown with its end and waited for, at the price of a look an
// hour; the other stores are purged meanwhile.
func TestPurgeWaitsForAnObjectLock(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Published)
	f.in.Policy.DeleteGrace = 0
	end := f.Now().Add(50*time.Hour + 30*time.Minute).UTC().Truncate(time.Second)
	held, reason, retryAt := "backup-b", video.ReasonObjectLock, end
	f.world.keeps = func(store string) error {
		if store != held || !f.Now().Before(end) {
			return nil
		}
		return temporal.NewApplicationErrorWithOptions("locked until "+end.Format(time.RFC3339), string(video.Unavailable),
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{store, reason, retryAt}})
	}
	var during video.Status
	purged := map[string]bool{}
	f.at(time.Minute, func() { f.SignalWorkflow(string(video.Delete), nil) })
	f.at(40*time.Hour, func() {
		during = f.status()
		f.world.change(func() { maps.Copy(purged, f.world.purged) })
	})
	f.run()
	f.receipt()
	want := "another attempt: purge backup-b: locked until " + end.Format(time.RFC3339)
	if during.Stage != video.Purging || during.WaitingFor != want || f.world.said("locked") != want || !f.world.last().Overdue {
		t.Errorf("it waits for %q, readers were told %q, shown %+v", during.WaitingFor, f.world.said("locked"), f.world.last())
	}
	if len(purged) != 3 || purged[held] || !purged["primary"] || !purged["backup-a"] {
		t.Errorf("meanwhile purged were %v", purged)
	}
	if n := f.world.count("PurgeReplica"); n < 3+50 || n > 3+55 {
		t.Errorf("%d attempts in 50 hours, want one an hour", n)
	}
	if over := f.Now().Sub(end); over > 2*time.Minute {
		t.Errorf("it was over %v after the lock", over)
	}
}

func TestLeftoversArePurgedAgain(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Published)
	f.world.fail["CloseReceipt"] = func(attempt int) error {
		if attempt == 1 {
			return coded(video.Conflict)
		}
		return nil
	}
	f.at(time.Minute, func() { f.SignalWorkflow(string(video.Delete), nil) })
	f.run()
	f.receipt()
	if got := f.world.count("PurgeReplica"); got != 6 {
		t.Errorf("purged %d times, want every store twice", got)
	}
}

// Temporal's own cancel is a cancel before publication and a deletion after it;
// the purge runs to its end either way.
func TestWorkflowCanceled(t *testing.T) {
	for stage, reason := range map[video.Stage]video.Ending{
		video.Processing: video.ByCancellation, video.Published: video.ByDeletion,
	} {
		f := newFilm(t)
		f.carry(stage)
		f.in.KeepDraft = true
		f.world.held["Probe"] = true
		f.at(20*time.Millisecond, f.CancelWorkflow)
		f.run()
		if r := f.receipt(); r.Reason != reason {
			t.Errorf("%s: %+v", stage, r)
		}
	}
}

// A run that was reset, or restored with Temporal's database, begins below the epoch
// that the life has reached: it goes where the rows say that it stands.
func TestRunThatIsBehindItsRowsGoesThere(t *testing.T) {
	f := newFilm(t)
	f.world.row, f.world.further = ControlRow{Epoch: 40}, &video.Carried{State: video.State{Stage: video.Published}}
	f.world.fail["SealUpload"] = func(int) error { return coded(video.Conflict) }
	f.at(time.Hour, func() {
		if s := f.status(); s.Stage != video.Published || f.world.count("Probe") != 0 {
			t.Errorf("%+v; did %v", s, f.world.did)
		}
		f.SignalWorkflow(string(video.Delete), nil)
	})
	f.run()
	f.receipt()

	f = newFilm(t)
	f.world.row = ControlRow{Epoch: 40, Ending: video.ByDeletion, Erased: true}
	f.world.fail["SealUpload"] = func(int) error { return coded(video.Gone) }
	f.run()
	if r := f.receipt(); r.Reason != video.ByDeletion || f.world.count("Probe") != 0 {
		t.Errorf("receipt %+v; did %v", r, f.world.did)
	}
}

// A run that waits looks at its rows when it is told to, and goes where they stand only
// if that is further. Whatever comes with the signal is ignored.
func TestWaitingRunIsToldToReadItsRows(t *testing.T) {
	for _, c := range []struct {
		epoch int64
		want  video.Stage
	}{{40, video.Published}, {9, video.Scheduled}} {
		f := newFilm(t)
		f.carry(video.Scheduled)
		f.in.Policy.PublishDelay = 24 * time.Hour
		f.at(time.Minute, func() {
			f.world.change(func() {
				f.world.row, f.world.further = ControlRow{Epoch: c.epoch}, &video.Carried{State: video.State{Stage: video.Published}}
			})
		})
		for range 2 {
			f.at(2*time.Minute, func() { f.SignalWorkflow(video.RereadSignal, "anything") })
		}
		f.at(time.Hour, func() {
			if s := f.status(); s.Stage != c.want || f.world.count("ReadControl") == 0 || f.world.count("Publish") != 0 {
				t.Errorf("rows of epoch %d: %+v; did %v", c.epoch, s, f.world.did)
			}
			f.SignalWorkflow(string(video.Delete), nil)
		})
		f.run()
		f.receipt()
	}
}

// What a run that is behind was asked is later than what the rows say, and is not lost
// when it goes there.
func TestCommandToARunThatIsBehind(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Reviewing)
	f.in.Review = true
	f.world.row, f.world.further = ControlRow{Epoch: 40}, &video.Carried{State: video.State{Stage: video.Published}}
	var gone *answer
	f.at(time.Minute, func() { gone = f.update(video.Delete) })
	f.run()
	if r := f.receipt(); r.Reason != video.ByDeletion || f.world.count("Hide") != 1 || !gone.done || gone.refusal != nil {
		t.Errorf("receipt %+v; answer %+v; did %v", r, gone, f.world.did)
	}

	f = newFilm(t) // a pause means nothing where the video is published
	f.carry(video.Reviewing)
	f.in.Review = true
	f.world.row, f.world.further = ControlRow{Epoch: 11}, &video.Carried{State: video.State{Stage: video.Published}}
	f.at(time.Minute, func() { f.update(video.Pause) })
	f.at(time.Hour, func() {
		if s := f.status(); s.Stage != video.Published || s.Paused || f.world.last().Paused {
			t.Errorf("%+v", s)
		}
		f.SignalWorkflow(string(video.Delete), nil)
	})
	f.run()
	f.receipt()
}

// A video that neither catalog nor ledger knows may be looked for in the wrong catalog:
// it is waited for, for as long as it takes, and goes on.
func TestUnknownVideoIsWaitedFor(t *testing.T) {
	for _, stage := range []video.Stage{video.Uploading, video.Processing, video.Scheduled, video.Publishing} {
		t.Run(string(stage), func(t *testing.T) {
			f := newFilm(t)
			f.carry(stage)
			f.in.Policy.PublishDelay = time.Hour
			f.world.unknown, f.silent = true, true
			f.at(100*time.Hour, func() {
				s := f.status()
				if s.Stage != stage && !(stage == video.Scheduled && s.Stage == video.Publishing) || s.Ending != "" || s.Paused || !strings.Contains(s.WaitingFor, "doesn't know this video") {
					t.Errorf("after four days: %+v", s)
				}
				if n := len(f.world.did); n > 2800 {
					t.Errorf("%d activities in four days", n)
				}
				f.world.change(func() { f.world.unknown = false })
				f.SignalWorkflow(video.UploadedSignal, nil)
			})
			f.run()
			f.renewed()
			if f.world.count("DestroyKey") != 0 || f.world.count("Publish") != 1 && stage != video.Publishing {
				t.Errorf("did %v", f.world.did)
			}
		})
	}
}

// Only a person's delete ends the life of a video that nobody knows: not a cancel's
// grace, not an expiry.
func TestUnknownVideoEndsByAPersonsDelete(t *testing.T) {
	f := newFilm(t)
	f.world.unknown = true
	erased := func() bool { f.world.mu.Lock(); defer f.world.mu.Unlock(); return f.world.erased }
	f.at(time.Hour, func() { f.SignalWorkflow(string(video.Cancel), nil) })
	f.at(50*time.Hour, func() {
		if s := f.status(); erased() || s.Ending != video.ByCancellation || s.WaitingFor == "" {
			t.Errorf("two days after the cancel: %+v, erased %v", s, erased())
		}
		f.SignalWorkflow(string(video.Delete), nil)
	})
	f.run()
	if r := f.receipt(); r.Reason != video.ByCancellation || !erased() {
		t.Errorf("%+v", r)
	}
}

// A machine's judgement may be wrong: what it rejects is kept, hidden, and support can
// take it back.
func TestRejectedVideoIsRestored(t *testing.T) {
	f := newFilm(t)
	f.world.rejected = &video.Rejection{Code: "damaged", Message: "It can't be read."}
	var back *answer
	f.at(30*time.Minute, func() {
		if shown := f.world.last(); shown.Stage != video.Rejected || shown.Rejection == nil || shown.ExpiresAt.IsZero() || f.world.count("DestroyKey") != 0 {
			t.Errorf("shown %+v; did %v", shown, f.world.did)
		}
		f.world.change(func() { f.world.rejected = nil })
		back = f.update(video.Restore)
	})
	f.run()
	f.renewed()
	if back.refusal != nil || f.world.count("Probe") != 2 || f.world.count("Publish") != 1 || f.world.last().Rejection != nil {
		t.Errorf("%+v; did %v; shown %+v", back, f.world.did, f.world.last())
	}
}

// A reviewer's rejection taken back leads to the review again, as open as before.
func TestReviewersRejectionIsRestored(t *testing.T) {
	f := newFilm(t)
	f.in.Review = true
	for i := range 2 {
		f.at(time.Duration(2*i+1)*10*time.Minute, func() { f.update(video.Reject, video.CommandRequest{By: "somebody"}) })
		f.at(time.Duration(2*i+2)*10*time.Minute, func() {
			if s, row := f.status(), f.world.last(); s.Stage != video.Rejected || row.DecidedBy != "somebody" {
				t.Errorf("rejected %d times: %+v, by %q", i+1, s, row.DecidedBy)
			}
			f.update(video.Restore)
		})
	}
	f.at(50*time.Minute, func() { f.update(video.Approve, video.CommandRequest{By: "another"}) })
	f.run()
	f.renewed()
	if f.world.last().DecidedBy != "another" {
		t.Errorf("approved by %q", f.world.last().DecidedBy)
	}
	if f.world.count("Publish") != 1 || f.world.count("DestroyKey") != 0 {
		t.Errorf("did %v", f.world.did)
	}
}

// Work that fails is said, tried ever more seldom, and rests after a day until somebody
// has looked at it.
func TestWorkThatFailsForADayPausesItself(t *testing.T) {
	f := newFilm(t)
	f.world.fail["EncodePiece"] = func(int) error { return coded(video.Internal) }
	f.at(time.Hour, func() {
		if shown, s := f.world.last(), f.status(); !shown.Trouble || !strings.Contains(shown.WaitingFor, "processing has failed") || shown.WaitingFor != s.WaitingFor || s.Paused {
			t.Errorf("after an hour: %+v, shown %+v", s, shown)
		}
	})
	f.at(30*time.Hour, func() {
		if shown, s := f.world.last(), f.status(); !s.Paused || !shown.Paused || !strings.Contains(shown.WaitingFor, "paused itself") || shown.WaitingFor != s.WaitingFor {
			t.Errorf("after a day: %+v, shown %+v", s, shown)
		}
		if n := f.world.count("EncodePiece"); n > 3*5*40 {
			t.Errorf("%d attempts in a day", n)
		}
		f.world.change(func() { delete(f.world.fail, "EncodePiece") })
		f.update(video.Resume)
	})
	f.run()
	f.renewed()
	if shown := f.world.last(); shown.Trouble || shown.Paused || f.world.count("Publish") != 1 {
		t.Errorf("in the end it shows %+v; did %v", shown, f.world.did)
	}
}

// Pieces that are done are not asked for again because another failed.
func TestOnlyFailedPiecesAreTriedAgain(t *testing.T) {
	f := newFilm(t)
	f.world.fail["EncodeAudio"] = func(attempt int) error {
		if attempt <= 5 {
			return coded(video.Internal)
		}
		return nil
	}
	f.run()
	if n := f.world.count("EncodePiece"); n != 3 {
		t.Errorf("%d pieces", n)
	}
}

// A date that the author set is shown through a pause.
func TestPublishDateSurvivesAPause(t *testing.T) {
	f := newFilm(t)
	f.in.PublishAt = f.Now().Add(48 * time.Hour)
	f.world.held["Probe"] = true
	f.at(20*time.Millisecond, func() { f.update(video.Pause) })
	f.at(time.Hour, func() {
		if shown := f.world.last(); !shown.PublishAt.Equal(f.in.PublishAt) {
			t.Errorf("paused, it shows %v", shown.PublishAt)
		}
		f.letGo()
		f.update(video.Resume)
	})
	f.run()
	f.renewed()
}

// What passes when a worker shuts down is no end of what it did.
func TestRestartOfAWorkerEndsNothing(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.in.Policy.UploadStall = time.Minute
	offset := int64(0)
	f.world.fail["CheckUpload"] = func(int) error {
		offset++
		f.world.mu.Lock()
		f.world.idle.Offset = offset
		f.world.mu.Unlock()
		return nil
	}
	f.world.fail["CopyAhead"] = func(attempt int) error {
		if attempt == 1 {
			return errors.New("the worker is shutting down") // without a code of ours
		}
		return nil
	}
	f.at(10*time.Minute, func() { f.SignalWorkflow(video.UploadedSignal, nil) })
	f.run()
	f.renewed()
	if f.world.count("CopyAhead") < 2 {
		t.Errorf("did %v", f.world.did)
	}
}

// The backups have all of a video that waits for people or its time.
func TestCopiesAreMadeBeforeTheWait(t *testing.T) {
	f := newFilm(t)
	f.in.Review, f.in.Policy.PublishDelay = true, time.Hour
	f.world.fail["CopyAhead"] = func(attempt int) error {
		if attempt == 1 {
			return coded(video.Unavailable)
		}
		return nil
	}
	f.at(time.Hour, func() {
		if n := f.world.count("CopyAhead"); n != 2 {
			t.Errorf("copied %d times", n)
		}
		f.update(video.Approve)
	})
	f.run()
	f.renewed()
	if n := f.world.count("CopyAhead"); n != 2 {
		t.Errorf("copied %d times in all", n)
	}
}

// A run that nears the server's limits goes on as a new one in any stage, with nothing lost.
func TestRenewalInAnyStage(t *testing.T) {
	for stage, set := range map[video.Stage]func(*film){
		video.Uploading: func(f *film) { f.silent, f.in.Policy.UploadStall = true, time.Minute },
		video.Reviewing: func(f *film) { f.in.Review = true },
		video.Scheduled: func(f *film) { f.in.Policy.PublishDelay = 9 * time.Hour },
		video.Published: func(f *film) { f.carry(video.Published) },
		video.Draft: func(f *film) {
			f.world.held["Probe"], f.in.KeepDraft = true, true
			f.at(time.Second, func() { f.update(video.Cancel) })
		},
		video.Canceled: func(f *film) {
			f.world.held["Probe"], f.in.Policy.CancelGrace = true, 9*time.Hour
			f.at(time.Second, func() { f.update(video.Cancel) })
		},
		video.Rejected: func(f *film) {
			f.in.Policy.RejectedTTL, f.world.rejected = 9*time.Hour, &video.Rejection{Code: "damaged"}
		},
		video.PendingDeletion: func(f *film) {
			f.carry(video.Published)
			f.in.Policy.DeleteGrace = 9 * time.Hour
			f.at(time.Second, func() { f.update(video.Delete) })
		},
		video.Purging: func(f *film) {
			f.carry(video.Published)
			f.in.Policy.DeleteGrace = 0
			f.world.goDown("PurgeReplica")
			f.at(time.Second, func() { f.update(video.Delete) })
		},
	} {
		t.Run(string(stage), func(t *testing.T) {
			f := newFilm(t)
			set(f)
			f.at(59*time.Minute, func() { f.update(video.Hold) })
			f.at(time.Hour, func() {
				f.SetContinueAsNewSuggested(true)
				f.SignalWorkflow(string(video.Hold), nil)
			})
			f.run()
			next := f.renewed()
			if next.Carried == nil || next.Carried.Stage != stage || next.Carried.Held != (stage != video.Purging) {
				t.Fatalf("carried %+v", next.Carried)
			}
			second := newFilm(t)
			second.in, second.silent = next, f.silent
			second.world.erased = f.world.erased
			second.at(20*time.Minute, func() {
				if s := second.status(); s.Stage != stage && stage != video.Purging {
					t.Errorf("goes on at %+v", s)
				}
				second.SignalWorkflow(string(video.Delete), nil)
				second.SignalWorkflow(string(video.Release), nil)
			})
			second.run()
			second.receipt()
		})
	}
}

func TestReviewAndDelayCountUnpausedTime(t *testing.T) {
	f := newFilm(t)
	f.in.Review, f.in.Policy.PublishDelay = true, time.Hour
	start := f.Now()
	f.at(time.Hour, func() { f.update(video.Approve) })
	f.at(90*time.Minute, func() {
		if s := f.status(); s.Stage != video.Scheduled {
			t.Errorf("half an hour after approval: %+v", s)
		}
		f.update(video.Pause)
	})
	f.at(10*time.Hour, func() { f.update(video.Resume) })
	f.run()
	if took := f.Now().Sub(start); took < 10*time.Hour+29*time.Minute || took > 10*time.Hour+40*time.Minute {
		t.Errorf("published after %v", took)
	}
}

// A video is public only once it is safe: while a backup is down the life says
// so, to operators and to readers of the catalog.
func TestStoreThatIsDownHoldsUpPublication(t *testing.T) {
	f := newFilm(t)
	f.world.goDown("CopyReplica")
	var during video.Status
	var details string
	f.at(time.Hour, func() { during, details = f.status(), f.details() })
	f.at(90*time.Minute, f.world.comeBack)
	f.run()
	f.renewed()
	for _, said := range []string{during.WaitingFor, details, f.world.said("backup-a")} {
		if !strings.Contains(said, "backup-a, which is down since ") || !strings.Contains(said, "backup-b, which is down since ") {
			t.Errorf("after an hour it says %q", said)
		}
	}
	if during.Stage != video.Publishing || f.world.last().WaitingFor != "" {
		t.Errorf("stood at %+v, then the catalog says %+v", during, f.world.last())
	}
	if n := f.world.count("CopyReplica"); n > 60 {
		t.Errorf("asked %d times in 90 minutes", n)
	}
}

// Whoever sets a life aside is told until when with the answer; whoever takes it
// up again leaves nothing of that behind.
func TestDeadlineOfALifeSetAside(t *testing.T) {
	for _, how := range []struct {
		stage   video.Stage
		request video.CommandRequest
		back    video.Command
		rest    time.Duration
	}{
		{video.Draft, video.CommandRequest{KeepDraft: true}, video.Resume, 7 * 24 * time.Hour},
		{video.Canceled, video.CommandRequest{}, video.Restore, time.Hour},
	} {
		t.Run(string(how.stage), func(t *testing.T) {
			f := newFilm(t)
			f.in.Policy.CancelGrace = time.Hour
			f.world.held["Probe"] = true
			var canceled, back *answer
			f.play(
				scene{"it is looked at", f.working("Probe", 1), func() { canceled = f.update(video.Cancel, how.request) }},
				scene{"it is set aside", func(video.Status) bool { return canceled.done }, func() {
					shown := f.world.last()
					if left := shown.ExpiresAt.Sub(f.Now()); shown.Stage != how.stage || left < how.rest-time.Minute || left > how.rest || shown.WaitingFor == "" {
						t.Errorf("shown with the answer: %+v", shown)
					}
					f.world.change(func() { f.world.held["Probe"], f.world.slow["Probe"] = false, 200*time.Millisecond })
					back = f.update(how.back)
				}},
				scene{"it is back", func(video.Status) bool { return back.done }, func() {
					if shown := f.world.last(); !shown.ExpiresAt.IsZero() || shown.WaitingFor != "" || shown.Stage != video.Processing {
						t.Errorf("shown after that: %+v", shown)
					}
				}},
			)
			if f.world.count("Publish") != 1 {
				t.Errorf("did %v", f.world.did)
			}
		})
	}
}

// What is waited for is said as it is: no worker, another store, or the work itself; never
// that a store is down which nobody has asked.
func TestTrueCauseOfAWait(t *testing.T) {
	for cause, c := range map[string]struct {
		failure func() error
		says    string
	}{
		"no worker takes it": {func() error { return temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil) }, "a transfer worker: none has taken the work since "},
		"the primary is down": {func() error {
			return temporal.NewApplicationErrorWithOptions("as arranged", string(video.Unavailable), temporal.ApplicationErrorOptions{Details: []any{"primary"}})
		}, "primary, which is down since "},
		"the work fails": {func() error { return coded(video.Internal) }, "another attempt: copy to backup-a, which has failed since "},
	} {
		t.Run(cause, func(t *testing.T) {
			f := newFilm(t)
			f.world.fail["CopyReplica"] = func(int) error { return c.failure() }
			f.at(time.Hour, func() {
				if s, shown := f.status(), f.world.last(); !strings.Contains(s.WaitingFor, c.says) || strings.Contains(s.WaitingFor, "backup-a, which is down") || shown.WaitingFor != s.WaitingFor {
					t.Errorf("it says %q, the catalog %q", s.WaitingFor, shown.WaitingFor)
				}
				f.world.change(func() { clear(f.world.fail) })
			})
			f.run()
			f.renewed()
			if shown := f.world.last(); shown.WaitingFor != "" {
				t.Errorf("in the end the catalog says %q", shown.WaitingFor)
			}
		})
	}
}

// A cancel given to a run that stands in a draft while its rows are published means
// nothing there: the video stays public.
func TestCancelOfADraftThatIsPublishedByItsRows(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Draft)
	f.in.Carried.ExpiresAt = f.Now().Add(100 * time.Hour)
	f.world.row, f.world.further = ControlRow{Epoch: 40}, &video.Carried{State: video.State{Stage: video.Published}, Uploaded: true}
	f.at(time.Minute, func() { f.SignalWorkflow(string(video.Cancel), nil) })
	f.at(2*time.Hour, func() {
		if s := f.status(); s.Stage != video.Published || s.Ending != "" || f.world.count("Hide") != 0 {
			t.Errorf("%+v; did %v", s, f.world.did)
		}
		f.SignalWorkflow(string(video.Delete), nil)
	})
	f.run()
	f.receipt()
}

// A legal hold that a run has not heard of, because Temporal was restored from a backup, is
// in the row: it stops the purge all the same.
func TestHoldThatOnlyTheRowKnows(t *testing.T) {
	f := newFilm(t)
	f.carry(video.Published)
	f.in.Policy.DeleteGrace = 0
	f.world.row.Held = true
	f.world.fail["DestroyKey"] = func(int) error {
		if f.world.rowIsHeld() {
			return coded(video.Conflict)
		}
		return nil
	}
	f.at(time.Minute, func() { f.SignalWorkflow(string(video.Delete), nil) })
	f.at(5*time.Hour, func() {
		f.world.mu.Lock()
		erased := f.world.erased
		f.world.mu.Unlock()
		if s := f.status(); erased || !strings.Contains(s.WaitingFor, "legal hold") || !canBe(s, video.Release) {
			t.Errorf("erased %v: %+v", erased, s)
		}
		f.update(video.Release)
	})
	f.run()
	f.receipt()
}

// Waiting for the right catalog uses up nothing of the day for which work may fail.
func TestUnknownIsNoFailingWork(t *testing.T) {
	f := newFilm(t)
	f.world.unknown = true
	f.at(50*time.Hour, func() {
		f.world.change(func() {
			f.world.unknown = false
			f.world.fail["Probe"] = func(attempt int) error {
				if attempt <= 5 {
					return coded(video.Internal)
				}
				return nil
			}
		})
	})
	f.run()
	if f.renewed(); f.world.count("Publish") != 1 {
		t.Errorf("did %v", f.world.did)
	}
}
