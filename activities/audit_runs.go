package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// beginMissing gives the lives that were found without a run one again, unless they
// are so many that Temporal itself must be the wrong one, or have lost its database:
// then none, and somebody has to look. They are counted before the first begins.
func (a *audit) beginMissing(ctx context.Context) error {
	if len(a.Missing) == 0 {
		return nil
	}
	may, err := a.Catalog.MayBegin(ctx, catalog.AuditRun{
		At: a.began, Seen: int64(a.Report.Videos), Begun: int64(a.Report.Begun + len(a.Missing)),
	})
	if err != nil {
		return err
	}
	if !may {
		a.Report.Stopped = fmt.Sprintf("%d lives have no run in this Temporal: more than the audit begins again by itself in a day. "+
			"If it is the right one and has lost them, run \"starter adopt temporal\".", len(a.Missing))
		a.Log.Error("the audit begins nothing again", "lives", len(a.Missing), "why", a.Report.Stopped)
		a.Missing = nil
		a.reached()
		return nil
	}
	for len(a.Missing) > 0 {
		if err := a.failed(a.Missing[0].ID, a.begin(ctx, a.Missing[0])); err != nil {
			return err
		}
		a.Missing = a.Missing[1:]
		a.reached()
	}
	return nil
}

// begin starts a run for a life at the stage of its row. It does nothing where one
// has come to be meanwhile, or where the video has been erased.
func (a *audit) begin(ctx context.Context, m missing) error {
	in, v, err := a.inputOf(ctx, m)
	if code := video.CodeOf(err); err != nil && (code == video.Gone || code == video.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if in.Carried.Stray && !v.Stray {
		if err := a.Catalog.MarkStray(ctx, m.ID); err != nil {
			return err
		}
	}
	why := "lost"
	if m.Terminated {
		why = "terminated"
	}
	a.Log.Warn("a life goes on in a new run", "video", m.ID, "stage", in.Carried.Stage, "the last was", why)
	err = a.ask(ctx, func() error {
		_, err := a.Temporal.ExecuteWorkflow(ctx, a.startOptions(in, v, why), video.LifecycleWorkflow, in)
		return err
	})
	if err != nil {
		return ofTemporal(err)
	}
	if in.Carried.Ending == "" {
		if _, err := a.repeatCancel(ctx, m.ID); err != nil {
			return err
		}
	}
	a.Report.Begun++
	return nil
}

func (a *audit) startOptions(in video.LifecycleInput, v catalog.Video, why string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: in.ID.WorkflowID(), TaskQueue: video.ControlQueue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "the life of one video, whose last run was " + why,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(video.StageAttribute).ValueSet(string(in.Carried.Stage)),
			temporal.NewSearchAttributeKeyKeyword(video.OwnerAttribute).ValueSet(in.Owner),
			temporal.NewSearchAttributeKeyBool(video.PausedAttribute).ValueSet(in.Carried.Paused),
			temporal.NewSearchAttributeKeyBool(video.OverdueAttribute).ValueSet(v.Overdue),
			temporal.NewSearchAttributeKeyBool(video.TroubleAttribute).ValueSet(false),
		),
	}
}

// inputOf is what a run goes on with: all that the rows say of the life. An end that
// is on record goes on, wherever the record is. Without one a life that somebody
// terminated waits for a person's decision: paused, where it would go on by itself.
func (a *audit) inputOf(ctx context.Context, m missing) (video.LifecycleInput, catalog.Video, error) {
	v, err := a.Catalog.Video(ctx, m.ID)
	if err != nil {
		return video.LifecycleInput{}, v, err
	}
	row, err := a.Catalog.ControlOf(ctx, m.ID)
	if err != nil {
		return video.LifecycleInput{}, v, err
	}
	u, err := a.Catalog.UploadOf(ctx, m.ID)
	if err != nil {
		return video.LifecycleInput{}, v, err
	}
	carried, err := carriedOf(v, row, u)
	if err != nil {
		return video.LifecycleInput{}, v, err
	}
	if err := a.endOnRecord(ctx, v, carried); err != nil {
		return video.LifecycleInput{}, v, err
	}
	if (m.Terminated || v.Stray) && carried.Ending == "" {
		carried.Stray = true
		carried.Paused = carried.Paused || carried.Stage.OnTheWay()
	}
	backups, err := a.backupsOf(ctx, m.ID)
	if err != nil {
		return video.LifecycleInput{}, v, err
	}
	in := v.Input(a.Stores.Primary.Name(), backups, a.Policy)
	in.Carried = carried
	return in, v, nil
}

// backupsOf are the backups of the settings, and those in which the rows know something
// of the video: a setting that lacks one must not leave it out of the purge.
func (a *audit) backupsOf(ctx context.Context, id video.ID) ([]string, error) {
	held, err := a.Catalog.Holdings(ctx, id)
	if err != nil {
		return nil, err
	}
	var backups []string
	for _, store := range a.Stores.Backups {
		backups = append(backups, store.Name())
		delete(held, store.Name())
	}
	delete(held, a.Stores.Primary.Name())
	return append(backups, slices.Sorted(maps.Keys(held))...), nil
}

// endOnRecord adds an end that the control row doesn't know of: one that the ledger
// has, or a deletion that was asked for when no run could hear of it.
func (a *audit) endOnRecord(ctx context.Context, v catalog.Video, carried *video.Carried) error {
	if carried.Ending != "" {
		return nil
	}
	record, erased, err := a.Catalog.Known(ctx, v.ID.Hash())
	switch {
	case err != nil:
		return err
	case erased:
		carried.Ending, carried.Paused = record.Reason, false
	case !v.HiddenAt.IsZero():
		carried.Ending, carried.Asked, carried.Paused = video.ByDeletion, true, false
	}
	return nil
}
