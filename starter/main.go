// Command starter is reelflow's command line: it serves the API gateway, and is a
// client of it.
//
// On its own it keeps only the addresses of unfinished uploads, one small file
// each below the user's state folder (XDG_STATE_HOME), which go when the upload
// ends. `run` and `demo` start everything as child processes, which end with it.
//
// It exits with 0 when what was asked is done, with 1 when it was refused or
// failed, and with 2 when it was used wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/video"
)

type commandLine struct {
	config.Config `embed:""`
	Version       kong.VersionFlag `name:"version" help:"Print the version and exit."`

	Serve   serveCommand   `cmd:"" help:"Serve the API gateway."`
	Upload  uploadCommand  `cmd:"" help:"Upload a video and follow it until it is published, in review or scheduled; go on with an upload that was interrupted."`
	Import  importCommand  `cmd:"" help:"Let the gateway fetch a video from an address."`
	List    listCommand    `cmd:"" help:"List your videos."`
	Drafts  draftsCommand  `cmd:"" help:"List your drafts: how much of each is stored, and until when it is kept."`
	Status  statusCommand  `cmd:"" help:"Show where a video is, how much of it, and which store holds what; of an erased one the receipt, with exit code 1."`
	Pause   pauseCommand   `cmd:"" help:"Pause a video on its way; nothing of it moves until it is resumed."`
	Resume  resumeCommand  `cmd:"" help:"Let a paused video go on, or take up a draft."`
	Cancel  cancelCommand  `cmd:"" help:"Cancel a video before it is public; nothing of it stays."`
	Approve approveCommand `cmd:"" help:"Approve a video in review."`
	Reject  rejectCommand  `cmd:"" help:"Reject a video in review."`
	Publish publishCommand `cmd:"" help:"Publish a scheduled video now; operators also one in review."`
	Restore restoreCommand `cmd:"" help:"Bring a canceled video back while its grace runs (operators)."`
	Hold    holdCommand    `cmd:"" help:"Put a video under legal hold: nothing of it is erased (operators)."`
	Release releaseCommand `cmd:"" help:"End a legal hold (operators)."`
	Delete  deleteCommand  `cmd:"" help:"Delete a video; there is no way back."`
	Receipt receiptCommand `cmd:"" help:"Print the receipt of an erasure."`
	Verify  verifyCommand  `cmd:"" help:"Check the receipt of an erasure."`

	Adopt adoptCommand `cmd:"" help:"Make a place belong to this installation: catalog, vault, temporal or a store's name (operators, with the settings of a gateway)."`

	Vault vaultCommand `cmd:"" help:"Look after the key vault (operators, with the settings of a gateway)."`

	Catalog catalogCommand `cmd:"" help:"Rebuild a catalog that was lost (operators, with the settings of a gateway)."`

	Run  runCommand  `cmd:"" hidden:"" help:"Run everything on this machine; make run does."`
	Demo demoCommand `cmd:"" hidden:"" help:"Show a whole life on throw-away data; make demo does."`
}

// clientOnly is a command that only talks to a gateway.
type clientOnly = config.ClientOnly

// shell is what every command gets.
type shell struct {
	*config.Config
	ctx      context.Context // ends when the program is told to stop
	out, err io.Writer
	terminal bool // out is one
}

// gateway is the client of the gateway that the settings name.
func (s *shell) gateway() (*client.Client, error) { return client.New(s.URL, string(s.Token)) }

func main() { os.Exit(start(os.Args[1:])) }

// start runs one command and returns the exit code.
func start(args []string) int {
	var cli commandLine
	command, err := config.Parse(&cli, &cli.Config, args, kong.Name("starter"),
		kong.Description("The command line of reelflow."), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "starter:", err)
		return 2
	}
	ctx, stop := cli.UntilStopped(context.Background())
	defer stop()
	err = command.Run(&shell{
		Config: &cli.Config, ctx: ctx, out: os.Stdout, err: os.Stderr, terminal: isatty.IsTerminal(os.Stdout.Fd()),
	})
	return exitCode(ctx, err)
}

// wrongUse is a mistake in the arguments that only the command could find.
type wrongUse struct{ reason string }

func (w wrongUse) Error() string { return w.reason }

// said is a failure that has been told already.
type said struct{ error }

func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if _, told := errors.AsType[said](err); !told {
		fmt.Fprintln(os.Stderr, "starter:", explain(ctx, err))
	}
	if _, wrong := errors.AsType[wrongUse](err); wrong {
		return 2
	}
	return 1
}

// explain is the sentence for a person: the detail of the gateway's problem
// without codes, and for what can't be reached the cause as well.
func explain(ctx context.Context, err error) string {
	coded, ok := errors.AsType[*video.Error](err)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return "interrupted"
	case !ok:
		return err.Error()
	case coded.Code == video.Unavailable && coded.Unwrap() != nil:
		return fmt.Sprintf("%s (%v)", coded.Detail, coded.Unwrap())
	}
	return coded.Detail
}
