package main

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const bareQueue = "bench"

// bareTemporal measures what a pause costs when there is nothing to stop: a
// workflow whose update `pause` cancels an activity that heeds it at once, and
// answers when the activity has ended.
func (b *bench) bareTemporal() (times series, err error) {
	c, err := client.DialContext(b.ctx, client.Options{HostPort: b.Temporal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	running := make(chan struct{}, 1)
	w := worker.New(c, bareQueue, worker.Options{})
	w.RegisterWorkflow(bareLeg)
	w.RegisterActivity((&bareWork{running}).Wait)
	if err := w.Start(); err != nil {
		return nil, err
	}
	defer w.Stop()
	for range b.rounds {
		run, err := c.ExecuteWorkflow(b.ctx, client.StartWorkflowOptions{TaskQueue: bareQueue}, bareLeg)
		if err != nil {
			return nil, err
		}
		<-running
		begun := time.Now()
		update, err := c.UpdateWorkflow(b.ctx, client.UpdateWorkflowOptions{
			WorkflowID: run.GetID(), UpdateName: "pause", WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = update.Get(b.ctx, nil)
		}
		times = append(times, time.Since(begun))
		if err != nil {
			return nil, err
		}
		if err := run.Get(b.ctx, nil); err != nil {
			return nil, err
		}
	}
	return times, nil
}

type bareWork struct{ running chan<- struct{} }

// Wait runs until it is canceled.
func (w *bareWork) Wait(ctx context.Context) error {
	w.running <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func bareLeg(ctx workflow.Context) error {
	leg, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour, HeartbeatTimeout: 10 * time.Second, WaitForCancellation: true,
	}))
	ended := false
	err := workflow.SetUpdateHandler(ctx, "pause", func(ctx workflow.Context) error {
		cancel()
		return workflow.Await(ctx, func() bool { return ended })
	})
	if err != nil {
		return err
	}
	err = workflow.ExecuteActivity(leg, "Wait").Get(leg, nil)
	ended = true
	if !temporal.IsCanceledError(err) {
		return err
	}
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}
