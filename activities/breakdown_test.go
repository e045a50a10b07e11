package activities

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// What scripts in ffmpeg's place do when the small clip is encoded or heard, and not the
// samples.
const (
	givesUp   = "echo 'Conversion failed!' >&2; exit 3"
	crashes   = "kill -SEGV $$"
	outOfRoom = "echo 'Cannot allocate memory' >&2; exit 1"
)

// process is another worker of the same installation, with an ffmpeg that does something
// else when asked for certain things, or is a real one.
func (r *rig) process(id, release, asked, script string) *rig {
	r.t.Helper()
	tools := *r.Media
	if script != "" {
		path := filepath.Join(r.t.TempDir(), "ffmpeg")
		r.must(os.WriteFile(path, []byte("#!/bin/sh\ncase \"$*\" in "+asked+") "+script+";; esac\nexec "+tools.FFmpeg+" \"$@\"\n"), 0o700))
		tools.FFmpeg = path
	}
	other := *r.Activities
	other.Media, other.Process = &tools, Process{id, release}
	return &rig{Activities: &other, t: r.t, ctx: r.ctx, id: r.id}
}

const (
	itsPieces = "*64p.mp4*"
	itsSound  = `*"-t 9.0"*" -af "*` // silence has no filters
)

func (r *rig) piece(n int) (workflows.Probed, error) {
	return r.EncodePiece(r.ctx, workflows.PieceInput{Leg: r.leg(3), Piece: n})
}

// machineNote is what operators can read of a video that breaks ffmpeg.
func (r *rig) machineNote() (note string) {
	r.t.Helper()
	notes, err := r.Catalog.NotesOf(r.ctx, []video.ID{r.id})
	r.must(err)
	for _, n := range notes[r.id] {
		if n.Author != catalog.MachineNote {
			continue
		}
		r.must(r.withKey(r.ctx, r.id, func(k vault.Key) error {
			plain, err := k.OpenColumn(n.Column(), n.Sealed)
			note = string(plain)
			return err
		}))
	}
	return note
}

// The same exit in two processes of one release is the upload's fault, and nothing less:
// not another exit, nor that of another release, nor the word of one process, which
// hands the work back.
func TestTheSameExitInTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	first := r.process("first", "1", itsPieces, givesUp)
	first.handBack = time.Hour // however slow this machine is
	for _, p := range []*rig{first, r.process("newer", "2", itsPieces, givesUp), r.process("crashing", "1", itsPieces, crashes)} {
		if probed, err := p.piece(0); err == nil || video.CodeOf(err).Permanent() || probed.Rejected != nil {
			t.Errorf("%s: %+v, %v", p.Process.ID, probed, err)
		}
	}
	_, err = first.piece(0)
	if back, ok := errors.AsType[*handedBack](err); !ok || back.after <= 0 || back.after > time.Hour {
		t.Errorf("the first one gets it again: %v", err)
	}
	probed, err := r.process("second", "1", itsPieces, givesUp).piece(0)
	if err != nil || probed.Rejected == nil || probed.Rejected.Code != "unsupported" || probed.Rejected.Message != breaksMessage {
		t.Fatalf("the second one: %+v, %v", probed, err)
	}
	if note := r.machineNote(); !strings.HasPrefix(note, "EncodePiece/0: ") || !strings.Contains(note, "Conversion failed!") {
		t.Errorf("operators read %q", note)
	}
	// What is known of one piece says nothing of another.
	if _, err := r.process("second", "1", itsPieces, "").piece(1); err != nil {
		t.Errorf("a process with a good ffmpeg: %v", err)
	}
}

// A machine that fails, by what it says or by what it can't do any more, makes no case.
func TestAMachinesFaultDoesNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	for _, p := range []*rig{
		r.process("a", "1", itsPieces, outOfRoom), r.process("b", "1", itsPieces, outOfRoom),
		r.process("c", "1", itsPieces, "kill -KILL $$"), r.process("d", "1", itsPieces, "kill -KILL $$"),
		r.process("e", "1", "*.mp4*", givesUp), r.process("f", "1", "*.mp4*", givesUp), // the sample, too
	} {
		if probed, err := p.piece(0); !is(err, video.Unavailable) || probed.Rejected != nil {
			t.Errorf("%s: %+v, %v", p.Process.ID, probed, err)
		}
	}
	if notes, err := r.Catalog.NotesOf(r.ctx, []video.ID{r.id}); err != nil || len(notes) > 0 {
		t.Errorf("noted: %+v, %v", notes, err)
	}
	if _, err := r.process("g", "1", itsPieces, "").piece(0); err != nil {
		t.Errorf("a process that is well: %v", err)
	}
}

// Where there is one process only, its second word counts, once others had the time to
// come; and sound that breaks the encoder is no end of a video.
func TestTheOnlyProcessPublishesBrokenSoundSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	only := r.process("only", "1", itsSound, givesUp)
	only.handBack = time.Second
	_, err = only.EncodeAudio(r.ctx, r.leg(3))
	broke := 0
	for back := (*handedBack)(nil); err != nil; _, err = only.EncodeAudio(r.ctx, r.leg(3)) {
		if errors.As(err, &back) {
			time.Sleep(back.after)
		} else if broke++; broke > 1 || !is(err, video.Internal) {
			t.Fatal(broke, err)
		}
	}
	v, err := r.Catalog.Video(r.ctx, r.id)
	r.must(err)
	if sound := r.primary(catalog.KindAudio); len(sound) != 1 || !strings.Contains(strings.Join(v.Warnings, " "), "published without sound") {
		t.Errorf("%d sounds, and %q", len(sound), v.Warnings)
	}
}

// On a real server, with retries as the workflows have them: one process alone comes to
// its verdict within the attempts of one leg.
func TestTheOnlyProcessOnAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	c, err := client.DialContext(t.Context(), client.Options{HostPort: devstacktest.Start(t, devstacktest.Temporal).Temporal})
	r.must(err)
	t.Cleanup(c.Close)
	only := r.process("only", "1", itsPieces, crashes)
	only.handBack = 4 * time.Second
	w := worker.New(c, "media", worker.Options{Interceptors: []interceptor.WorkerInterceptor{Interceptor(only.Log)}})
	only.Register(w, video.MediaQueue)
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in workflows.PieceInput) (probed workflows.Probed, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Minute,
			RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 5},
		})
		return probed, workflow.ExecuteActivity(ctx, "EncodePiece", in).Get(ctx, &probed)
	}, workflow.RegisterOptions{Name: "leg"})
	r.must(w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "media"}, "leg", workflows.PieceInput{Leg: r.leg(3)})
	r.must(err)
	var probed workflows.Probed
	if err := run.Get(t.Context(), &probed); err != nil || probed.Rejected == nil || probed.Rejected.Code != "unsupported" {
		t.Errorf("the leg ends with %+v, %v", probed, err)
	}
}
