// Package sandbox runs a program that reads what strangers made, so that one which such bytes
// have taken over finds nothing: no file but programs, libraries and its own scratch directory; no
// network but a socket to its input, which is served from outside; no other process; no
// environment, no capability, few system calls, and limits on time, memory, files and threads. On
// Linux it also dies with the process that started it, however that dies.
//
// What does that are layers (launcher.Layer), which a kernel or a container may lack. Open finds
// out which ones there are, once; each Box, the surroundings of one run, has all of those.
// The package launcher is what runs in the box before the program.
//
// A box keeps nothing: namespaces, mounts and sockets go with the program. The scratch directory
// is its user's to make and to remove.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/sandbox/launcher"
	"github.com/reelflow/reelflow/video"
)

// Mode says what is to become of programs where a layer is missing.
type Mode string

// The modes.
const (
	Require Mode = "require" // they aren't run
	Prefer  Mode = "prefer"  // they are run with those that there are
	Off     Mode = "off"     // they are run without any, wherever that is
)

// Sandbox is what there is of a sandbox on this machine. A nil *Sandbox is one without a
// layer. It is safe for concurrent use.
type Sandbox struct {
	layers []launcher.Layer
	lacks  []Lack
	filter []byte // of launcher.Seccomp
}

// Lack is a layer that is missing.
type Lack struct {
	Layer launcher.Layer
	Err   error // why
}

// Open tries which layers can be had, which takes some 10 ms. It fails with Unavailable if
// mode is Require and one is missing that the others don't make up for.
func Open(ctx context.Context, mode Mode) (*Sandbox, error) {
	if mode == Off {
		return nil, nil
	}
	s := find(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if mode == Require {
		if err := s.Check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Lacks returns the layers that are missing.
func (s *Sandbox) Lacks() []Lack {
	if s == nil {
		return nil
	}
	return s.lacks
}

func (s *Sandbox) lose(layer launcher.Layer, err error) {
	s.layers = slices.DeleteFunc(s.layers, func(l launcher.Layer) bool { return l == layer })
	s.lacks = append(s.lacks, Lack{layer, err})
}

// Fit gives up layers until a program runs in a box, as proof finds out: those that hide files
// first, for a program's libraries may lie where nobody looks for them. Where it runs in none, it
// may be broken.
func (s *Sandbox) Fit(ctx context.Context, proof func(context.Context) error) {
	for _, layers := range [][]launcher.Layer{{launcher.Root, launcher.Landlock}, {launcher.Seccomp}, {launcher.Namespaces}} {
		err := proof(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		for _, layer := range layers {
			if s.has(layer) {
				s.lose(layer, fmt.Errorf("ffmpeg doesn't run within it: %w", err))
			}
		}
	}
}

// Check fails with Unavailable if a layer is missing that the others don't make up for: all but
// launcher.Root where launcher.Landlock refuses the same files.
func (s *Sandbox) Check() error {
	if s == nil {
		return unavailable("ffmpeg runs without a sandbox, as REELFLOW_SANDBOX says.", nil)
	}
	var names []string
	var causes []error
	for _, lack := range s.lacks {
		if lack.Layer == launcher.Root && s.has(launcher.Landlock) {
			continue
		}
		names = append(names, string(lack.Layer))
		causes = append(causes, fmt.Errorf("%s: %w", lack.Layer, lack.Err))
	}
	if len(names) == 0 {
		return nil
	}
	return unavailable(fmt.Sprintf("The sandbox of ffmpeg lacks a part on this machine: %s. docs/sandbox.md says what each needs of the kernel "+
		"and the container; with REELFLOW_SANDBOX=prefer ffmpeg runs without it.", strings.Join(names, ", ")), errors.Join(causes...))
}

func unavailable(detail string, cause error) error {
	return video.Errorf(video.Unavailable, "%s", detail).Because(cause)
}

func (s *Sandbox) has(layer launcher.Layer) bool {
	return s != nil && slices.Contains(s.layers, layer)
}

// Limits of one run. Data, not address space, is what is limited: allocators reserve more
// than they use, the more so the more cores there are.
type Limits struct {
	CPU  time.Duration // processor time, in whole seconds
	Data int64         // bytes of memory
	File int64         // bytes of the largest file
}

// port is where programs find their input, on a loopback interface of their own.
const port = 8080

// Box is the surroundings of one run.
type Box struct {
	sandbox  *Sandbox
	listener net.Listener // where the program shares this process's network; else nil
}

// NewBox makes a box. Start uses it up; else Close it.
func (s *Sandbox) NewBox() (*Box, error) {
	b := &Box{sandbox: s}
	if s.has(launcher.Namespaces) {
		return b, nil
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the program: %w", err)
	}
	b.listener = listener
	return b, nil
}

// Address is the host and port at which the program will find its input.
func (b *Box) Address() string {
	if b.listener != nil {
		return b.listener.Addr().String()
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// Close lets go of a box that wasn't started.
func (b *Box) Close() error {
	if b.listener == nil {
		return nil
	}
	return b.listener.Close()
}

// Start starts cmd in the box, and returns the listener at which the program asks for its input,
// the caller's to close. cmd has an absolute path, a scratch directory as Dir that is the
// program's alone, and its streams; Start writes the rest. The calling goroutine must be
// locked to its thread until the program has ended: with the thread the program is killed.
// After an error nothing runs, and the box is closed.
func (b *Box) Start(cmd *exec.Cmd, limits Limits) (net.Listener, error) {
	listener, err := b.start(cmd, limits)
	if err != nil {
		b.Close()
		return nil, err
	}
	return listener, nil
}
