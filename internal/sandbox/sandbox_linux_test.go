package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reelflow/reelflow/internal/sandbox/launcher"
	"github.com/reelflow/reelflow/video"
)

// TestMain also plays the processes that are killed, or lack namespaces.
func TestMain(m *testing.M) {
	switch os.Getenv("SANDBOX_TEST") {
	case "starter":
		startAndWait(os.Getenv("SANDBOX_TEST_PROGRAM"))
	case "lacking":
		lacking(os.Getenv("SANDBOX_TEST_PROGRAM"), os.Getenv("SANDBOX_TEST_SECRET"))
	}
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err != nil {
		panic(err)
	}
	program = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "attack")
		build := exec.Command("go", "build", "-o", path, "./testdata/attack")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return path, err
	})
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var program func() (string, error)

func attacker(t testing.TB) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// whole is the sandbox with all of its layers, without which these tests prove nothing.
func whole(t testing.TB) *Sandbox {
	t.Helper()
	s, err := Open(t.Context(), Require)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var limits = Limits{CPU: time.Minute, Data: 512 << 20, File: 1 << 20}

// run runs a program in a box, in which its input is a word.
func run(ctx context.Context, s *Sandbox, dir, path string, args ...string) (out string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	box, err := s.NewBox()
	if err != nil {
		return "", err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PORT", box.Address()[len("127.0.0.1:"):])
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var words bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &words, &words
	listener, err := box.Start(cmd, limits)
	if err != nil {
		return "", err
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("the input"))
			conn.Close()
		}
	})
	err = cmd.Wait()
	listener.Close()
	serving.Wait()
	return words.String(), err
}

func TestNothingIsLacking(t *testing.T) {
	if lacks := whole(t).Lacks(); len(lacks) > 0 {
		t.Errorf("this machine lacks %v", lacks)
	}
	var off *Sandbox
	if video.CodeOf(off.Check()) != video.Unavailable {
		t.Error("a sandbox that is off says that it is whole")
	}
}

// The way of an input, and of what is made of it.
func TestProgramHasWhatItNeeds(t *testing.T) {
	for name, s := range map[string]*Sandbox{"with a sandbox": whole(t), "without": nil} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := run(t.Context(), s, dir, attacker(t), "ask", "PORT")
			if err != nil || out != "the input" {
				t.Fatalf("got %v: %s", err, out)
			}
			if kept, err := os.ReadFile(filepath.Join(dir, "answer")); err != nil || string(kept) != "the input" {
				t.Errorf("kept %q: %v", kept, err)
			}
			out, err = run(t.Context(), s, dir, "/bin/sh", "-c", "echo $0 $# $PATH; echo words >&2; exit 3")
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 || !strings.Contains(out, "words") || !strings.Contains(out, "/usr/bin:/bin") {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}

// secrets are what lies around a program: files, sockets, a process.
type secrets struct {
	dir, file, unix, abstract, tcp, udp string
	victim                              string // the id of a process
}

func place(t *testing.T) secrets {
	t.Helper()
	s := secrets{dir: t.TempDir(), abstract: "@reelflow-sandbox-test-" + strconv.Itoa(os.Getpid())}
	s.file, s.unix = filepath.Join(s.dir, "secret"), filepath.Join(s.dir, "socket")
	if err := os.WriteFile(s.file, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} { // not the rights of files are to be what holds
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{s.unix, s.abstract} {
		listener, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
	}
	if err := os.Chmod(s.unix, 0o777); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	s.tcp, s.udp = portOf(tcp.Addr()), portOf(udp.LocalAddr())
	victim := exec.Command("sleep", "600")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill(); victim.Wait() })
	s.victim = strconv.Itoa(victim.Process.Pid)
	return s
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// What a program gone bad may try, it can do outside, and can't in a box.
func TestAttacks(t *testing.T) {
	t.Setenv("REELFLOW_SECRET", "xyzzy")
	box, path, s := whole(t), attacker(t), place(t)
	for name, c := range map[string]struct {
		argument string
		root     bool // outside only root can do it
	}{
		"read":             {argument: s.file},
		"list":             {argument: s.dir},
		"stat":             {argument: s.file},
		"write":            {argument: filepath.Join(s.dir, "written")},
		"large file":       {argument: "large"},
		"leave by a link":  {argument: s.file},
		"connect tcp":      {argument: s.tcp},
		"connect udp":      {argument: s.udp},
		"connect unix":     {argument: s.unix},
		"listen":           {},
		"raw packets":      {root: true},
		"netlink":          {},
		"read environment": {argument: s.victim},
		"read memory":      {argument: s.victim},
		"ptrace":           {argument: s.victim, root: true},
		"signal":           {argument: s.victim},
		"fork":             {},
		"threads":          {},
		"allocate":         {},
		"inherit":          {argument: "xyzzy"},
		"capabilities":     {root: true},
		"new namespace":    {root: true},
		"mount":            {argument: s.dir, root: true},
		"change root":      {root: true},
		"keys":             {},
		"become root":      {root: true},
		"outlive":          {},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "ptrace" { // which stops the victim for a moment
				t.Parallel()
			}
			if os.Getuid() == 0 || !c.root {
				control := exec.Command(path, name, c.argument)
				control.Dir = t.TempDir()
				if out, err := control.CombinedOutput(); err != nil {
					t.Fatalf("it fails outside, too: %v: %s", err, out)
				}
			}
			out, err := run(t.Context(), box, t.TempDir(), path, name, c.argument)
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() == launcherFailed {
				t.Fatalf("got %v: %s", err, out)
			}
		})
	}
	out, err := run(t.Context(), box, t.TempDir(), path, "connect unix", s.abstract)
	if err == nil {
		t.Errorf("an abstract socket: %s", out)
	}
}

// launcherFailed is the exit status of a launcher: an attack that ends so wasn't tried.
const launcherFailed = 125

// Nobody else's scratch directory is there, and the worker's own environment isn't.
func TestAttacksOnTheWorker(t *testing.T) {
	box, path := whole(t), attacker(t)
	other := t.TempDir()
	for attack, argument := range map[string]string{
		"list": other, "read environment": strconv.Itoa(os.Getpid()), "read memory": strconv.Itoa(os.Getpid()),
		"signal": strconv.Itoa(os.Getpid()), "read": "/proc/self/status",
	} {
		if out, err := run(t.Context(), box, t.TempDir(), path, attack, argument); err == nil {
			t.Errorf("%s: %s", attack, out)
		}
	}
}

func TestBoxEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	began := time.Now()
	if out, err := run(ctx, whole(t), t.TempDir(), attacker(t), "wait"); !errors.Is(err, context.Canceled) && err == nil {
		t.Errorf("got %v: %s", err, out)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// startAndWait is a process that starts a program in a box and tells its id.
func startAndWait(path string) {
	runtime.LockOSThread()
	s, err := Open(context.Background(), Require)
	if err != nil {
		panic(err)
	}
	box, err := s.NewBox()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(path, "wait")
	if _, err := box.Start(cmd, limits); err != nil {
		panic(err)
	}
	fmt.Println(cmd.Process.Pid)
	panic(cmd.Wait())
}

// A process that is killed takes its program along.
func TestProgramDiesWithItsStarter(t *testing.T) {
	starter := exec.Command("/proc/self/exe")
	starter.Env = append(os.Environ(), "SANDBOX_TEST=starter", "SANDBOX_TEST_PROGRAM="+attacker(t))
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("it doesn't run: %v", err)
	}
	starter.Process.Kill()
	starter.Wait()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); bytes.Contains(state, []byte(") Z ")) {
			break // dead, and of interest to nobody
		}
		if time.Now().After(deadline) {
			t.Fatal("it lives on")
		}
	}
}

// lacking is a process on a machine that lets nobody make namespaces: what is left still holds.
func lacking(path, secret string) {
	_, err := Open(context.Background(), Require)
	fmt.Println(err)
	s, err := Open(context.Background(), Prefer)
	for _, lack := range s.Lacks() {
		fmt.Println("lacks", lack.Layer)
	}
	dir, made := os.MkdirTemp("", "lacking")
	if err != nil || made != nil {
		panic(errors.Join(err, made))
	}
	defer os.RemoveAll(dir)
	for _, attack := range []string{"ask PORT", "read " + secret, "fork x", "connect unix"} {
		name, argument, _ := strings.Cut(attack, " ")
		out, err := run(context.Background(), s, dir, path, name, argument)
		fmt.Println(name, out, err)
	}
	os.Exit(0)
}

func TestWhatIsLackingIsSaid(t *testing.T) {
	secret := place(t)
	cmd := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && exec "+must(os.Executable()))
	cmd.Env = append(os.Environ(), "SANDBOX_TEST=lacking", "SANDBOX_TEST_PROGRAM="+attacker(t), "SANDBOX_TEST_SECRET="+secret.file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"lacks a part on this machine: namespaces. ", "lacks namespaces\nlacks root\n", "ask the input <nil>", "fork operation not permitted", "read open"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), string(launcher.Seccomp)) || strings.Contains(string(out), string(launcher.Landlock)) {
		t.Errorf("it lacks more:\n%s", out)
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// What a box costs at the start of a program: 20 ms at most is promised.
func BenchmarkStart(b *testing.B) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		b.Fatal(err)
	}
	for name, s := range map[string]*Sandbox{"boxed": whole(b), "bare": nil} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				if out, err := run(b.Context(), s, dir, ffmpeg, "-v", "error", "-h", "muxer=null"); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}

// Layers within which a program doesn't run are given up, those that hide files first, and no more
// than that takes.
func TestFitGivesUpWhatAProgramCanNotDoWith(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Prefer)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(s.layers)
	s.Fit(t.Context(), func(context.Context) error { return nil })
	if !slices.Equal(s.layers, before) {
		t.Errorf("%v are left of %v where all is well", s.layers, before)
	}
	s.Fit(t.Context(), func(context.Context) error {
		if s.has(launcher.Root) || s.has(launcher.Landlock) {
			return errors.New("no library")
		}
		return nil
	})
	if s.has(launcher.Root) || s.has(launcher.Landlock) || s.has(launcher.Seccomp) != slices.Contains(before, launcher.Seccomp) {
		t.Errorf("%v are left of %v", s.layers, before)
	}
	if s.Check() == nil {
		t.Error("what is missing is no fault")
	}
}
