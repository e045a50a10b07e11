package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/reelflow/reelflow/internal/facts"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/video"
)

type catalogCommand struct {
	Rebuild catalogRebuildCommand `cmd:"" help:"Make the rows of published videos again, from the stores, the ledger and Temporal, after the catalog was lost; exit code 1 if something could not be made, or not whole."`
}

type catalogRebuildCommand struct {
	atPlaces `kong:"-"`
	DryRun   bool `help:"Write nothing; say what would be made."`
}

// Run may be repeated, and goes on where it was stopped: what is there stays as it is.
func (c catalogRebuildCommand) Run(s *shell) error {
	return s.withPlaces(func(p *places, temporal client.Client) error {
		if !c.DryRun {
			if _, err := ledger.Apply(s.ctx, p.keys, p.rows); err != nil {
				return err
			}
		}
		counts := rebuildCounts{shell: s, of: map[facts.Outcome]int{}}
		r := &facts.Rebuilder{
			Catalog: p.rows, Vault: p.keys, Stores: p.installation.Stores(), DryRun: c.DryRun, Tell: counts.tell,
			Runs: func(ctx context.Context, id video.ID) (facts.Run, error) { return runOf(ctx, temporal, id) },
		}
		err := r.Run(s.ctx)
		counts.sum(c.DryRun)
		if err == nil && counts.wrong > 0 {
			err = said{errors.New("not everything could be made")}
		}
		return err
	})
}

// rebuildCounts prints what became of the videos.
type rebuildCounts struct {
	*shell
	of    map[facts.Outcome]int
	wrong int // failed, or not whole
}

// tell prints a line for what somebody should look at, and for what was made.
func (c *rebuildCounts) tell(r facts.Result) {
	c.of[r.Outcome]++
	notes := ""
	for _, note := range r.Notes {
		notes += "; " + note
	}
	switch r.Outcome {
	case facts.Made:
		if notes != "" {
			c.wrong++
		}
		fmt.Fprintf(c.out, "made %s%s\n", r.ID, notes)
	case facts.Unpublished:
		fmt.Fprintf(c.out, "not made %s: it was not published%s\n", r.ID, notes)
	case facts.WithoutFacts:
		c.wrong++
		fmt.Fprintf(c.out, "not made %s: stores have something of it, and no facts%s\n", r.ID, notes)
	case facts.Failed:
		c.wrong++
		fmt.Fprintf(c.out, "not made %s%s\n", r.ID, notes)
	}
}

func (c *rebuildCounts) sum(dryRun bool) {
	made := "made"
	if dryRun {
		made = "would be made"
	}
	fmt.Fprintf(c.out, "%s %d, there already %d, erased %d, not published %d, without facts %d, failed %d\n", made, c.of[facts.Made],
		c.of[facts.There], c.of[facts.Erased], c.of[facts.Unpublished], c.of[facts.WithoutFacts], c.of[facts.Failed])
}

// runOf asks Temporal for the latest run of a video's workflow.
func runOf(ctx context.Context, temporal client.Client, id video.ID) (facts.Run, error) {
	d, err := temporal.DescribeWorkflowExecution(ctx, id.WorkflowID(), "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return facts.Run{}, nil
	}
	if err != nil {
		return facts.Run{}, video.Errorf(video.Unavailable, "The Temporal server does not answer.").Because(err)
	}
	info := d.GetWorkflowExecutionInfo()
	run := facts.Run{Known: true}
	switch info.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_PAUSED, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		run.Open = true
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		run.Completed = true
	}
	if payload := info.GetSearchAttributes().GetIndexedFields()[video.StageAttribute]; payload != nil {
		// One of another form is not ours, and counts as none.
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &run.Stage)
	}
	return run, nil
}
