package activities

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

const running = enums.WORKFLOW_EXECUTION_STATUS_RUNNING

func TestAudit(t *testing.T) {
	address := devstacktest.Start(t, devstacktest.Temporal).Temporal
	t.Run("all", func(t *testing.T) {
		tests := map[string]func(*auditRig){
			"terminated": (*auditRig).terminated, "terminated on the way out": (*auditRig).terminatedOnTheWayOut,
			"failed": (*auditRig).failedRun, "completed beside its row": (*auditRig).completed, "continued": (*auditRig).continued,
			"deleted from Temporal": (*auditRig).deletedExecution, "empty namespace": (*auditRig).emptyNamespace,
			"brake": (*auditRig).brake, "unstarted": (*auditRig).unstartedRows, "one bad row": (*auditRig).oneBadRow,
			"resumed": (*auditRig).resumed, "asked too much": (*auditRig).askedTooMuch, "stretches": (*auditRig).stretches,
			"closed among many": (*auditRig).closedAmongMany, "paused in Temporal": (*auditRig).pausedInTemporal,
			"unknown and risen": (*auditRig).unknownAndRisen, "unheard": (*auditRig).unheard, "behind its rows": (*auditRig).behind, "overdue": (*auditRig).overdueRows,
			"young": (*auditRig).youngRows, "stores": (*auditRig).storesWalk, "reappeared": (*auditRig).reappeared, "reappeared, untold": (*auditRig).reappearedUntold, "reappeared, locked": (*auditRig).reappearedLocked, "store down": (*auditRig).storeDown,
			"divided listings": (*auditRig).dividedListings, "vault older than the stores": (*auditRig).olderVault,
			"lost keys": (*auditRig).lostKeys,
		}
		if os.Getenv("SOAK") != "" {
			tests["broken by a release"] = (*auditRig).broken // Temporal takes most of a minute to report it
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(newAuditRig(t, address))
			})
		}
	})
}

func (r *auditRig) terminated() {
	before, after := r.row(video.Processing, 7, nil), r.row(video.Published, 9, nil)
	draft := r.row(video.Draft, 5, func(c *catalog.Control, _ *catalog.Video) { c.Draft = true })
	for _, id := range []video.ID{before, after, draft} {
		r.begin(id, "")
	}
	r.terminate(before, after, draft)
	r.reports(workflows.AuditReport{Videos: 3, Strays: 3, Begun: 3})
	for id, want := range map[video.ID]video.Carried{
		before: {State: video.State{Stage: video.Processing, Paused: true}, Epoch: 7, Stray: true},
		after:  {State: video.State{Stage: video.Published}, Epoch: 9, Stray: true},
		draft:  {State: video.State{Stage: video.Draft}, Epoch: 5, Stray: true},
	} {
		got := r.input(id).Carried
		if r.status(id) != running || got.Stage != want.Stage || got.Paused != want.Paused || got.Epoch != want.Epoch || !got.Stray || got.Ending != "" {
			r.t.Errorf("begun again with %+v, want %+v", got, want)
		}
		if v := r.find(id); !v.Stray || v.Ending != "" || !v.HiddenAt.IsZero() {
			r.t.Errorf("the row is %+v", v)
		}
	}
	in := r.input(before)
	if in.Owner != "5f0c" || in.Primary != "primary" || !slices.Equal(in.Backups, []string{"backup-a"}) || in.Policy != r.Policy {
		r.t.Errorf("begun again with %+v", in)
	}
	for name, want := range map[string]string{
		video.StageAttribute: `"processing"`, video.OwnerAttribute: `"5f0c"`, video.PausedAttribute: "true",
		video.OverdueAttribute: "false", video.TroubleAttribute: "false",
	} {
		if got := r.attribute(before, name); got != want {
			r.t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	r.reports(workflows.AuditReport{Videos: 3, Behind: 1}) // these runs write no rows: one shows a pause that its row lacks
}

// An end that somebody decided goes on, whoever terminated what.
func (r *auditRig) terminatedOnTheWayOut() {
	canceled := r.row(video.Purging, 4, func(c *catalog.Control, _ *catalog.Video) { c.Ending = video.ByCancellation })
	hidden := time.Now().Add(-10 * time.Minute).UTC().Truncate(time.Microsecond)
	promised := r.row(video.Published, 6, func(_ *catalog.Control, v *catalog.Video) { v.HiddenAt = hidden })
	for _, id := range []video.ID{canceled, promised} {
		r.begin(id, "")
	}
	r.terminate(canceled, promised)
	r.reports(workflows.AuditReport{Videos: 2, Strays: 2, Begun: 2})
	if got := r.input(canceled).Carried; got.Ending != video.ByCancellation || got.Stray || got.Paused {
		r.t.Errorf("begun again with %+v", got)
	}
	if got := r.input(promised).Carried; got.Ending != video.ByDeletion || !got.Asked || !got.HiddenAt.Equal(hidden) || got.Stray {
		r.t.Errorf("begun again with %+v", got)
	}
}

func (r *auditRig) failedRun() {
	id := r.row(video.Scheduled, 3, nil)
	r.begin(id, "")
	r.must(r.client.SignalWorkflow(r.ctx, id.WorkflowID(), "", "fail", nil))
	r.becomes(id, enums.WORKFLOW_EXECUTION_STATUS_FAILED)
	r.reports(workflows.AuditReport{Videos: 1, Strays: 1, Begun: 1})
	if got := r.input(id).Carried; !got.Stray || !got.Paused || got.Stage != video.Scheduled {
		r.t.Errorf("begun again with %+v", got)
	}
}

func (r *auditRig) completed() {
	id := r.row(video.Published, 3, nil)
	r.begin(id, "")
	r.must(r.client.SignalWorkflow(r.ctx, id.WorkflowID(), "", string(video.Delete), nil))
	r.becomes(id, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	r.reports(workflows.AuditReport{Videos: 1, Lost: 1, Begun: 1})
	if got := r.input(id).Carried; got.Stray || got.Stage != video.Published || got.Ending != "" {
		r.t.Errorf("begun again with %+v", got)
	}
}

func (r *auditRig) continued() {
	id := r.row(video.Published, 3, nil)
	r.begin(id, "")
	r.must(r.client.SignalWorkflow(r.ctx, id.WorkflowID(), "", "again", nil))
	r.listed("ExecutionStatus = 'ContinuedAsNew'", 1)
	r.reports(workflows.AuditReport{Videos: 1})
	r.terminate(id)
	r.reports(workflows.AuditReport{Videos: 1, Strays: 1, Begun: 1})
}

// Temporal lost it, or somebody deleted it there: it goes on as it was.
func (r *auditRig) deletedExecution() {
	id := r.row(video.Reviewing, 12, nil)
	r.begin(id, "")
	r.forget(id)
	r.reports(workflows.AuditReport{Videos: 1, Lost: 1, Begun: 1})
	if got := r.input(id).Carried; got.Stray || got.Paused || got.Stage != video.Reviewing || got.Epoch != 12 {
		r.t.Errorf("begun again with %+v", got)
	}
	if r.find(id).Stray {
		r.t.Error("it is listed as stray")
	}
}

func (r *auditRig) emptyNamespace() {
	stages := []video.Stage{video.Uploading, video.Processing, video.Reviewing, video.Scheduled, video.Published}
	ids := map[video.ID]int64{}
	for i, stage := range stages {
		ids[r.row(stage, int64(i+3), nil)] = int64(i + 3)
	}
	paused := r.row(video.Processing, 20, func(c *catalog.Control, _ *catalog.Video) { c.Paused = true })
	purged := r.row(video.Purged, 2, func(c *catalog.Control, _ *catalog.Video) { c.Ending = video.ByExpiry })
	r.must(r.Catalog.RecordLedger(r.ctx, catalog.Ledger{VideoSHA256: purged.Hash(), Reason: video.ByExpiry}))
	r.reports(workflows.AuditReport{Videos: 7, Lost: 7, Begun: 7})
	for id, epoch := range ids {
		got := r.input(id).Carried
		if got.Epoch != epoch || got.Stage != stages[epoch-3] || got.Paused || got.Ending != "" || got.Stray {
			r.t.Errorf("begun again with %+v", got)
		}
		if v := r.find(id); v.Stage != got.Stage || v.Ending != "" || v.Stray {
			r.t.Errorf("the row is %+v", v)
		}
	}
	if got := r.input(paused).Carried; !got.Paused || got.Stray {
		r.t.Errorf("begun again with %+v", got)
	}
	if got := r.input(purged).Carried; got.Ending != video.ByExpiry {
		r.t.Errorf("begun again with %+v", got)
	}
}

func (r *auditRig) brake() {
	var ids []video.ID
	for range 30 {
		ids = append(ids, r.row(video.Published, 5, nil))
	}
	begun := func() (n int) {
		for _, id := range ids {
			if r.status(id) == running {
				n++
			}
		}
		return n
	}
	for range 2 {
		report := r.audited()
		if report.Lost != 30 || report.Begun != 0 || !strings.Contains(report.Stopped, "adopt temporal") || begun() != 0 {
			r.t.Fatalf("without anybody's word: %+v, %d run", report, begun())
		}
	}
	for _, id := range ids { // nothing was done to the videos
		if v := r.find(id); v.Stage != video.Published || v.Ending != "" || v.Stray {
			r.t.Fatalf("the row is %+v", v)
		}
	}
	r.exec("INSERT INTO adoptions (place, adopted_at, replaced) VALUES ('temporal', ?, '')", time.Now().UTC().Add(-time.Hour))
	r.reports(workflows.AuditReport{Videos: 30, Lost: 30, Begun: 30})
	if begun() != 30 {
		r.t.Errorf("%d run", begun())
	}
}

// Their gateways start them; nothing has been promised that a run could have lost.
func (r *auditRig) unstartedRows() {
	id, other := r.row(video.Uploading, 0, nil), r.row(video.Uploading, 0, nil)
	r.begin(other, "")
	r.terminate(other) // that one no gateway can start any more
	r.reports(workflows.AuditReport{Videos: 2, Strays: 1, Begun: 1, Unstarted: 1})
	if s := r.status(id); s != enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
		r.t.Errorf("it was started: %v", s)
	}
	if got := r.input(other).Carried; got.Epoch != 0 || got.Stage != video.Uploading || !got.Paused {
		r.t.Errorf("begun again with %+v", got)
	}
}

func (r *auditRig) youngRows() {
	r.Settling = time.Hour
	id := r.row(video.Processing, 3, nil)
	r.reports(workflows.AuditReport{Videos: 1})
	if s := r.status(id); s != enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
		r.t.Errorf("it was started: %v", s)
	}
}

func (r *auditRig) oneBadRow() {
	bad := r.row(video.Processing, 3, func(_ *catalog.Control, v *catalog.Video) { v.Media = []byte("not JSON") })
	worse := r.row(video.Processing, 3, nil)
	r.exec("UPDATE videos SET decisions = '{', warnings = 'x' WHERE id = ?", worse)
	var good []video.ID
	for range 3 {
		good = append(good, r.row(video.Processing, 3, nil))
	}
	r.reports(workflows.AuditReport{Videos: 5, Lost: 5, Begun: 3, Failed: 2})
	for _, id := range good {
		if r.status(id) != running {
			r.t.Errorf("%s was not begun again", id)
		}
	}
	if r.status(bad) == running {
		r.t.Error("a life was begun without its plan")
	}
}

// busy is a Temporal whose answers about executions can be something else.
type busy struct {
	client.Client
	mu       sync.Mutex
	describe map[string]int // how often each was asked for
	answer   func(total int) error
}

func (b *busy) DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	b.mu.Lock()
	b.describe[id]++
	total := 0
	for _, n := range b.describe {
		total += n
	}
	err := b.answer(total)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return b.Client.DescribeWorkflowExecution(ctx, id, run)
}

// An audit that dies is taken up where it was.
func (r *auditRig) resumed() {
	r.audits = usualBounds
	r.audits.page = 10
	var ids []video.ID
	for i := range 35 {
		epoch := int64(0)
		if i%12 == 0 {
			epoch = 3
		}
		ids = append(ids, r.row(video.Uploading, epoch, nil))
	}
	slices.Sort(ids)
	failures := 0
	b := &busy{Client: r.client, describe: map[string]int{}, answer: func(total int) error {
		if total > 25 && failures < 3 {
			failures++
			return serviceerror.NewUnavailable("going down")
		}
		return nil
	}}
	r.Temporal = b
	r.reports(workflows.AuditReport{Videos: 35, Lost: 3, Begun: 3, Unstarted: 32})
	for _, id := range ids[:20] {
		if n := b.describe[id.WorkflowID()]; n != 1 {
			r.t.Errorf("one that had been looked at was looked at %d times", n)
		}
	}
	if failures < 1 || failures > 3 {
		r.t.Errorf("%d failures", failures)
	}
}

func (r *auditRig) askedTooMuch() {
	id := r.row(video.Published, 3, nil)
	times := 0
	r.Temporal = &busy{Client: r.client, describe: map[string]int{}, answer: func(total int) error {
		if times = total; total < 4 {
			return serviceerror.NewResourceExhausted(enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "slow down")
		}
		return nil
	}}
	if _, err := r.attempt(); err != nil {
		r.t.Error(err)
	}
	if times != 4 || r.status(id) != running {
		r.t.Errorf("asked %d times, it is %v", times, r.status(id))
	}
}

// More rows than fit in one audit are looked at by the next ones.
func (r *auditRig) stretches() {
	r.audits = usualBounds
	r.audits.page, r.audits.rows = 2, 4
	ids := map[string]bool{}
	for range 7 {
		ids[r.row(video.Uploading, 0, nil).WorkflowID()] = true
	}
	b := &busy{Client: r.client, describe: map[string]int{}, answer: func(int) error { return nil }}
	r.Temporal = b
	r.reports(workflows.AuditReport{Videos: 4, Unstarted: 4})
	if len(b.describe) != 4 {
		r.t.Errorf("looked at %v", b.describe)
	}
	kept, err := r.Catalog.AuditProgress(r.ctx, "rows")
	if _, whole := video.ParseID(kept.Place); err != nil || kept.Place == "" || whole == nil {
		r.t.Errorf("the place that is kept is %q: nothing may keep an id", kept.Place)
	}
	r.reports(workflows.AuditReport{Videos: 4, Unstarted: 4}) // again the last one, of which the place is the beginning
	if len(b.describe) != 7 {
		r.t.Errorf("looked at %v", b.describe)
	}
	r.audits.rows = 20
	for range 2 {
		if report := r.audited(); report.Videos != 7 {
			r.t.Errorf("when all fit, %d were looked at", report.Videos)
		}
	}
}

// A life that was terminated is found at once among any number of rows.
func (r *auditRig) closedAmongMany() {
	var ids []video.ID
	for range 6 {
		id := r.row(video.Published, 3, nil)
		r.begin(id, "")
		ids = append(ids, id)
	}
	slices.Sort(ids)
	r.audits = usualBounds
	r.audits.page, r.audits.rows = 1, 1
	r.terminate(ids[4])
	r.listed("ExecutionStatus = 'Terminated'", 1)
	r.reports(workflows.AuditReport{Videos: 1, Strays: 1, Begun: 1})
	r.terminate(ids[5])
	r.listed("ExecutionStatus = 'Terminated'", 2)
	r.reports(workflows.AuditReport{Videos: 1, Strays: 1, Begun: 1})
	for _, id := range ids[4:] {
		if r.status(id) != running || !r.find(id).Stray {
			r.t.Errorf("%s is %v", id, r.status(id))
		}
	}
}

func (r *auditRig) pausedInTemporal() {
	id, healthy := r.row(video.Published, 3, nil), r.row(video.Published, 3, nil)
	r.begin(id, video.Published)
	r.begin(healthy, video.Published)
	_, err := r.client.WorkflowService().PauseWorkflowExecution(r.ctx, &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: r.name, WorkflowId: id.WorkflowID(), Reason: "to look at it", RequestId: "1", Identity: "operator",
	})
	r.must(err)
	r.listed("ExecutionStatus = 'Paused'", 1)
	for range 2 {
		r.reports(workflows.AuditReport{Videos: 2, PausedInTemporal: 1, Trouble: 1})
	}
	if v := r.find(id); !v.Trouble || v.Stray || r.find(healthy).Trouble {
		r.t.Errorf("the row is %+v", v)
	}
	_, err = r.client.WorkflowService().UnpauseWorkflowExecution(r.ctx, &workflowservice.UnpauseWorkflowExecutionRequest{
		Namespace: r.name, WorkflowId: id.WorkflowID(), RequestId: "2", Identity: "operator",
	})
	r.must(err)
	r.listed("ExecutionStatus = 'Running'", 2)
	r.reports(workflows.AuditReport{Videos: 2})
	if r.find(id).Trouble {
		r.t.Error("it is still shown as in trouble")
	}
}

// A workflow whose tasks fail takes no commands, and can't say so itself.
func (r *auditRig) broken() {
	id := r.row(video.Published, 3, nil)
	r.begin(id, video.Published)
	r.must(r.client.SignalWorkflow(r.ctx, id.WorkflowID(), "", "break", nil))
	r.listed("TemporalReportedProblems IS NOT NULL", 1)
	r.reports(workflows.AuditReport{Videos: 1, Trouble: 1})
	if v := r.find(id); !v.Trouble || v.Stray {
		r.t.Errorf("the row is %+v", v)
	}
}

func (r *auditRig) unknownAndRisen() {
	unknown, risen, pausedRisen := video.NewID(), video.NewID(), video.NewID()
	for _, id := range []video.ID{unknown, risen, pausedRisen} {
		r.begin(id, video.Published)
	}
	for _, id := range []video.ID{risen, pausedRisen} {
		r.must(r.Catalog.RecordLedger(r.ctx, catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByDeletion}))
	}
	_, err := r.client.WorkflowService().PauseWorkflowExecution(r.ctx, &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: r.name, WorkflowId: pausedRisen.WorkflowID(), RequestId: "1", Identity: "operator",
	})
	r.must(err)
	r.listed("ExecutionStatus IN ('Running', 'Paused')", 3)
	r.listed("ExecutionStatus = 'Paused'", 1)
	r.reports(workflows.AuditReport{Risen: 2, Unknown: 1, PausedInTemporal: 1, Trouble: 1})
	r.becomes(risen, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	if got := r.heard(pausedRisen); !slices.Equal(got, []string{"delete"}) {
		r.t.Errorf("the paused one heard %v", got)
	}
	if got := r.heard(unknown); r.status(unknown) != running || len(got) > 0 {
		r.t.Errorf("the unknown one heard %v", got)
	}
}

func (r *auditRig) unheard() {
	ago := time.Now().Add(-time.Minute)
	promise := func(_ *catalog.Control, v *catalog.Video) { v.HiddenAt = ago }
	ending := func(c *catalog.Control, v *catalog.Video) { c.Ending, v.HiddenAt = video.ByDeletion, ago }
	late := func(_ *catalog.Control, v *catalog.Video) { v.HiddenAt = time.Now() }
	reject := func(c *catalog.Control, v *catalog.Video) { c.Ending, v.HiddenAt = video.ByRejection, ago }
	want := map[video.ID]string{}
	for _, row := range []struct {
		stage, known video.Stage
		change       func(*catalog.Control, *catalog.Video)
		hears        string
	}{
		{video.Published, video.Published, promise, "delete"},
		{video.Processing, video.Processing, promise, "delete"},
		{video.Published, "", promise, "delete"},
		{video.PendingDeletion, video.Published, ending, "delete"},
		{video.PendingDeletion, video.PendingDeletion, ending, ""},
		{video.Purging, video.Purging, ending, ""},
		{video.Published, video.Published, late, ""}, // its gateway has just told it
		{video.Rejected, video.Rejected, reject, ""},
		{video.Uploading, video.Uploading, nil, "cancel"},
		{video.Published, video.Published, nil, ""},
	} {
		id := r.row(row.stage, 3, row.change)
		want[id] = row.hears
		if row.hears == "cancel" {
			_, _, err := r.Catalog.AskCancel(r.ctx, id, true)
			r.must(err)
		}
		r.begin(id, row.known)
	}
	r.exec("UPDATE videos SET cancel_asked_at = ? WHERE cancel_asked_at IS NOT NULL", ago.UTC())
	r.Settling = 30 * time.Second
	r.exec("UPDATE videos SET created_at = ?", time.Now().Add(-time.Hour).UTC())
	r.reports(workflows.AuditReport{Videos: 10, Unheard: 5})
	for id, hears := range want {
		if got := strings.Join(r.heard(id), " "); got != hears {
			r.t.Errorf("%s heard %q, want %q", id, got, hears)
		}
	}
}

// A run that waits, and shows another stage than its rows, is told to read them: at once,
// and no more than once a day.
func (r *auditRig) behind() {
	pause := func(c *catalog.Control, _ *catalog.Video) { c.Paused = true }
	reject := func(c *catalog.Control, v *catalog.Video) { c.Ending, v.HiddenAt = video.ByRejection, time.Now() }
	want := map[video.ID]bool{}
	for _, row := range []struct {
		stage, known video.Stage
		change       func(*catalog.Control, *catalog.Video)
		told         bool
	}{
		{video.Published, video.Scheduled, nil, true},
		{video.Reviewing, video.Reviewing, pause, true},
		{video.Rejected, video.Processing, reject, true},
		{video.Scheduled, video.Published, nil, true}, // the catalog may be the older one: the run will tell
		{video.Published, video.Published, nil, false},
		{video.Published, "", nil, false},
		{video.Purged, video.Published, reject, false},
	} {
		id := r.row(row.stage, 3, row.change)
		want[id] = row.told
		r.begin(id, row.known)
	}
	for id := range want {
		r.patient("its first task is done", func() error {
			if events := r.events(id); len(events) < 4 {
				return fmt.Errorf("%d events", len(events))
			}
			return nil
		})
	}
	told := func(times int) {
		r.t.Helper()
		for id, is := range want {
			got := r.heard(id)
			if n := len(got); is && n != times || !is && n != 0 || n > 0 && got[n-1] != video.RereadSignal {
				r.t.Errorf("%s at %s heard %v, want %v", id, r.find(id).Stage, got, is)
			}
		}
	}
	before := r.find(slices.Sorted(maps.Keys(want))[0]).Revision
	r.reports(workflows.AuditReport{Videos: 7, Behind: 4})
	r.reports(workflows.AuditReport{Videos: 7})
	told(1)
	r.exec("UPDATE videos SET reread_at = ? WHERE reread_at IS NOT NULL", time.Now().Add(-25*time.Hour).UTC())
	r.reports(workflows.AuditReport{Videos: 7, Behind: 4})
	told(2)
	// What they show agrees: the next time that it doesn't they are told at once.
	r.exec("UPDATE controls SET paused = false")
	r.exec("UPDATE videos SET stage = 'scheduled' WHERE stage = 'published' AND reread_at IS NOT NULL")
	r.reports(workflows.AuditReport{Videos: 7})
	r.exec("UPDATE videos SET stage = 'published' WHERE stage = 'scheduled' AND reread_at IS NULL")
	r.reports(workflows.AuditReport{Videos: 7, Behind: 1})
	if after := r.find(slices.Sorted(maps.Keys(want))[0]).Revision; after != before {
		r.t.Errorf("whoever follows a video is told of it: revision %d, before %d", after, before)
	}
}

func (r *auditRig) overdueRows() {
	week, day := time.Now().Add(-7*24*time.Hour), time.Now().Add(-24*time.Hour-time.Minute)
	want := map[video.ID]bool{}
	for _, row := range []struct {
		stage  video.Stage
		change func(*catalog.Control, *catalog.Video)
		late   bool
	}{
		{video.PendingDeletion, func(c *catalog.Control, v *catalog.Video) {
			c.Ending, v.HiddenAt, v.PurgeAt = video.ByDeletion, week, time.Now().Add(time.Hour)
		}, false},
		{video.PendingDeletion, func(c *catalog.Control, v *catalog.Video) {
			c.Ending, v.HiddenAt, v.PurgeAt = video.ByDeletion, week, day
		}, true},
		{video.PendingDeletion, func(c *catalog.Control, v *catalog.Video) {
			c.Ending, c.Held, v.HiddenAt, v.PurgeAt = video.ByDeletion, true, week, day
		}, false},
		{video.Published, func(_ *catalog.Control, v *catalog.Video) { v.HiddenAt = week }, true},
		{video.Published, func(_ *catalog.Control, v *catalog.Video) { v.HiddenAt = day }, false}, // its grace of an hour is over since
		{video.Purging, func(c *catalog.Control, v *catalog.Video) { c.Ending, v.HiddenAt = video.ByCancellation, day }, true},
		{video.Published, nil, false},
	} {
		id := r.row(row.stage, 3, row.change)
		want[id] = row.late
		r.begin(id, video.Purging)
	}
	r.reports(workflows.AuditReport{Videos: 7, Overdue: 3, Unheard: 1}) // the last row knows less than its run
	for id, late := range want {
		if v := r.find(id); v.Overdue != late {
			r.t.Errorf("overdue is %v of %+v", v.Overdue, v)
		}
	}
}

// erased makes an id whose key is destroyed.
func (r *auditRig) erased() video.ID {
	r.t.Helper()
	id := video.NewID()
	r.must(r.Vault.Make(r.ctx, id))
	_, err := r.Vault.Destroy(r.ctx, vault.Intent{ID: id, Reason: string(video.ByDeletion)})
	r.must(err)
	return id
}

func (r *auditRig) put(store objects.Store, key string) {
	r.t.Helper()
	_, err := store.Put(r.ctx, key, []byte("x"), objects.PutOptions{})
	r.must(err)
}

func (r *auditRig) holds(store objects.Store, prefix string) bool {
	r.t.Helper()
	found, err := store.Inventory(r.ctx, prefix, nil)
	r.must(err)
	return !found.Empty()
}

func (r *auditRig) storesWalk() {
	late, hiddenLate, multipart := r.erased(), r.erased(), r.erased()
	living, unknown := r.row(video.Published, 3, nil), video.NewID()
	r.begin(living, video.Published)
	backup := r.Stores.Backups[0].(*objectstest.Memory)
	for _, store := range []objects.Store{r.primary, backup} {
		for _, id := range []video.ID{living, unknown} {
			r.put(store, id.Prefix()+"a")
		}
		r.put(store, living.LedgerKey()+".old") // nothing of ours
	}
	r.put(r.primary, late.Prefix()+"a")
	r.put(r.primary, late.Prefix()+"b/c")
	r.put(r.primary, late.LedgerKey())
	r.put(backup, hiddenLate.Prefix()+"a")
	backup.Hide(hiddenLate.Prefix() + "a")
	backup.BeginMultipart(multipart.Prefix() + "a")
	r.put(backup, "v/strange/a")
	r.reports(workflows.AuditReport{Videos: 1, Erased: 3, UnknownObjects: 3})
	for _, store := range []objects.Store{r.primary, backup} {
		for id, want := range map[video.ID]bool{late: false, hiddenLate: false, multipart: false, living: true, unknown: true} {
			if got := r.holds(store, id.Prefix()); got != want {
				r.t.Errorf("%s holds something of %s: %v", store.Name(), id, got)
			}
		}
	}
	if !r.holds(backup, "v/strange/") || !r.holds(r.primary, late.LedgerKey()) {
		r.t.Error("what isn't the audit's was erased")
	}
	r.reports(workflows.AuditReport{Videos: 1, UnknownObjects: 3})
}

func (r *auditRig) storeDown() {
	late := r.erased()
	lost := r.row(video.Published, 3, nil)
	down := objectstest.Faulty(r.primary, func(objectstest.Op, string) error { return video.Errorf(video.Unavailable, "down") })
	r.put(r.Stores.Backups[0], late.Prefix()+"a")
	r.Stores.Primary = down
	r.reports(workflows.AuditReport{Videos: 1, Lost: 1, Begun: 1, Erased: 1, Unreachable: []string{"primary"}})
	if r.status(lost) != running || r.holds(r.Stores.Backups[0], late.Prefix()) {
		r.t.Error("a store that is down keeps the audit from the rest")
	}
}

// More than one listing takes is gone through in parts, over several audits.
func (r *auditRig) dividedListings() {
	r.audits = usualBounds
	r.audits.listing, r.audits.entries = 6, 20 // each object is two entries: a version, and a key that shows
	var gone, kept []video.ID
	for i := range 24 {
		id := video.NewID()
		if i%4 == 0 {
			id = r.erased()
			gone = append(gone, id)
		} else {
			kept = append(kept, id)
		}
		for n := range 1 + 4*(i%5)/4 { // some alone are more than one listing
			r.put(r.primary, fmt.Sprint(id.Prefix(), n))
		}
	}
	r.Stores.Backups = nil
	left := func() (n int) {
		for _, id := range gone {
			if r.holds(r.primary, id.Prefix()) {
				n++
			}
		}
		return n
	}
	erased := 0
	audits := 0
	for ; left() > 0 && audits < 20; audits++ {
		erased += r.audited().Erased
	}
	if left() > 0 || erased != len(gone) || audits < 2 {
		r.t.Errorf("after %d audits %d are left, %d were erased", audits, left(), erased)
	}
	for _, id := range kept {
		if !r.holds(r.primary, id.Prefix()) {
			r.t.Error("what nobody knows was erased")
		}
	}
}

// Keys that were destroyed are there again: nothing may go by such a vault.
func (r *auditRig) olderVault() {
	forgotten, late := video.NewID(), r.erased()
	r.put(r.Stores.Backups[0], forgotten.LedgerKey())
	r.put(r.primary, late.Prefix()+"a")
	lost := r.row(video.Published, 3, nil)
	_, err := r.attempt()
	if err == nil || !strings.Contains(err.Error(), "older than the stores") || !strings.Contains(err.Error(), "backup-a") {
		r.t.Errorf("it says: %v", err)
	}
	if r.status(lost) == running || !r.holds(r.primary, late.Prefix()) {
		r.t.Error("something was done all the same")
	}
}

// Videos whose keys were lost with a vault are shown, for as long as they are lost, and
// nothing of them is erased.
func (r *auditRig) lostKeys() {
	r.audits = usualBounds
	lost, later := r.row(video.Published, 3, nil), r.row(video.Processing, 3, nil)
	leaving := r.row(video.Purging, 3, func(c *catalog.Control, _ *catalog.Video) { c.Ending = video.ByCancellation })
	for id, stage := range map[video.ID]video.Stage{lost: video.Published, later: video.Processing, leaving: video.Purging} {
		r.begin(id, stage)
		r.put(r.primary, id.Prefix()+"a")
	}
	had := r.Vault
	r.Vault = vaulttest.New(r.t)
	r.must(r.Vault.Make(r.ctx, later))
	r.reports(workflows.AuditReport{Videos: 3, Keyless: 1})
	r.audits.page, r.audits.rows = 1, 1
	for range 3 { // in one of them it is no row that is looked at
		if v := r.find(lost); !v.Trouble || v.Ending != "" || r.find(later).Trouble || r.find(leaving).Trouble {
			r.t.Errorf("the row is %+v", v)
		}
		if !r.holds(r.primary, lost.Prefix()) || len(r.heard(lost)) > 0 {
			r.t.Error("something was done to it")
		}
		r.audited()
	}
	r.audits = usualBounds
	r.Vault = had
	r.reports(workflows.AuditReport{Videos: 3})
	if r.find(lost).Trouble {
		r.t.Error("it is still shown as in trouble")
	}
}
