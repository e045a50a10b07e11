package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/activities"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

// ffmpeg may be replaced while a worker runs. Its test takes a second of all cores.
const (
	selfTestEvery = 10 * time.Minute
	selfTestWait  = 2 * time.Minute
)

// show begins to tell what the work needs and does. It is called once the worker is open.
func (w *Worker) show(c *config.Config, a *activities.Activities) {
	if takes(c.Role, "control") {
		w.metrics.Catalog(w.catalog, a.Stores.Names(), w.log)
		w.metrics.Queues(w.temporal, w.namespace, w.log)
	}
	w.metrics.Health(w.health)
	w.health.Watch(w.checks(a)...)
}

// checks are what the worker needs. A backup that is missing lets everything else go on.
func (w *Worker) checks(a *activities.Activities) []telemetry.Check {
	checks := []telemetry.Check{
		{Name: "catalog", Run: w.catalog.Ready},
		{Name: "vault", Run: func(ctx context.Context) error { _, err := a.Vault.Installation(ctx); return err }},
		{Name: "temporal", Run: w.temporalAnswers},
		{Name: a.Stores.Primary.Name(), Run: a.Stores.Primary.Ready},
	}
	for _, backup := range a.Stores.Backups {
		checks = append(checks, telemetry.Check{Name: backup.Name(), Run: backup.Ready, Without: true})
	}
	if a.Media != nil {
		checks = append(checks, telemetry.Check{Name: "ffmpeg", Run: selfTest(*a.Media), Every: selfTestEvery, Wait: selfTestWait, Passed: true})
		if box := a.Media.Runner.Sandbox; box != nil {
			checks = append(checks, telemetry.Check{Name: "sandbox", Run: func(context.Context) error { return box.Check() }, Without: true})
		}
	}
	return checks
}

func (w *Worker) temporalAnswers(ctx context.Context) error {
	if _, err := w.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return video.Errorf(video.Unavailable, "Temporal can't be reached, or refuses this worker.").Because(err)
	}
	return nil
}

// selfTest is not counted as work.
func selfTest(tools media.Tools) func(context.Context) error {
	tools.Worked = nil
	return tools.SelfTest
}
