package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/video"
)

// server is a namespace of a real Temporal server, with workers in a world of fakes.
type server struct {
	client    client.Client
	namespace string
	worlds    worlds
	workers   []worker.Worker
}

// namespaces gives every test a namespace of its own, so that it may stop its
// workers without harm to the others.
type namespaces struct{ address string }

func startTemporal(t *testing.T) *namespaces {
	t.Helper()
	return &namespaces{devstacktest.Start(t, devstacktest.Temporal).Temporal}
}

func (n *namespaces) open(t *testing.T, name string) *server {
	t.Helper()
	ctx := t.Context()
	nc, err := client.NewNamespaceClient(client.Options{HostPort: n.address, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	err = nc.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{namespace: name, worlds: worlds{all: map[video.ID]*world{}}}
	if s.client, err = client.DialContext(ctx, client.Options{
		HostPort: n.address, Namespace: name, Logger: quiet{}, Identity: "client",
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	patient(t, "search attributes", func() error {
		_, err := s.client.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: name, SearchAttributes: map[string]enumspb.IndexedValueType{
				video.StageAttribute: enumspb.INDEXED_VALUE_TYPE_KEYWORD, video.OwnerAttribute: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
				video.PausedAttribute: enumspb.INDEXED_VALUE_TYPE_BOOL, video.OverdueAttribute: enumspb.INDEXED_VALUE_TYPE_BOOL,
				video.TroubleAttribute: enumspb.INDEXED_VALUE_TYPE_BOOL,
			}})
		return err
	})
	s.employ(t, worker.Options{})
	t.Cleanup(s.dismiss)
	return s
}

// patient tries until it succeeds; half a minute is too long.
func patient(t *testing.T, what string, try func() error) {
	t.Helper()
	err := errors.New("not tried")
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// employ starts workers on all queues.
func (s *server) employ(t *testing.T, options worker.Options) {
	t.Helper()
	options.Interceptors, options.Identity = Interceptors(), "worker"
	for _, queue := range []string{video.ControlQueue, video.TransferQueue, video.MediaQueue} {
		w := worker.New(s.client, queue, options)
		if !options.LocalActivityWorkerOnly {
			s.worlds.register(w)
		}
		if queue == video.ControlQueue && !options.DisableWorkflowWorker {
			Register(w)
		}
		if queue != video.ControlQueue && options.LocalActivityWorkerOnly {
			continue
		}
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		s.workers = append(s.workers, w)
	}
}

func (s *server) dismiss() {
	var all sync.WaitGroup
	for _, w := range s.workers {
		all.Go(w.Stop)
	}
	all.Wait()
	s.workers = nil
}

// worlds holds one world for each video.
type worlds struct {
	mu  sync.Mutex
	all map[video.ID]*world
}

func (ws *worlds) of(id video.ID) *world {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all[id] == nil {
		ws.all[id] = newWorld()
		ws.all[id].beats = true
	}
	return ws.all[id]
}

func (ws *worlds) register(w worker.ActivityRegistry) {
	for name, run := range map[string]any{
		"Control":      func(c context.Context, in ControlInput) (ControlRow, error) { return ws.of(in.ID).Control(c, in) },
		"ReadControl":  func(c context.Context, in Leg) (ControlRow, error) { return ws.of(in.ID).ReadControl(c, in) },
		"CheckUpload":  func(c context.Context, in CheckInput) (UploadState, error) { return ws.of(in.ID).CheckUpload(c, in) },
		"SealUpload":   func(c context.Context, in Leg) (Sealed, error) { return ws.of(in.ID).SealUpload(c, in) },
		"MergeUpload":  func(c context.Context, in Leg) error { return ws.of(in.ID).MergeUpload(c, in) },
		"Probe":        func(c context.Context, in Leg) (Probed, error) { return ws.of(in.ID).Probe(c, in) },
		"EncodePiece":  func(c context.Context, in PieceInput) (Probed, error) { return ws.of(in.ID).EncodePiece(c, in) },
		"EncodeAudio":  func(c context.Context, in Leg) (Probed, error) { return ws.of(in.ID).EncodeAudio(c, in) },
		"Package":      func(c context.Context, in Leg) (Probed, error) { return ws.of(in.ID).Package(c, in) },
		"CopyAhead":    func(c context.Context, in CopyInput) error { return ws.of(in.ID).CopyAhead(c, in) },
		"CopyReplica":  func(c context.Context, in StoreInput) error { return ws.of(in.ID).CopyReplica(c, in) },
		"Hide":         func(c context.Context, in HideInput) (Hidden, error) { return ws.of(in.ID).Hide(c, in) },
		"Publish":      func(c context.Context, in PublishInput) error { return ws.of(in.ID).Publish(c, in) },
		"DestroyKey":   func(c context.Context, in DestroyInput) error { return ws.of(in.ID).DestroyKey(c, in) },
		"PurgeReplica": func(c context.Context, in StoreInput) error { return ws.of(in.ID).PurgeReplica(c, in) },
		"CloseReceipt": func(c context.Context, in DestroyInput) (video.ReceiptSummary, error) {
			return ws.of(in.ID).CloseReceipt(c, in)
		},
	} {
		w.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: name})
	}
}

// tale is one life on a real server.
type tale struct {
	t     *testing.T
	s     *server
	in    video.LifecycleInput
	world *world
	run   client.WorkflowRun
}

func (s *server) tale(t *testing.T) *tale {
	id := video.NewID()
	return &tale{t: t, s: s, world: s.worlds.of(id), in: video.LifecycleInput{
		ID: id, Owner: "5f0c", Primary: "primary", Backups: []string{"backup-a", "backup-b"},
		Policy: video.Policy{
			OverdueAfter: 24 * time.Hour, DraftTTL: 7 * 24 * time.Hour, RejectedTTL: time.Hour, UploadIdle: 24 * time.Hour,
		},
	}}
}

// begin starts the life as the gateway does.
func (l *tale) begin() *tale {
	l.t.Helper()
	run, err := l.s.client.ExecuteWorkflow(l.t.Context(), client.StartWorkflowOptions{
		ID: l.in.ID.WorkflowID(), TaskQueue: video.ControlQueue, StaticSummary: "the life of one video",
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			stageAttribute.ValueSet(string(video.Uploading)), pausedAttribute.ValueSet(false), overdueAttribute.ValueSet(false), troubleAttribute.ValueSet(false),
			temporal.NewSearchAttributeKeyKeyword(video.OwnerAttribute).ValueSet(l.in.Owner)),
	}, video.LifecycleWorkflow, l.in)
	if err != nil {
		l.t.Fatal(err)
	}
	l.run = run
	return l
}

// uploaded starts the life and says that every byte is stored.
func (l *tale) uploaded() *tale {
	l.t.Helper()
	l.begin().signal(video.UploadedSignal)
	return l
}

// holding starts the life and waits until it is at work that doesn't end.
func (l *tale) holding(what string, n int) *tale {
	l.t.Helper()
	l.world.change(func() { l.world.held[what] = true })
	l.uploaded()
	l.until(what, func(video.Status) bool { return l.world.busy(what) == n })
	return l
}

func (l *tale) letGo() { l.world.change(func() { clear(l.world.held) }) }

func (l *tale) signal(name string, payload ...any) {
	l.t.Helper()
	var arg any
	if len(payload) > 0 {
		arg = payload[0]
	}
	if name == string(keep) {
		name, arg = string(video.Cancel), video.CommandRequest{KeepDraft: true}
	}
	if err := l.s.client.SignalWorkflow(l.t.Context(), l.in.ID.WorkflowID(), "", name, arg); err != nil {
		l.t.Fatalf("signal %s: %v", name, err)
	}
}

func (l *tale) update(c video.Command, args ...any) (status video.Status, err error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	handle, err := l.s.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: l.in.ID.WorkflowID(), UpdateName: string(c), Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &status)
	}
	return status, err
}

// must is an update that may not be refused.
func (l *tale) must(c video.Command, args ...any) video.Status {
	l.t.Helper()
	s, err := l.update(c, args...)
	if err != nil {
		l.t.Fatalf("%s: %v", c, err)
	}
	return s
}

func (l *tale) status() video.Status {
	l.t.Helper()
	s, err := l.ask()
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func (l *tale) ask() (s video.Status, err error) {
	v, err := l.s.client.QueryWorkflow(l.t.Context(), l.in.ID.WorkflowID(), "", video.StatusQuery)
	if err == nil {
		err = v.Get(&s)
	}
	return s, err
}

func (l *tale) until(what string, so func(video.Status) bool) video.Status {
	l.t.Helper()
	var s video.Status
	patient(l.t, what, func() (err error) {
		if s, err = l.ask(); err == nil && !so(s) {
			err = fmt.Errorf("stands at %+v", s)
		}
		return err
	})
	return s
}

func (l *tale) arrives(stage video.Stage) video.Status {
	l.t.Helper()
	return l.until(string(stage), func(s video.Status) bool { return s.Stage == stage })
}

// receipt waits for the end of the life, over all its runs.
func (l *tale) receipt() (r video.ReceiptSummary) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	if err := l.s.client.GetWorkflow(ctx, l.in.ID.WorkflowID(), "").Get(ctx, &r); err != nil {
		l.t.Fatalf("the life did not end with a receipt: %v", err)
	}
	d, err := l.s.client.DescribeWorkflowExecution(ctx, l.in.ID.WorkflowID(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	if s := d.GetWorkflowExecutionInfo().GetStatus(); s != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		l.t.Fatalf("closed as %v", s)
	}
	if r.VideoSHA256 != l.in.ID.Hash() {
		l.t.Fatalf("receipt of another video: %+v", r)
	}
	return r
}

func (l *tale) ends(reason video.Ending) {
	l.t.Helper()
	if r := l.receipt(); r.Reason != reason {
		l.t.Errorf("ended as %q, want %q", r.Reason, reason)
	}
}

// details are the current details, as the Temporal UI shows them.
func (l *tale) details() string {
	l.t.Helper()
	v, err := l.s.client.QueryWorkflow(l.t.Context(), l.in.ID.WorkflowID(), "", "__temporal_workflow_metadata")
	if err != nil {
		l.t.Fatal(err)
	}
	var m sdkpb.WorkflowMetadata
	if err := v.Get(&m); err != nil {
		l.t.Fatal(err)
	}
	return m.GetCurrentDetails()
}

// runs lists the ids of the life's runs, first to last.
func (l *tale) runs() (ids []string) {
	l.t.Helper()
	for id := l.run.GetRunID(); id != ""; {
		ids = append(ids, id)
		next := ""
		for _, e := range l.history(id).GetEvents() {
			next = e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
		}
		id = next
	}
	return ids
}

func (l *tale) history(run string) *historypb.History {
	l.t.Helper()
	return l.historyOf(l.in.ID.WorkflowID(), run)
}

func (l *tale) historyOf(id, run string) *historypb.History {
	l.t.Helper()
	h := &historypb.History{}
	events := l.s.client.GetWorkflowHistory(l.t.Context(), id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			l.t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	return h
}

// refusedWith checks the code and the words of a refusal.
func refusedWith(t *testing.T, err error, code video.Code, words ...string) {
	t.Helper()
	refusal, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || refusal.Type() != string(code) {
		t.Errorf("got %v, want a refusal with %s", err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(refusal.Message(), w) {
			t.Errorf("the refusal does not say %q: %s", w, refusal.Message())
		}
	}
}

func isNotFound(err error) bool {
	_, missing := errors.AsType[*serviceerror.NotFound](err)
	return missing
}
