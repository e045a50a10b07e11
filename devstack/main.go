// Command devstack runs what reelflow needs from outside - a Temporal server with its web UI and three S3 stores - on a laptop
// or for a test, with nothing installed and on loopback addresses only.
//
// It is made of parts: "temporal" (server and UI) and one part for each store. Asked for one part, the process is that
// part, so that a signal sent to its id stops, freezes or kills just that. Asked for several, it runs itself once for
// each of them and watches over these children.
//
// All state lies in one folder and survives every end but its removal: temporal.db holds Temporal's state,
// stores/NAME/data the objects of a store and stores/NAME/versions their older versions; temporal.lock and
// stores/NAME/lock keep a second devstack out. The processes go when they are told to (SIGINT, SIGTERM), and when the process
// that started them is gone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The time a part has to stop before it is ended by force: parts may take less than five seconds together with the
// half second in which they notice that their parent died.
const stopTimeout = 4 * time.Second

// A report tells where the parts that run can be reached. Its JSON is the line that devstack prints when all are ready.
type report struct {
	Temporal string  `json:"temporal,omitempty"` // gRPC address, host:port
	UI       string  `json:"ui,omitempty"`       // URL of the web UI
	Metrics  string  `json:"metrics,omitempty"`  // URL of Temporal's Prometheus metrics
	Stores   []store `json:"stores,omitempty"`
}

// A refusal is a failure that the caller can mend by calling devstack differently.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: 0 when told to stop, 2 when called wrongly (an address in use, a folder that cannot
// serve), 1 after any other failure.
func run(args []string) int {
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return fail(err)
	case opts.version:
		fmt.Println(version())
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx = untilOrphaned(ctx, opts.stdinParent)

	line := json.NewEncoder(os.Stdout)
	line.SetEscapeHTML(false) // the URLs hold ampersands, and people read and grep them
	announce := func(r report) error { return line.Encode(r) }
	if len(opts.parts) > 1 {
		err = supervise(ctx, opts, announce)
	} else {
		err = serve(ctx, opts, announce)
	}
	return fail(err)
}

// serve is one part. Told to stop, it ends in time even if a request hangs: all that it holds is safe against being
// killed.
func serve(ctx context.Context, o options, announce func(report) error) error {
	context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, func() { os.Exit(0) }) })
	if o.parts[0] == temporalPart {
		return serveTemporal(ctx, o, announce)
	}
	return serveStore(ctx, o, announce)
}

// fail writes why devstack ends, unless a child has said it already, and returns the exit code.
func fail(err error) int {
	var told childFailed
	var wrong refusal
	switch {
	case err == nil:
		return 0
	case errors.As(err, &told):
		return told.code
	}
	fmt.Fprintln(os.Stderr, "devstack:", err)
	if errors.As(err, &wrong) {
		return 2
	}
	return 1
}
