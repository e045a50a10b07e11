package workflows

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/reelflow/reelflow/video"
)

// world is the outside world of a test: it keeps a control row and a ledger as
// the real one does, remembers what was done, and can hold an activity up.
type world struct {
	mu       sync.Mutex
	row      ControlRow
	shown    ControlInput
	unknown  bool           // neither catalog nor ledger knows the video
	further  *video.Carried // where the rows stand, if that is further than the run
	waits    []string       // all that was ever shown to be waited for
	torn     []ControlInput // rows of a draft that ends: uploads would be taken for open
	did      []string
	running  map[string]int
	held     map[string]bool                    // activities that run until they are told to stop
	deaf     bool                               // those don't stop when they are told
	late     bool                               // those complete all the same when they are told
	beats    bool                               // those heartbeat
	erased   bool                               // the ledger knows the video
	closed   bool                               // and the catalog has forgotten it
	down     map[string]bool                    // activities that find their store down
	slow     map[string]time.Duration           // activities that take their time
	peak     map[string]int                     // how many ran at once
	fail     map[string]func(attempt int) error // what goes wrong
	attempts map[string]int
	plan     video.Plan
	rejected *video.Rejection
	refused  *video.Rejection // by Import
	short    bool             // the upload lies in many short segments
	idle     UploadState
	purged   map[string]bool
	keeps    func(store string) error // why a store lets nothing be purged; called with mu held
}

func newWorld() *world {
	return &world{
		running: map[string]int{}, held: map[string]bool{}, attempts: map[string]int{},
		fail: map[string]func(int) error{}, purged: map[string]bool{}, down: map[string]bool{},
		slow: map[string]time.Duration{}, peak: map[string]int{},
		plan: video.Plan{Pieces: 3, Renditions: 2, Audio: true},
	}
}

// do is the body of every activity.
func (w *world) do(ctx context.Context, what string, leg Leg) error {
	w.mu.Lock()
	w.did = append(w.did, what)
	w.attempts[what]++
	attempt, held, fail, down := w.attempts[what], w.held[what], w.fail[what], w.down[what]
	w.running[what]++
	w.peak[what] = max(w.peak[what], w.running[what])
	slow := w.slow[what]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.running[what]--
		w.mu.Unlock()
	}()
	time.Sleep(slow)
	if held {
		return w.hold(ctx, leg)
	}
	switch {
	case down:
		return coded(video.Unavailable)
	case w.isUnknown() && !slices.Contains([]string{"Control", "ReadControl", "PurgeReplica", "CloseReceipt"}, what):
		return coded(video.NotFound)
	case w.knownErased() && !slices.Contains(wayOut, what):
		return coded(video.Gone)
	}
	if fail != nil {
		return fail(attempt)
	}
	return nil
}

// hold works until it is told to stop, by its context or because the control row
// has fenced it off. The SDK's environment tells only whoever heartbeats, and
// throttles that to once in eight seconds: there the one heartbeat is kept for
// the moment when the row says so.
func (w *world) hold(ctx context.Context, leg Leg) error {
	rest := time.Millisecond
	for told := false; !told || w.isDeaf(); time.Sleep(rest) {
		if w.beats {
			rest = 5 * time.Millisecond
			activity.RecordHeartbeat(ctx)
		}
		told = told || ctx.Err() != nil || w.fenced(leg)
	}
	if !w.beats {
		activity.RecordHeartbeat(ctx)
	}
	w.mu.Lock()
	late := w.late
	w.mu.Unlock()
	if late {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return coded(video.Conflict)
	}
}

// wayOut are the activities that a video in the ledger may still need.
var wayOut = []string{"Control", "ReadControl", "Hide", "DestroyKey", "PurgeReplica", "CloseReceipt"}

func (w *world) knownErased() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.erased
}

func (w *world) isUnknown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unknown
}

func (w *world) isDeaf() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deaf
}

// change does something to the world while others look at it.
func (w *world) change(how func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how()
}

func (w *world) goDown(what string) { w.change(func() { w.down[what] = true }) }

func (w *world) comeBack() { w.change(func() { clear(w.down) }) }

// last is what readers of the catalog see.
func (w *world) last() ControlInput {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shown
}

// said is the longest that readers of the catalog were told about something.
func (w *world) said(about string) (longest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range w.waits {
		if strings.Contains(said, about) && len(said) > len(longest) {
			longest = said
		}
	}
	return longest
}

// most is how many of an activity ran at once.
func (w *world) most(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak[what]
}

// busy counts activities that run right now.
func (w *world) busy(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[what]
}

func (w *world) fenced(leg Leg) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.row.Epoch > leg.Epoch
}

func (w *world) rowIsHeld() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.row.Held
}

func (w *world) epoch() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.row.Epoch
}

func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts[what]
}

func (w *world) Control(ctx context.Context, in ControlInput) (ControlRow, error) {
	err := w.do(ctx, "Control", in.Leg)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ControlRow{Epoch: in.Epoch, Ending: video.ByDeletion, Erased: true}, err
	case w.unknown:
		return ControlRow{Epoch: in.Epoch, Unknown: true}, nil
	case w.further != nil && (in.Epoch < w.row.Epoch || in.Fences && in.Epoch == w.row.Epoch):
		further := *w.further
		further.Epoch = w.row.Epoch
		return ControlRow{Epoch: w.row.Epoch, Ending: w.row.Ending, Further: &further}, nil
	}
	if err == nil && in.Epoch >= w.row.Epoch {
		w.row.Epoch, w.shown = in.Epoch, in
		if in.Draft && in.Ending != "" {
			w.torn = append(w.torn, in)
		}
		if in.HoldSaid {
			w.row.Held = in.Held
		}
		w.waits = append(w.waits, in.WaitingFor)
		if w.row.Ending != video.ByDeletion {
			w.row.Ending = in.Ending
		}
	}
	return w.row, err
}

func (w *world) ReadControl(ctx context.Context, leg Leg) (ControlRow, error) {
	err := w.do(ctx, "ReadControl", leg)
	w.mu.Lock()
	defer w.mu.Unlock()
	row := w.row
	if w.further != nil && leg.Epoch < row.Epoch {
		further := *w.further
		further.Epoch, row.Further = row.Epoch, &further
	}
	return row, err
}

func (w *world) CheckUpload(ctx context.Context, in CheckInput) (UploadState, error) {
	err := w.do(ctx, "CheckUpload", in.Leg)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.idle, err
}

func (w *world) Import(ctx context.Context, leg Leg) (Imported, error) {
	return Imported{Rejected: w.refused}, w.do(ctx, "Import", leg)
}

func (w *world) SealUpload(ctx context.Context, leg Leg) (Sealed, error) {
	return Sealed{ShortSegments: w.short}, w.do(ctx, "SealUpload", leg)
}

func (w *world) MergeUpload(ctx context.Context, leg Leg) error { return w.do(ctx, "MergeUpload", leg) }

func (w *world) Probe(ctx context.Context, leg Leg) (Probed, error) {
	return Probed{Plan: w.plan, Rejected: w.rejected}, w.do(ctx, "Probe", leg)
}

func (w *world) EncodePiece(ctx context.Context, in PieceInput) (Probed, error) {
	return Probed{}, w.do(ctx, "EncodePiece", in.Leg)
}

func (w *world) EncodeAudio(ctx context.Context, leg Leg) (Probed, error) {
	return Probed{}, w.do(ctx, "EncodeAudio", leg)
}

func (w *world) Package(ctx context.Context, leg Leg) (Probed, error) {
	return Probed{}, w.do(ctx, "Package", leg)
}

func (w *world) CopyAhead(ctx context.Context, in CopyInput) error {
	return w.do(ctx, "CopyAhead", in.Leg)
}

func (w *world) CopyReplica(ctx context.Context, in StoreInput) error {
	return at(in.Store, w.do(ctx, "CopyReplica", in.Leg))
}

func (w *world) Publish(ctx context.Context, in PublishInput) error {
	return w.do(ctx, "Publish", in.Leg)
}

func (w *world) Hide(ctx context.Context, in HideInput) (Hidden, error) {
	err := w.asked(in.Asked, w.do(ctx, "Hide", in.Leg))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = ControlInput{Leg: in.Leg, State: video.State{Stage: video.PendingDeletion, Ending: video.ByDeletion}}
	return Hidden{HiddenAt: in.HiddenAt, PurgeAt: in.HiddenAt.Add(in.Grace)}, err
}

func (w *world) DestroyKey(ctx context.Context, in DestroyInput) error {
	err := w.asked(in.Asked, w.do(ctx, "DestroyKey", in.Leg))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.erased = w.erased || err == nil
	return err
}

func (w *world) PurgeReplica(ctx context.Context, in StoreInput) error {
	err := at(in.Store, w.do(ctx, "PurgeReplica", in.Leg))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.keeps != nil {
		err = w.keeps(in.Store)
	}
	w.purged[in.Store] = err == nil
	return err
}

func (w *world) CloseReceipt(ctx context.Context, in DestroyInput) (video.ReceiptSummary, error) {
	receipt := video.ReceiptSummary{VideoSHA256: in.ID.Hash(), Reason: in.Reason, HiddenAt: in.HiddenAt}
	err := w.do(ctx, "CloseReceipt", in.Leg)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = w.closed || err == nil
	return receipt, err
}

var _ Activities = (*world)(nil)

// film is a life in the SDK's test environment.
type film struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	world *world
	in    video.LifecycleInput

	silent  bool // the gateway never says that the upload is complete
	updates int
}

func newFilm(t *testing.T) *film {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	f := &film{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, world: newWorld(), in: video.LifecycleInput{
		ID: video.NewID(), Owner: "owner", Primary: "primary", Backups: []string{"backup-a", "backup-b"},
		Policy: video.Policy{
			DeleteGrace: time.Hour, OverdueAfter: 24 * time.Hour, DraftTTL: 7 * 24 * time.Hour,
			RejectedTTL: time.Hour, UploadIdle: 24 * time.Hour,
		},
	}}
	f.SetWorkerOptions(worker.Options{Interceptors: Interceptors()})
	f.SetTestTimeout(20 * time.Second)
	f.SetWorkflowRunTimeout(365 * 24 * time.Hour)
	w := f.world
	t.Cleanup(func() {
		if len(w.torn) > 0 {
			t.Errorf("rows say that a video ends and is kept as a draft: %+v", w.torn)
		}
	})
	for name, run := range map[string]any{
		"Control": w.Control, "ReadControl": w.ReadControl, "CheckUpload": w.CheckUpload, "Import": w.Import, "SealUpload": w.SealUpload, "MergeUpload": w.MergeUpload, "Probe": w.Probe,
		"EncodePiece": w.EncodePiece, "EncodeAudio": w.EncodeAudio, "Package": w.Package, "CopyAhead": w.CopyAhead, "CopyReplica": w.CopyReplica,
		"Publish": w.Publish, "Hide": w.Hide, "DestroyKey": w.DestroyKey, "PurgeReplica": w.PurgeReplica, "CloseReceipt": w.CloseReceipt,
	} {
		f.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: name})
	}
	f.RegisterWorkflow(Lifecycle)
	f.at(0, func() {
		if !f.silent {
			f.SignalWorkflow(video.UploadedSignal, nil)
		}
	})
	return f
}

// at runs a step at a time after the start, in the clock of the environment.
func (f *film) at(d time.Duration, step func()) { f.RegisterDelayedCallback(step, d) }

func (f *film) run() { f.ExecuteWorkflow(Lifecycle, f.in) }

// scene is a moment to wait for, and what happens then.
type scene struct {
	what string
	when func(video.Status) bool
	then func()
}

func (f *film) letGo() { f.world.change(func() { clear(f.world.held) }) }

// play runs a life through scenes, one after the other. Each moment must come
// without much time passing in the clock of the environment.
func (f *film) play(scenes ...scene) {
	f.t.Helper()
	var look func()
	looks := 0
	look = func() {
		if len(scenes) == 0 {
			return
		}
		if looks++; looks > 4000 {
			f.t.Fatalf("never came: %s; %+v", scenes[0].what, f.status())
		}
		if _, err := f.QueryWorkflow(video.StatusQuery); err != nil {
			f.at(2*time.Millisecond, look) // the life has not begun yet
			return
		}
		if scenes[0].when(f.status()) {
			then := scenes[0].then
			scenes, looks = scenes[1:], 0
			if then != nil {
				then()
			}
		}
		f.at(2*time.Millisecond, look)
	}
	f.at(time.Millisecond, look)
	f.run()
	if len(scenes) > 0 {
		f.t.Fatalf("the life ended before: %s (%v)", scenes[0].what, f.GetWorkflowError())
	}
}

// carry begins a life in a later stage, as after continue-as-new.
func (f *film) carry(stage video.Stage) {
	f.in.Carried = &video.Carried{State: video.State{Stage: stage}, Epoch: 10, Plan: f.world.plan}
}

func (f *film) status() video.Status {
	f.t.Helper()
	v, err := f.QueryWorkflow(video.StatusQuery)
	if err != nil {
		f.t.Fatal(err)
	}
	var s video.Status
	if err := v.Get(&s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// answer collects what an update came to.
type answer struct {
	accepted, done bool
	refusal        error
	status         video.Status
}

func (f *film) update(c video.Command, request ...any) *answer {
	a := &answer{}
	f.updates++
	f.UpdateWorkflow(string(c), fmt.Sprint("update ", f.updates), &testsuite.TestUpdateCallback{
		OnAccept: func() { a.accepted = true },
		OnReject: func(err error) { a.done, a.refusal = true, err },
		OnComplete: func(result any, err error) {
			a.done, a.refusal = true, err
			if s, ok := result.(video.Status); ok {
				a.status = s
			}
		},
	}, request...)
	return a
}

func (f *film) receipt() video.ReceiptSummary {
	f.t.Helper()
	if !f.IsWorkflowCompleted() {
		f.t.Fatal("the life has not ended")
	}
	if err := f.GetWorkflowError(); err != nil {
		f.t.Fatalf("the life has failed: %v", err)
	}
	var r video.ReceiptSummary
	if err := f.GetWorkflowResult(&r); err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (w *world) order(names ...string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var seen []string
	for _, d := range w.did {
		if slices.Contains(names, d) && !slices.Contains(seen, d) {
			seen = append(seen, d)
		}
	}
	return seen
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func coded(code video.Code) error {
	return temporal.NewApplicationErrorWithOptions("as arranged", string(code), temporal.ApplicationErrorOptions{NonRetryable: code.Permanent()})
}

// asked lets a person's deletion of a video that nobody knows go on.
func (w *world) asked(asked bool, err error) error {
	if e, ok := err.(*temporal.ApplicationError); ok && asked && e.Type() == string(video.NotFound) {
		return nil
	}
	return err
}

// at names the store that is down.
func at(store string, err error) error {
	if e, ok := err.(*temporal.ApplicationError); ok && e.Type() == string(video.Unavailable) && !e.HasDetails() {
		return temporal.NewApplicationErrorWithOptions("as arranged", e.Type(), temporal.ApplicationErrorOptions{Details: []any{store}})
	}
	return err
}

func dataConverter() converter.DataConverter { return converter.GetDefaultDataConverter() }

// details are what the Temporal UI shows as current details.
func (f *film) details() string {
	f.t.Helper()
	v, err := f.QueryWorkflow("__temporal_workflow_metadata")
	if err != nil {
		f.t.Fatal(err)
	}
	var m sdkpb.WorkflowMetadata
	if err := v.Get(&m); err != nil {
		f.t.Fatal(err)
	}
	return m.GetCurrentDetails()
}
