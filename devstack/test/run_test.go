package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// diesWithParent tells whether even a frozen child ends when devstack is killed, which takes the kernel's help.
const diesWithParent = runtime.GOOS == "linux"

var binary = func() string {
	path, err := filepath.Abs("../../bin/devstack")
	if err != nil {
		panic(err)
	}
	return path
}()

// TestMain brings bin/devstack up to date; when it is, that takes a second. The tests mostly wait for other processes,
// so more of them run at once than there are cores.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

type store struct{ Name, Endpoint, URL string }

type report struct {
	Temporal, UI, Metrics string
	Stores                []store
}

// addresses lists every host:port in the report.
func (r report) addresses() []string {
	var all []string
	for _, flag := range r.flags() {
		if !strings.HasPrefix(flag, "--") {
			all = append(all, flag[strings.Index(flag, "=")+1:])
		}
	}
	return all
}

// flags start devstack at the addresses of the report.
func (r report) flags() []string {
	var flags []string
	if r.Temporal != "" {
		flags = append(flags, "--temporal-addr", r.Temporal, "--ui-addr", host(r.UI), "--metrics-addr", host(r.Metrics))
	}
	for _, s := range r.Stores {
		flags = append(flags, "--store-addr", s.Name+"="+host(s.Endpoint))
	}
	return flags
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	return u.Host
}

// A stack is a devstack that has reported where it can be reached.
type stack struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bytes.Buffer
	report report
}

// start runs devstack until it is ready; the test's end stops it.
func start(t *testing.T, args ...string) *stack {
	t.Helper()
	return startCommand(t, binary, args...)
}

func startCommand(t *testing.T, name string, args ...string) *stack {
	t.Helper()
	s := launch(t, name, args...)
	s.awaitReport()
	return s
}

// launch runs a command that is or becomes a devstack.
func launch(t *testing.T, name string, args ...string) *stack {
	t.Helper()
	s := &stack{t: t, cmd: exec.Command(name, args...), stderr: &bytes.Buffer{}}
	s.cmd.Stderr = s.stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

func (s *stack) awaitReport() {
	s.t.Helper()
	line, err := s.stdout.ReadBytes('\n')
	if err != nil {
		_ = s.cmd.Wait()
		s.t.Fatalf("%q ended before it was ready: %s", s.cmd.Args, s.stderr)
	}
	if err := json.Unmarshal(line, &s.report); err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
}

// end stops what still runs and shows what it complained of if the test failed.
func (s *stack) end() {
	if s.cmd.ProcessState == nil {
		s.signal(syscall.SIGCONT)
		s.signal(os.Interrupt)
		_ = s.cmd.Wait()
	}
	if s.t.Failed() {
		s.t.Logf("devstack %q said: %s", s.cmd.Args[1:], s.stderr)
	}
}

func (s *stack) pid() int { return s.cmd.Process.Pid }

// only returns the value of --only.
func (s *stack) only() string { return s.cmd.Args[slices.Index(s.cmd.Args, "--only")+1] }

func (s *stack) signal(sig os.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("%v: %v", sig, err)
	}
}

// freeze returns when the process has stopped, which is somewhat after the signal.
func (s *stack) freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(goneWithin); ; time.Sleep(10 * time.Millisecond) {
		state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(s.pid())).Output()
		if strings.HasPrefix(string(state), "T") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the process is in state %q, %v", state, err)
		}
	}
}

func (s *stack) restOfOutput() string {
	rest, _ := io.ReadAll(s.stdout) // it may be closed
	return string(rest)
}

func (s *stack) exitCode() int {
	_ = s.cmd.Wait() // the code is what counts
	return s.cmd.ProcessState.ExitCode()
}

// checkGone waits until the processes have ended and nothing listens at the addresses of the report.
func (s *stack) checkGone(pids []int) {
	s.t.Helper()
	go func() { _ = s.cmd.Wait() }() // a child that ended is there until it is waited for
	deadline := time.Now().Add(goneWithin)
	for ; ; time.Sleep(20 * time.Millisecond) {
		left := s.left(pids)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v later there still are %q", goneWithin, left)
		}
	}
}

// left lists the processes and addresses still there.
func (s *stack) left(pids []int) []string {
	var left []string
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			left = append(left, fmt.Sprintf("process %d", pid))
		}
	}
	for _, addr := range s.report.addresses() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			left = append(left, addr)
			continue
		}
		_ = l.Close()
	}
	return left
}

// children returns the ids of the processes that pid has started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for line := range strings.Lines(string(out)) {
		var id, parent int
		if _, err := fmt.Sscan(line, &id, &parent); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if parent == pid {
			ids = append(ids, id)
		}
	}
	return ids
}

// run runs devstack until it ends by itself.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	_ = cmd.Run() // the code is what counts
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// checkLoopbackOnly wants nothing to answer at the machine's other addresses.
func checkLoopbackOnly(t *testing.T, addrs []string) {
	t.Helper()
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		network, ok := a.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		for _, addr := range addrs {
			_, port, _ := net.SplitHostPort(addr)
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(network.IP.String(), port), time.Second)
			if err == nil {
				_ = conn.Close()
				t.Errorf("%s also answers at %s", addr, network.IP)
			}
		}
	}
}
