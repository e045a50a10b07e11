package config

import (
	"fmt"
	"slices"

	"github.com/alecthomas/kong"
)

// Client is a command that only talks to a gateway: of the settings it uses those that
// say where that is and who asks.
type Client interface{ UsesGatewayOnly() }

// clientSettings are what such a command uses.
var clientSettings = []string{"url", "token"}

// alsoSettings stands below the settings of programs that use Temporal.
const alsoSettings = `
Temporal, by the variables of its own SDK:
  TEMPORAL_ADDRESS (127.0.0.1:7233), TEMPORAL_NAMESPACE (default), TEMPORAL_API_KEY,
  TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH, TEMPORAL_TLS_SERVER_NAME, and TEMPORAL_CONFIG_FILE
  with TEMPORAL_PROFILE.
`

const anyFile = `
Any REELFLOW_X can be given as a file that holds it, by REELFLOW_X_FILE.
`

// printHelp shows a command's own flags and the settings that it uses.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	only := false
	if selected := ctx.Selected(); selected != nil && selected.Target.CanAddr() {
		_, only = selected.Target.Addr().Interface().(Client)
	}
	if only {
		for _, flag := range ctx.Model.Flags {
			if len(flag.Tag.Envs) > 0 && !slices.Contains(clientSettings, flag.Name) {
				flag.Hidden = true
			}
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	also := anyFile
	if !only {
		also = alsoSettings + anyFile
	}
	_, err := fmt.Fprint(ctx.Stdout, also)
	return err
}
