package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// probe finds out, beside the work, whether the stores can be purged. It returns when it
// knows, or when ctx ends.
func (w *Worker) probe(ctx context.Context) {
	var all sync.WaitGroup
	for _, store := range w.purges {
		all.Go(func() { w.probeStore(ctx, store) })
	}
	all.Wait()
}

func (w *Worker) probeStore(ctx context.Context, store objects.Store) {
	for wait := time.Second; ; wait = min(4*wait, time.Hour) {
		err := objects.Probe(ctx, store)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && wait > time.Second:
			w.log.Info("the store can be purged now", "store", store.Name())
			return
		case err == nil:
			return
		}
		w.log.Log(ctx, alarm(err), "a trial purge has failed: as long as this is so no video can be erased from the store", "store", store.Name(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// alarm tells a store that is down, which passes, from one that somebody has to look at.
func alarm(err error) slog.Level {
	if e, ok := errors.AsType[*video.Error](err); ok && e.Code == video.Unavailable && e.Reason == "" {
		return slog.LevelWarn
	}
	return slog.LevelError
}
