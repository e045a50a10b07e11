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
	"fmt"
	"os"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
)

type commandLine struct {
	config.Config `embed:""`
	Version       kong.VersionFlag `name:"version" help:"Print the version and exit."`
}

// notOurs are the settings of gateways and of the command line.
var notOurs = []string{
	"http-addr", "url", "public-url", "trusted-proxies", "drain", "tls-cert-file", "tls-key-file", "ui-addr", "token",
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
	log := c.Logger(os.Stderr)
	w, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Run(ctx, func() { fmt.Println("ready") })
}
