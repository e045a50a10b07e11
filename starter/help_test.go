package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
)

// The help of a command that works on the places themselves shows what names those, and
// nothing of a server.
func TestHelpOfCommandsAtPlaces(t *testing.T) {
	for _, command := range [][]string{{"adopt"}, {"vault"}, {"vault", "check"}, {"vault", "rotate"}} {
		var out bytes.Buffer
		var cli commandLine
		_, _ = config.Parse(&cli, &cli.Config, append(command, "--help"), kong.Writers(&out, &out), kong.Exit(func(int) {})) // it ends with the help
		for _, used := range []string{"REELFLOW_DATABASE_URL", "REELFLOW_VAULT_ROOT", "REELFLOW_PRIMARY", "REELFLOW_BACKUPS", "TEMPORAL_ADDRESS"} {
			if !strings.Contains(out.String(), used) {
				t.Errorf("the help of %v doesn't show %s", command, used)
			}
		}
		for _, other := range []string{"REELFLOW_HTTP_ADDR", "REELFLOW_TOKEN", "REELFLOW_OIDC", "REELFLOW_RATE", "REELFLOW_SCRATCH", "REELFLOW_DELETE_GRACE"} {
			if strings.Contains(out.String(), other) {
				t.Errorf("the help of %v shows %s, which does nothing there", command, other)
			}
		}
	}
}
