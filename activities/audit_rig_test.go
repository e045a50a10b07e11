package activities

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// auditRig is an installation of its own: a catalog, a vault, stores in memory, and a
// namespace of a real Temporal server in which the real Audit runs, beside lives that
// do nothing but wait for signals.
type auditRig struct {
	*Activities
	t       *testing.T
	ctx     context.Context
	path    string // of the catalog
	name    string // of the namespace
	primary *objectstest.Memory
	client  client.Client
}

func newAuditRig(t *testing.T, address string) *auditRig {
	t.Helper()
	r := &auditRig{t: t, ctx: t.Context(), path: strings.TrimPrefix(catalogtest.URL(t), "sqlite://"), primary: objectstest.NewMemory("primary")}
	rows, err := catalog.Open(r.ctx, "sqlite://"+r.path)
	r.must(err)
	t.Cleanup(func() { rows.Close() })
	r.namespace(address)
	r.Activities = &Activities{
		Catalog: rows, Vault: vaulttest.New(t), Temporal: r.client, Log: slog.New(slog.DiscardHandler),
		Stores: objects.Set{Primary: r.primary, Backups: []objects.Store{objectstest.NewMemory("backup-a")}},
		Policy: video.Policy{DeleteGrace: time.Hour, OverdueAfter: 24 * time.Hour, UploadIdle: 5 * time.Hour, PublishDelay: time.Minute},
	}
	w := worker.New(r.client, video.ControlQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(workflows.Audit, workflow.RegisterOptions{Name: video.AuditWorkflow})
	w.RegisterWorkflowWithOptions(waiting, workflow.RegisterOptions{Name: video.LifecycleWorkflow})
	w.RegisterActivityWithOptions(func(ctx context.Context) (workflows.AuditReport, error) {
		report, err := r.Audit(ctx)
		if err != nil {
			err = failure(err)
		}
		return report, err
	}, activity.RegisterOptions{Name: "Audit"})
	r.must(w.Start())
	t.Cleanup(w.Stop)
	return r
}

// waiting stands for a life.
func waiting(ctx workflow.Context, in video.LifecycleInput) error {
	end, over := workflow.NewSelector(ctx), error(nil)
	for _, way := range []struct {
		signal string
		result error
	}{
		{string(video.Delete), nil},
		{"fail", temporal.NewNonRetryableApplicationError("failed", "", nil)},
		{"again", workflow.NewContinueAsNewError(ctx, video.LifecycleWorkflow, in)},
	} {
		end.AddReceive(workflow.GetSignalChannel(ctx, way.signal), func(c workflow.ReceiveChannel, _ bool) {
			c.Receive(ctx, nil)
			over = way.result
		})
	}
	end.AddReceive(workflow.GetSignalChannel(ctx, "break"), func(workflow.ReceiveChannel, bool) { panic("a bad release") })
	end.Select(ctx)
	return over
}

func (r *auditRig) namespace(address string) {
	r.t.Helper()
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	nc, err := client.NewNamespaceClient(client.Options{HostPort: address, Logger: quiet})
	r.must(err)
	defer nc.Close()
	r.name = string(video.NewID())
	r.must(nc.Register(r.ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: r.name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}))
	r.client, err = client.DialContext(r.ctx, client.Options{HostPort: address, Namespace: r.name, Logger: quiet})
	r.must(err)
	r.t.Cleanup(r.client.Close)
	r.patient("search attributes", func() error {
		_, err := r.client.OperatorService().AddSearchAttributes(r.ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: r.name, SearchAttributes: map[string]enums.IndexedValueType{
				video.StageAttribute: enums.INDEXED_VALUE_TYPE_KEYWORD, video.OwnerAttribute: enums.INDEXED_VALUE_TYPE_KEYWORD,
				video.PausedAttribute: enums.INDEXED_VALUE_TYPE_BOOL, video.OverdueAttribute: enums.INDEXED_VALUE_TYPE_BOOL,
				video.TroubleAttribute: enums.INDEXED_VALUE_TYPE_BOOL,
			}})
		return err
	})
}

func (r *auditRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// patient tries until it succeeds.
func (r *auditRig) patient(what string, try func() error) {
	r.t.Helper()
	err := errors.New("not tried")
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	r.t.Fatalf("%s: %v", what, err)
}

// row makes a video at a stage; change may be nil.
func (r *auditRig) row(stage video.Stage, epoch int64, change func(*catalog.Control, *catalog.Video)) video.ID {
	r.t.Helper()
	id := video.NewID()
	r.must(r.Vault.Make(r.ctx, id))
	r.must(r.Catalog.CreateVideo(r.ctx, catalog.Video{ID: id, Owner: "5f0c", Visibility: "public", Stage: stage},
		catalog.Upload{Video: id, TokenHash: []byte(id), Length: -1, Idle: time.Hour}))
	if epoch == 0 {
		return id
	}
	want, changed := catalog.Control{Video: id, Epoch: epoch}, catalog.Video{Stage: stage}
	if change != nil {
		change(&want, &changed)
	}
	_, err := r.Catalog.Control(r.ctx, want, func(v *catalog.Video) {
		if change != nil {
			change(&catalog.Control{}, v)
		}
	})
	r.must(err)
	return id
}

// begin starts a life as a gateway does, in which the stage shows.
func (r *auditRig) begin(id video.ID, stage video.Stage) {
	r.t.Helper()
	_, err := r.client.ExecuteWorkflow(r.ctx, client.StartWorkflowOptions{
		ID: id.WorkflowID(), TaskQueue: video.ControlQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword(video.StageAttribute).ValueSet(string(stage))),
	}, video.LifecycleWorkflow, video.LifecycleInput{ID: id})
	r.must(err)
}

// audited runs the audit and gives its report.
func (r *auditRig) audited() (report workflows.AuditReport) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Minute)
	defer cancel()
	run, err := r.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: video.AuditSchedule, TaskQueue: video.ControlQueue}, video.AuditWorkflow)
	r.must(err)
	r.must(run.Get(ctx, &report))
	return report
}

// attempt is one attempt at the audit, which nothing tries again.
func (r *auditRig) attempt() (report workflows.AuditReport, err error) {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(r.Log))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(r.Audit)
	result, err := env.ExecuteActivity(r.Audit)
	if err == nil {
		err = result.Get(&report)
	}
	return report, err
}

// reports compares a report with what is wanted.
func (r *auditRig) reports(want workflows.AuditReport) {
	r.t.Helper()
	got, wanted := fmt.Sprintf("%+v", r.audited()), fmt.Sprintf("%+v", want)
	if got != wanted {
		r.t.Errorf("reported\n%s, want\n%s", got, wanted)
	}
}

func (r *auditRig) status(id video.ID) enums.WorkflowExecutionStatus {
	r.t.Helper()
	d, err := r.client.DescribeWorkflowExecution(r.ctx, id.WorkflowID(), "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED
	}
	r.must(err)
	return d.GetWorkflowExecutionInfo().GetStatus()
}

func (r *auditRig) becomes(id video.ID, want enums.WorkflowExecutionStatus) {
	r.t.Helper()
	r.patient(fmt.Sprint("becomes ", want), func() error {
		if got := r.status(id); got != want {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// listed waits until Temporal's list shows so many executions of a query.
func (r *auditRig) listed(query string, want int) {
	r.t.Helper()
	r.patient(query, func() error {
		page, err := r.client.ListWorkflow(r.ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'Lifecycle' AND " + query})
		if err == nil && len(page.GetExecutions()) != want {
			err = fmt.Errorf("%d are listed, want %d", len(page.GetExecutions()), want)
		}
		return err
	})
}

func (r *auditRig) events(id video.ID) (all []*history.HistoryEvent) {
	r.t.Helper()
	for events := r.client.GetWorkflowHistory(r.ctx, id.WorkflowID(), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		r.must(err)
		all = append(all, e)
	}
	return all
}

// input is what the latest run was started with.
func (r *auditRig) input(id video.ID) (in video.LifecycleInput) {
	r.t.Helper()
	started := r.events(id)[0].GetWorkflowExecutionStartedEventAttributes()
	r.must(converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &in))
	if in.Carried == nil {
		r.t.Fatalf("%s was not begun again", id)
	}
	return in
}

// heard are the signals that the latest run has got.
func (r *auditRig) heard(id video.ID) (names []string) {
	r.t.Helper()
	for _, e := range r.events(id) {
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s != nil {
			names = append(names, s.GetSignalName())
		}
	}
	return names
}

// attribute is what the latest run was started with under a name.
func (r *auditRig) attribute(id video.ID, name string) string {
	r.t.Helper()
	fields := r.events(id)[0].GetWorkflowExecutionStartedEventAttributes().GetSearchAttributes().GetIndexedFields()
	return converter.GetDefaultDataConverter().ToString(fields[name])
}

func (r *auditRig) terminate(ids ...video.ID) {
	r.t.Helper()
	for _, id := range ids {
		r.must(r.client.TerminateWorkflow(r.ctx, id.WorkflowID(), "", "by hand"))
	}
}

// forget deletes an execution from Temporal.
func (r *auditRig) forget(id video.ID) {
	r.t.Helper()
	_, err := r.client.WorkflowService().DeleteWorkflowExecution(r.ctx, &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: r.name, WorkflowExecution: &common.WorkflowExecution{WorkflowId: id.WorkflowID()},
	})
	r.must(err)
	r.becomes(id, enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED)
}

func (r *auditRig) find(id video.ID) catalog.Video {
	r.t.Helper()
	v, err := r.Catalog.Video(r.ctx, id)
	r.must(err)
	return v
}

// exec changes rows behind the catalog's back.
func (r *auditRig) exec(statement string, args ...any) {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path)
	r.must(err)
	defer db.Close()
	_, err = db.Exec(statement, args...)
	r.must(err)
}
