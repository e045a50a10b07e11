package main

import (
	"context"
	"io"
	"os"
	"time"
)

// untilOrphaned returns a context that also ends when the process that started this one is gone: nobody would stop
// us then. Polling the parent's id works wherever it runs; the end of standard input tells at once, if the parent
// holds its other end.
func untilOrphaned(ctx context.Context, watchStdin bool) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(250 * time.Millisecond)
		}
		cancel()
	}()
	if watchStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // an end by error is an end too
			cancel()
		}()
	}
	return ctx
}
