package media

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// workForever is the whole of a process that TestKilledParent kills. Its program
// would not mind to live on: it asks nobody for input and has nothing to say.
func workForever(dir string) {
	runner := defaultRunner()
	runner.Scratch = dir
	panic(runner.Run(context.Background(), Job{Program: "/bin/sh",
		Args: func(string) []string { return []string{"-c", "echo x >working; exec sleep 60"} }}))
}

// long takes some seconds to encode.
func long(t testing.TB) string {
	return clip(t, "long.mp4", args(picture("1280x720", "30", 10), sound(10), h264, "-c:a aac -movflags faststart")...)
}

// children returns the processes whose working directory lies below dir.
func children(t testing.TB, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := long(t)
	info := probe(t, tools, path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		result <- tools.EncodePiece(ctx, file(path), info, Ladder(info), Pieces(info, PieceLength(info))[0], nil,
			func(string, io.ReadSeeker, int64) error { return errors.New("too fast for the test") })
	}()
	eventually(t, "the encoding has begun", func() bool {
		files, err := filepath.Glob(filepath.Join(tools.Runner.Scratch, "*", "*.mp4"))
		return err == nil && len(files) > 0
	})
	canceled := time.Now()
	cancel()
	if err := <-result; err != context.Canceled {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(canceled); took > 1500*time.Millisecond {
		t.Errorf("returned %v after the cancel", took)
	}
	if left := children(t, tools.Runner.Scratch); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// A source that stands still must not hold up a cancel.
func TestCancelWaitingForSource(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	ctx, cancel := context.WithCancel(t.Context())
	reading := make(chan struct{}, 100)
	stuck := func(ctx context.Context) (io.ReadSeekCloser, error) {
		return &stuckFile{ctx, bytes.NewReader(make([]byte, 1<<20)), reading}, nil
	}
	info := probe(t, tools, long(t))
	go func() { <-reading; cancel() }()
	began := time.Now()
	if _, err := tools.Poster(ctx, stuck, info); err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

type stuckFile struct {
	ctx context.Context
	*bytes.Reader
	reading chan struct{}
}

func (s *stuckFile) Read([]byte) (int, error) {
	s.reading <- struct{}{}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stuckFile) Close() error { return nil }

// Broken off is not the end: the error of the source is the error of the call,
// and never the uploader's fault.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := long(t)
	info := probe(t, tools, path)
	down := video.Errorf(video.Unavailable, "The store is down.")
	failing := breaking(read(t, path), down)
	piece := produce(t, tools, clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...), 10*time.Second).mp4["180p"][0]
	sink := func(string, io.ReadSeeker, int64) error { return errors.New("a piece was delivered") }
	calls := map[string]func() error{
		"piece": func() error {
			return tools.EncodePiece(t.Context(), failing, info, Ladder(info)[1:], Pieces(info, PieceLength(info))[0], nil, sink)
		},
		"audio":    func() error { return tools.EncodeAudio(t.Context(), failing, info, nil, sink) },
		"previews": func() error { _, _, err := tools.Previews(t.Context(), failing, info); return err },
		"package": func() error {
			return tools.Package(t.Context(), info, []Source{inMemory(piece), breaking(piece, down)}, nil, func(Segment) error { return nil })
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, down) || video.CodeOf(err) != video.Unavailable {
			t.Errorf("%s: got %v, want %v", name, err, down)
		}
	}
}

// breaking is a source that fails in the middle.
func breaking(data []byte, err error) Source {
	return func(context.Context) (io.ReadSeekCloser, error) {
		return &brokenFile{bytes.NewReader(data), err}, nil
	}
}

type brokenFile struct {
	data *bytes.Reader
	err  error
}

func (b *brokenFile) Read(p []byte) (int, error) {
	if int64(b.data.Len())-int64(len(p)) < b.data.Size()/2 {
		return 0, b.err
	}
	return b.data.Read(p)
}

func (b *brokenFile) Seek(offset int64, whence int) (int64, error) {
	return b.data.Seek(offset, whence)
}

func (b *brokenFile) Close() error { return nil }

func TestReceiverFails(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	p := produce(t, tools, clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...), 10*time.Second)
	full := errors.New("store is full")
	sink := func(string, io.ReadSeeker, int64) error { return full }
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...)
	if err := tools.EncodePiece(t.Context(), file(path), p.info, p.ladder, p.pieces[0], nil, sink); !errors.Is(err, full) {
		t.Errorf("piece: got %v, want %v", err, full)
	}
	calls := 0
	err := tools.Package(t.Context(), p.info, []Source{inMemory(p.mp4["180p"][0])}, inMemory(p.audio), func(Segment) error {
		calls++
		return full
	})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("package: got %v after %d calls, want %v after the first", err, calls, full)
	}
}

// Pieces that are not what EncodePiece made are our fault, not the uploader's.
func TestPackageBrokenPiece(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...)
	p := produce(t, tools, path, 2*time.Second)
	whole := p.mp4["180p"]
	for name, pieces := range map[string][]Source{
		"not a video": {inMemory(whole[0]), inMemory([]byte("nothing"))},
		"cut off":     {inMemory(whole[0]), inMemory(whole[1][:len(whole[1])/2])},
		"not aligned": {inMemory(whole[0]), file(clip(t, "other.mp4", args(picture("320x180", "30", 1.5), h264)...)), inMemory(whole[1])},
	} {
		err := tools.Package(t.Context(), p.info, pieces, nil, func(Segment) error { return nil })
		if err == nil || video.CodeOf(err) != video.Internal {
			t.Errorf("%s: got %v, want an internal error", name, err)
		}
	}
}

// A process that is killed takes its programs along, and the next one sweeps up
// behind it, but leaves alone what is in use.
func TestKilledParent(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), "MEDIA_TEST_WORK="+dir)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	runner := defaultRunner()
	runner.Scratch = dir
	working := func() bool {
		files, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*", "working"))
		return err == nil && len(files) == 1
	}
	eventually(t, "a program at work", working)
	if err := runner.Sweep(); err != nil || !working() {
		t.Errorf("sweep touched what is in use: %v", err)
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed, as it should be
	eventually(t, "the program gone", func() bool { return len(children(t, dir)) == 0 })
	if err := runner.Sweep(); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left after the sweep: %v, %v", left, err)
	}
}

// The program finds nothing of ours, even without a sandbox: no environment, no limits lifted.
func TestProgramIsConfined(t *testing.T) {
	t.Setenv("REELFLOW_SECRET", "secret")
	runner := bare(t).Runner
	runner.File, runner.CPU = 1<<20, time.Hour
	shell := func(script string) (string, error) {
		out := capped{limit: 1 << 16}
		err := runner.Run(t.Context(), Job{Program: "/bin/sh", Stdout: &out,
			Args: func(string) []string { return []string{"-c", "sleep 0.2; " + script} }})
		return out.String(), err
	}
	out, err := shell("env; ulimit -c; ulimit -f; ulimit -t; ulimit -d")
	if err != nil || strings.Contains(out, "secret") || !strings.Contains(out, "\n0\n2048\n3600\n") {
		t.Errorf("got %v:\n%s", err, out)
	}
	_, err = shell("yes >big")
	if exit, ok := errors.AsType[*ExitError](err); !ok || exit.Status == 0 {
		t.Errorf("a file without end: got %v", err)
	}
	if _, err = shell("yes"); !errors.Is(err, errTooMuch) {
		t.Errorf("output without end: got %v", err)
	}
	_, err = shell("kill -9 $$")
	if video.CodeOf(err) != video.Unavailable {
		t.Errorf("killed from outside: got %v", err)
	}
}

// The whole group goes, also what the program started.
func TestGroupIsKilled(t *testing.T) {
	t.Parallel()
	tools := bare(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := tools.Runner.Run(ctx, Job{Program: "/bin/sh", Stdout: io.Discard,
		Args: func(string) []string { return []string{"-c", "sleep 60 & sleep 60"} }})
	if took := time.Since(began); err != context.DeadlineExceeded || took > 5*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
	eventually(t, "no process left", func() bool { return len(children(t, tools.Runner.Scratch)) == 0 })
}

// The limit on processor time ends what would go on for ever, and is told from
// a kill by somebody else.
func TestOverTime(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := long(t)
	info := probe(t, tools, path)
	tools.Runner.CPU = time.Second
	err := tools.EncodePiece(t.Context(), file(path), info, Ladder(info), Pieces(info, PieceLength(info))[0], nil,
		func(string, io.ReadSeeker, int64) error { return nil })
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || !exit.OverTime {
		t.Errorf("got %v", err)
	}
}
