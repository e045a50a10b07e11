// Command worker runs the workflows and activities of reelflow: all of them, or with
// --role those of one task queue.
//
// It keeps nothing of its own. What it writes lies in the catalog, the vault and
// the stores; media work uses scratch directories in memory, which go with the
// work, and those of a killed worker with the next start. Told to stop (SIGINT,
// SIGTERM), it lets short work finish and hands the rest back to Temporal.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

type commandLine struct {
	config.Config `embed:""`
	Version       kong.VersionFlag `name:"version" help:"Print the version and exit."`
}

// notOurs are the settings of gateways and of the command line.
var notOurs = []string{
	"http-addr", "url", "trusted-proxies", "drain", "tls-cert-file", "tls-key-file", "ui-addr", "token",
	"max-open-uploads", "quota-bytes", "rate-creates", "rate-commands", "rate-reads",
	"auth", "dev-anywhere", "oidc-audience", "oidc-client-id", "oidc-client-secret-file", "oidc-scopes", "oidc-name-claim", "operator-claim",
}

// Uses implements config.Chooser.
func (*commandLine) Uses(setting string) bool { return !slices.Contains(notOurs, setting) }

// UsesTemporal implements config.Chooser.
func (*commandLine) UsesTemporal() bool { return true }

func main() {
	var cli commandLine
	_, err := config.Parse(&cli, &cli.Config, os.Args[1:],
		kong.Name("worker"), kong.Description("Runs the workflows and activities of reelflow."))
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(2)
	}
	if err := run(&cli.Config); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(c *config.Config) error {
	ctx, stop := c.UntilStopped(context.Background())
	defer stop()
	return serve(ctx, c, c.Logger(os.Stderr))
}

// serve works until ctx ends, and tells at the health address how it goes.
func serve(ctx context.Context, c *config.Config, log *slog.Logger) error {
	metrics, health := telemetry.New(config.Version()), telemetry.NewHealth(log)
	if c.HealthAddr != "" {
		server, err := telemetry.Listen(c.HealthAddr, metrics, func(mux *http.ServeMux) { health.Register(mux) }, log)
		if err != nil {
			return fmt.Errorf("%w; choose another address with --health-addr (REELFLOW_HEALTH_ADDR)", err)
		}
		defer server.Close()
	}
	w, err := awaitOpen(ctx, c, metrics, health, log)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Run(ctx, func() { fmt.Println("ready") })
}

// openAgain is how long a worker waits that has said what it lacks.
const openAgain = 5 * time.Second

// awaitOpen opens the worker. Where there is a health address, one that lacks something that may
// come - its vault, an ffmpeg that works - says so there and tries again; else it fails, and
// whoever has started it may start it again. A place that belongs elsewhere is always a failure.
func awaitOpen(ctx context.Context, c *config.Config, m *telemetry.Metrics, h *telemetry.Health, log *slog.Logger) (*Worker, error) {
	for {
		w, err := open(ctx, c, m, h, log)
		if err == nil || c.HealthAddr == "" || video.CodeOf(err) != video.Unavailable || ctx.Err() != nil {
			return w, err
		}
		if _, wrong := errors.AsType[*identity.Mismatch](err); wrong {
			return nil, err
		}
		h.Waiting(err)
		log.Warn("not working yet", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(openAgain):
		}
	}
}
