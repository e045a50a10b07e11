// Command bench measures what people wait for and what a life costs, beside the
// tools that others would take for the same work: s5cmd, tusd, rclone, nginx, ffmpeg
// and Temporal by themselves. It prints a table in Markdown as it goes.
//
// It runs a stack of its own on free ports; all that it makes lies in one
// temporary folder, which goes with it. Contestants run by turns, so that a
// machine that becomes slower is no one's loss, and a broken promise - a byte
// after a pause, an object after a purge - is a failure and no figure.
//
// `make bench` builds the peers of bench/go.mod and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/stack"
)

// bench is one run of the benchmarks.
type bench struct {
	*stack.Stack
	ctx    context.Context
	me     *client.Client
	stores []objects.Store // the primary first
	places []place         // of the same
	dir    string          // goes at the end
	peers  string          // folder of s5cmd, tusd and rclone
	clip   string          // a video of ten seconds
	idle   int64           // resident bytes of the gateway before its first request

	turns  int // of each contestant, after one for warming up
	rounds int // of each command
}

type part struct {
	name  string
	run   func(*bench) error
	peers []string // that bench/run builds
}

// parts are the benchmarks, in their order: lives first, on a server that has
// done nothing else.
var parts = []part{
	{"lives", (*bench).lives, nil},
	{"uploads", (*bench).uploads, []string{"s5cmd", "tusd"}},
	{"crowd", (*bench).crowd, nil},
	{"interruptions", (*bench).interruptions, nil},
	{"copies", (*bench).copies, []string{"rclone"}},
	{"purges", (*bench).purges, []string{"s5cmd"}},
	{"playback", (*bench).playback, nil}, // and nginx, which is installed
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	b := &bench{ctx: ctx}
	bin := flag.String("bin", "bin", "folder of devstack, worker and starter")
	only := flag.String("only", "", "comma-separated choice of lives, uploads, crowd, interruptions, copies, purges, playback")
	flag.StringVar(&b.peers, "peers", "bench/bin", "folder of s5cmd, tusd and rclone")
	flag.IntVar(&b.turns, "turns", 3, "turns of each contestant")
	flag.IntVar(&b.rounds, "rounds", 20, "rounds of each command")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if err := b.findPeers(chosen); err != nil {
		return err
	}
	return b.all(*bin, chosen)
}

func choose(only string) (chosen []part, err error) {
	if only == "" {
		return parts, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q", name)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

// findPeers fails when one is missing: a table without it would say nothing.
func (b *bench) findPeers(chosen []part) (err error) {
	if b.peers, err = filepath.Abs(b.peers); err != nil {
		return err
	}
	for _, part := range chosen {
		for _, name := range part.peers {
			if _, err := exec.LookPath(filepath.Join(b.peers, name)); err != nil {
				return fmt.Errorf("the peer %s is not built (bench/run builds it): %w", name, err)
			}
		}
	}
	_, err = exec.LookPath("ffmpeg")
	return err
}

// all runs the chosen benchmarks on a stack that lives as long as they do.
func (b *bench) all(bin string, chosen []part) (err error) {
	if b.dir, err = os.MkdirTemp("", "reelflow-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.makeClip(); err != nil {
		return err
	}
	b.Stack, err = stack.Start(b.ctx, stack.Options{
		Bin: bin, Dir: filepath.Join(b.dir, "stack"), FreePorts: true,
		Env: []string{"REELFLOW_DELETE_GRACE=0s", "REELFLOW_AUDIT_EVERY=1h", "REELFLOW_LOG_LEVEL=warn"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.connect(); err != nil {
		return err
	}
	fmt.Printf("%s; %d cores, load %s\n\n%s", time.Now().Format(time.DateOnly), runtime.NumCPU(), load(), header)
	for _, part := range chosen {
		begun := time.Now()
		if err := part.run(b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s took %v\n", part.name, time.Since(begun).Round(time.Second))
	}
	fmt.Printf("\nload at the end %s\n", load())
	return nil
}

func (b *bench) connect() (err error) {
	if b.idle, err = process(b.Gateways[0].Pid()).status("VmRSS"); err != nil {
		return err
	}
	if b.me, err = client.New(b.URLs[0], token); err != nil {
		return err
	}
	for _, at := range b.Stores {
		store, err := objects.Open(at.URL)
		if err != nil {
			return err
		}
		where, err := placeOf(at)
		if err != nil {
			return err
		}
		b.stores, b.places = append(b.stores, store), append(b.places, where)
	}
	return nil
}

// token is who uploads in all benchmarks.
const token = "dev:bench"

// load is the average number of processes that wanted to run lately: figures of
// a busy machine are worth little.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
