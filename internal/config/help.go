package config

import (
	"fmt"
	"slices"

	"github.com/alecthomas/kong"
)

// Chooser is a command, or a program without commands, that uses some of the settings
// alone, by the names of their flags; its help shows no others.
type Chooser interface {
	Uses(setting string) bool
	UsesTemporal() bool
}

// clientSettings are what a command uses that only talks to a gateway: where that is, and
// who asks.
var clientSettings = []string{"url", "token"}

// ClientOnly is embedded in such commands.
type ClientOnly struct{}

// Uses implements Chooser.
func (ClientOnly) Uses(setting string) bool { return slices.Contains(clientSettings, setting) }

// UsesTemporal implements Chooser.
func (ClientOnly) UsesTemporal() bool { return false }

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
	selected := ctx.Selected()
	if selected == nil {
		selected = ctx.Model.Node
	}
	also := alsoSettings + anyFile
	if chooser, ok := target(selected).(Chooser); ok {
		for _, flag := range ctx.Model.Flags {
			if len(flag.Tag.Envs) > 0 && !chooser.Uses(flag.Name) {
				flag.Hidden = true
			}
		}
		if !chooser.UsesTemporal() {
			also = anyFile
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	_, err := fmt.Fprint(ctx.Stdout, also)
	return err
}

// target is the struct that a node of the command line was made of; nil if there is none.
func target(n *kong.Node) any {
	if !n.Target.CanAddr() {
		return nil
	}
	return n.Target.Addr().Interface()
}
