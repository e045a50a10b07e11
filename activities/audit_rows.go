package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// standing is how a video's row and its run stand to each other.
type standing int

const (
	goesOn     standing = iota // its run is open
	unstarted                  // a gateway has yet to start its workflow
	lost                       // there is no run, or it is over as if all were done
	terminated                 // its run was terminated, timed out or failed
	unclear                    // it could not be found out
)

// sight is what one look at a video and its run showed.
type sight struct {
	catalog.Audited
	standing
	known  video.Stage // as the run's attribute has it; empty where it has none
	paused bool        // as the run's attribute has it
	waits  bool        // nothing of the run is under way: it waits for a time or a command
}

// missing is a life without a run.
type missing struct {
	ID         video.ID `json:"id"`
	Terminated bool     `json:"terminated,omitempty"`
}

// What closed since the last audit is looked at first, so that a terminated life
// among any number is found at once. Temporal lists it with a delay.
const (
	closedMargin = 10 * time.Minute
	closedAtMost = 24 * time.Hour // before the first audit; older ones are found among the rows
)

func (a *audit) lookAtClosed(ctx context.Context) error {
	last, err := a.Catalog.AuditProgress(ctx, "closed")
	if err != nil {
		return err
	}
	since := a.began.Add(-closedAtMost)
	if !last.Through.IsZero() {
		since = last.Through.Add(-closedMargin)
	}
	query := fmt.Sprintf("WorkflowType = '%s' AND CloseTime > '%s' AND ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Completed', 'Canceled')",
		video.LifecycleWorkflow, since.UTC().Format(time.RFC3339))
	err = a.list(ctx, query, a.Place, func(page []*workflow.WorkflowExecutionInfo, next string) error {
		rows, err := a.Catalog.AuditedOf(ctx, idsOf(page))
		if err != nil {
			return err
		}
		sights, err := a.look(ctx, slices.Collect(maps.Values(rows)))
		if err != nil {
			return err
		}
		for _, s := range sights {
			a.miss(s)
		}
		a.Place = next
		a.reached()
		if a.adopted {
			return a.beginMissing(ctx)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.Catalog.SaveAuditProgress(ctx, catalog.AuditProgress{Name: "closed", Through: a.began})
}

// idsOf are the videos of executions, each once. A workflow of another name is not ours.
func idsOf(page []*workflow.WorkflowExecutionInfo) []video.ID {
	var ids []video.ID
	for _, w := range page {
		if id, err := video.ParseID(strings.TrimPrefix(w.GetExecution().GetWorkflowId(), "video/")); err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lookAtRows looks at a stretch of the rows. Where all of them fit, it is all of them;
// else the next audit goes on after the last, and after the very last with the first.
func (a *audit) lookAtRows(ctx context.Context) error {
	if a.Place == "" && a.Start == "" && !a.Wrapped {
		kept, err := a.Catalog.AuditProgress(ctx, "rows")
		if err != nil {
			return err
		}
		a.Place, a.Start = kept.Place, kept.Place
	}
	end := time.Now().Add(a.time)
	if a.adopted {
		end = time.Now().Add(auditAdopted)
	}
	for time.Now().Before(end) && (a.adopted || a.Report.Videos < a.rows && len(a.Missing) < a.toBegin) {
		whole, err := a.nextRows(ctx)
		if err != nil {
			return err
		}
		if whole {
			break
		}
		if a.adopted {
			if err := a.beginMissing(ctx); err != nil {
				return err
			}
		}
	}
	// Not the whole id: it may be forgotten by the next audit, and nothing is to keep it.
	place := a.Place[:min(len(a.Place), idStart)]
	return a.Catalog.SaveAuditProgress(ctx, catalog.AuditProgress{Name: "rows", Place: place})
}

// idStart is how many characters of an id tell it from all others, 60 bits, and yet
// are not the id.
const idStart = 12

// nextRows looks at a page of rows, and reports whether that was the last.
func (a *audit) nextRows(ctx context.Context) (whole bool, err error) {
	rows, err := a.Catalog.Audited(ctx, video.ID(a.Place), a.page)
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		if a.Start == "" || a.Wrapped {
			a.Place = ""
			return true, nil
		}
		a.Place, a.Wrapped = "", true
		return false, nil
	}
	if a.Wrapped { // up to where it began
		before := len(rows)
		rows = slices.DeleteFunc(rows, func(r catalog.Audited) bool { return string(r.ID) > a.Start })
		whole = len(rows) < before
	}
	sights, err := a.look(ctx, rows)
	if err != nil {
		return false, err
	}
	for _, s := range sights {
		if err := a.failed(s.ID, a.judge(ctx, s)); err != nil {
			return false, err
		}
	}
	if err := a.renewFacts(ctx, rows); err != nil {
		return false, err
	}
	if len(rows) > 0 {
		a.Place = string(rows[len(rows)-1].ID)
	}
	a.reached()
	return whole, nil
}

// look asks for the runs of these videos, several at once.
func (a *audit) look(ctx context.Context, rows []catalog.Audited) ([]sight, error) {
	sights, errs := make([]sight, len(rows)), make([]error, len(rows))
	var group errgroup.Group
	group.SetLimit(auditAsksAtOnce)
	for i, row := range rows {
		group.Go(func() error {
			sights[i], errs[i] = a.sightOf(ctx, row)
			return nil
		})
	}
	_ = group.Wait()
	for i, err := range errs {
		if err := a.failed(rows[i].ID, err); err != nil {
			return nil, err
		}
	}
	return sights, nil
}

// sightOf asks for the latest run of a video. A row that is young is left alone: the
// gateway writes it first and starts the workflow then.
func (a *audit) sightOf(ctx context.Context, row catalog.Audited) (sight, error) {
	s := sight{Audited: row}
	if time.Since(row.CreatedAt) < a.Settling {
		return s, nil
	}
	var d *workflowservice.DescribeWorkflowExecutionResponse
	err := a.ask(ctx, func() (err error) {
		d, err = a.Temporal.DescribeWorkflowExecution(ctx, row.ID.WorkflowID(), "")
		return err
	})
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		s.standing = lost
		if row.Epoch == 0 && row.Stage == video.Uploading && row.Ending == "" {
			s.standing = unstarted
		}
		return s, nil
	}
	if err != nil {
		s.standing = unclear
		return s, ofTemporal(err)
	}
	info := d.GetWorkflowExecutionInfo()
	attribute(info, video.StageAttribute, &s.known)
	attribute(info, video.PausedAttribute, &s.paused)
	s.waits = len(d.GetPendingActivities()) == 0 && d.GetPendingWorkflowTask() == nil
	switch {
	case isOpen(info.GetStatus()):
	case info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		s.standing = lost
	default:
		s.standing = terminated
	}
	return s, nil
}

// attribute reads what a run shows under a name; where it shows nothing the value stays.
func attribute(info *workflow.WorkflowExecutionInfo, name string, value any) {
	if payload := info.GetSearchAttributes().GetIndexedFields()[name]; payload != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(payload, value) // of another form: not ours
	}
}

// judge counts a video and sets right what can be at once.
func (a *audit) judge(ctx context.Context, s sight) error {
	a.Report.Videos++
	if s.standing == unstarted {
		a.Report.Unstarted++
	}
	a.miss(s)
	if s.overdue(a.Policy) {
		a.Report.Overdue++
		if err := a.Catalog.MarkOverdue(ctx, []video.ID{s.ID}); err != nil {
			return err
		}
	}
	if err := a.checkKey(ctx, s); err != nil {
		return err
	}
	if s.standing != goesOn {
		return nil
	}
	return a.repeat(ctx, s)
}

// checkKey shows a video as in trouble whose key is lost: it can't be played, and its run,
// which may only wait, doesn't know. On the way out nobody needs the key.
func (a *audit) checkKey(ctx context.Context, s sight) error {
	if !a.settled(s.CreatedAt) || s.Stage == video.Purging || s.Stage == video.Purged {
		return nil
	}
	lost, err := a.keyLost(ctx, s.ID)
	if err != nil || !lost {
		return err
	}
	a.Report.Keyless++
	a.Log.Error("the key vault lacks the key of a video; it is left alone", "video", s.ID)
	return a.Catalog.MarkTrouble(ctx, []video.ID{s.ID})
}

// keyLost reports whether the vault lacks a key that was neither destroyed nor is to be.
func (a *audit) keyLost(ctx context.Context, id video.ID) (bool, error) {
	loan, err := a.Vault.Lend(ctx, id)
	switch {
	case err == nil:
		loan.Release()
		return false, nil
	case is(err, video.NotFound):
		return true, nil
	case is(err, video.Gone):
		return false, nil
	}
	return false, err
}

// repeat tells an open run what is on record and it hasn't heard.
func (a *audit) repeat(ctx context.Context, s sight) (err error) {
	told := false
	switch {
	case s.hiddenByItsRun():
		// The run is proof that a person asked, and the row is of before that: a catalog
		// restored from a backup must not show again what was deleted since.
		_, err = a.Catalog.Hide(ctx, s.ID)
		told = err == nil
	case s.deletionUnheard() && a.settled(s.HiddenAt):
		told, err = a.signal(ctx, s.ID, video.Delete, video.CommandRequest{})
	case !s.CancelAskedAt.IsZero() && s.Ending == "" && a.settled(s.CancelAskedAt):
		told, err = a.repeatCancel(ctx, s.ID)
	default:
		return a.compareWaiting(ctx, s)
	}
	if told {
		a.Report.Unheard++
	}
	return err
}

// repeatCancel tells a run of a cancel that is on record. What was seen may be minutes
// old: the row is looked at once more, for a cancel that was taken up, and taken back
// since, must not be given again. Whether a draft is kept is part of what was asked.
func (a *audit) repeatCancel(ctx context.Context, id video.ID) (told bool, err error) {
	v, err := a.Catalog.Video(ctx, id)
	if err != nil || v.CancelAskedAt.IsZero() || v.CancelSettled() {
		return false, err
	}
	return a.signal(ctx, id, video.Cancel, video.CommandRequest{KeepDraft: v.CancelKeeps})
}

// rereadEvery is how often a run that shows another stage than its rows is told to read
// them. Where the rows are the older ones, as after a restore of the catalog, it goes on
// showing another.
const rereadEvery = 24 * time.Hour

// compareWaiting tells a run that waits to read its rows where they stand elsewhere: one
// that was reset, or restored with Temporal's database, would not look at them before its
// next step. Who is told and not marked, because the audit dies, is told once more.
func (a *audit) compareWaiting(ctx context.Context, s sight) error {
	if !s.standsElsewhere() {
		if s.known != "" && !s.RereadAt.IsZero() {
			return a.Catalog.MarkReread(ctx, s.ID, time.Time{})
		}
		return nil
	}
	if !s.waits || time.Since(s.RereadAt) < rereadEvery {
		return nil
	}
	// The run was asked after the row was read, and both may have moved on in between.
	now, err := a.Catalog.AuditedOf(ctx, []video.ID{s.ID})
	if s.Audited = now[s.ID]; err != nil || !s.standsElsewhere() {
		return err
	}
	told, err := a.tell(ctx, s.ID, video.RereadSignal, nil)
	if err != nil || !told {
		return err
	}
	a.Report.Behind++
	a.Log.Warn("a run shows another stage than its rows; it is told to read them", "video", s.ID, "run", s.known, "rows", s.Stage)
	return a.Catalog.MarkReread(ctx, s.ID, time.Now())
}

// standsElsewhere reports whether rows and run differ in where the life stands. Past the
// point of no return they may.
func (s sight) standsElsewhere() bool {
	if s.known == "" || s.known == video.Purging || s.Stage == video.Purged || s.ID == "" {
		return false
	}
	return s.known != s.Stage || s.paused != s.Paused
}

// settled reports whether whoever asked at a time has had the time to tell the run.
func (a *audit) settled(asked time.Time) bool { return time.Since(asked) >= a.Settling }

// miss notes a life that has no run. Of far too many the rest is found again.
func (a *audit) miss(s sight) {
	if s.standing != lost && s.standing != terminated || len(a.Missing) >= a.toBegin+a.page {
		return
	}
	if slices.ContainsFunc(a.Missing, func(m missing) bool { return m.ID == s.ID }) {
		return
	}
	a.Missing = append(a.Missing, missing{s.ID, s.standing == terminated})
	if s.standing == terminated {
		a.Report.Strays++
	} else {
		a.Report.Lost++
	}
}

// hiddenByItsRun reports whether the run is on the way out, and the row knows of no end.
func (s sight) hiddenByItsRun() bool {
	return (s.known == video.PendingDeletion || s.known == video.Purging) && s.Ending == "" && s.HiddenAt.IsZero()
}

// deletionUnheard reports whether a deletion is on record that the run shows nothing of.
func (s sight) deletionUnheard() bool {
	if s.known == video.PendingDeletion || s.known == video.Purging || s.known == video.Purged {
		return false
	}
	return s.Ending == video.ByDeletion || s.Ending == "" && !s.HiddenAt.IsZero()
}

// overdue reports whether the video should have been erased by now. A workflow can't
// say so of itself while it is paused, broken or lost.
func (s sight) overdue(p video.Policy) bool {
	due := s.PurgeAt
	if due.IsZero() && !s.HiddenAt.IsZero() {
		due = s.HiddenAt
		if s.Ending == "" || s.Ending == video.ByDeletion {
			due = due.Add(p.DeleteGrace)
		}
	}
	return p.OverdueAfter > 0 && !s.Held && !due.IsZero() && time.Since(due) > p.OverdueAfter
}
