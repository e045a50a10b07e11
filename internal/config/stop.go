package config

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// UntilStopped returns a context that ends when the program is to stop: at
// SIGINT, at SIGTERM and, with StdinParent, at the end of standard input. A
// second signal ends the program at once.
func (c *Config) UntilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on a signal does what it does by default
	if !c.StdinParent {
		return ctx, stop
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin) // an end by error is an end too
		cancel()
	}()
	return ctx, func() { cancel(); stop() }
}
