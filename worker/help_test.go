package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/reelflow/reelflow/internal/config"
)

// The help of a program shows what the program uses.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	var cli commandLine
	_, _ = config.Parse(&cli, &cli.Config, []string{"--help"}, kong.Writers(&out, &out), kong.Exit(func(int) {})) // it ends with the help
	for _, used := range []string{"REELFLOW_ROLE", "REELFLOW_VAULT", "REELFLOW_SCRATCH", "REELFLOW_DELETE_GRACE", "REELFLOW_AUDIT_SETTLE", "REELFLOW_MAX_DURATION", "REELFLOW_PUBLIC_URL", "TEMPORAL_ADDRESS"} {
		if !strings.Contains(out.String(), used) {
			t.Errorf("it doesn't show %s", used)
		}
	}
	if others := regexp.MustCompile(`REELFLOW_(HTTP_ADDR|URL|TOKEN|TRUSTED|TLS|UI|DRAIN|RATE|QUOTA|MAX_OPEN|AUTH|DEV|OIDC|OPERATOR_CLAIM)\w*`).FindAllString(out.String(), -1); len(others) > 0 {
		t.Errorf("it shows %v, which do nothing in a worker", others)
	}
	for _, name := range notOurs { // none is left over from a setting that is no more
		if !strings.Contains(strings.Join((&config.Config{}).Environ(), "\n"), "REELFLOW_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"=") {
			t.Errorf("there is no setting %s", name)
		}
	}
}
