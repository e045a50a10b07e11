package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary stands in for every program of the stack, by the name it is
// called by. What each of them has learned of its surroundings it logs.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "devstack":
		pretendDevstack()
	case "worker":
		pretend("ready")
	case "starter":
		pretend("ready http://" + after("--http-addr"))
	case "parent":
		pretendParent()
	default:
		goleak.VerifyTestMain(m)
	}
}

func after(flag string) string {
	for i, arg := range os.Args {
		if arg == flag && i+1 < len(os.Args) {
			return os.Args[i+1]
		}
	}
	return ""
}

func pretend(word string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, "args", strings.Join(os.Args[1:], " "))
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, "REELFLOW_") || strings.HasPrefix(pair, "TEMPORAL_") {
			fmt.Fprintln(os.Stderr, "env", pair)
		}
	}
	if os.Getenv("REELFLOW_FAIL") == filepath.Base(os.Args[0]) {
		os.Exit(3)
	}
	fmt.Println(word)
	<-stop
}

func pretendDevstack() {
	temporal, ui := after("--temporal-addr"), "http://"+after("--ui-addr")
	if temporal == "" {
		temporal, ui = "127.0.0.1:7233", "http://127.0.0.1:8233"
	}
	report := map[string]any{}
	part := after("--only")
	if part == "" || part == "temporal" {
		report["temporal"], report["ui"], report["metrics"] = temporal, ui, "http://127.0.0.1:9999/metrics"
	}
	var stores []Store
	for i, name := range []string{"primary", "backup-a", "backup-b"} {
		if part == "" || part == name {
			at := fmt.Sprintf("127.0.0.1:%d", 9001+i)
			stores = append(stores, Store{Name: name, Endpoint: "http://" + at, URL: "s3://k:s@" + at + "/b?name=" + name})
		}
	}
	report["stores"] = stores
	line, err := json.Marshal(report)
	if err != nil {
		os.Exit(1)
	}
	pretend(string(line))
}

// pretendParent starts a stack, tells the ids of its processes, and waits to be killed.
func pretendParent() {
	s, err := Start(context.Background(), Options{Bin: filepath.Dir(os.Args[0]), Dir: os.Args[1], FreePorts: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := s.Workers[0].Freeze(); err != nil {
		os.Exit(1)
	}
	for _, p := range s.order {
		fmt.Println(p.Pid())
	}
	fmt.Println("done")
	select {}
}

// bin is a folder in which the test binary stands for every program.
func bin(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"devstack", "worker", "starter", "parent"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func begin(t *testing.T, o Options) *Stack {
	t.Helper()
	o.Bin, o.Dir, o.FreePorts = bin(t), t.TempDir(), true
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// logOf waits for some words in a process's log, which come by a pipe of their own, and returns all of it.
func logOf(t *testing.T, p *Process, words string) string {
	t.Helper()
	var text []byte
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !strings.Contains(string(text), words); time.Sleep(10 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(p.Log); err != nil {
			t.Fatal(err)
		}
	}
	return string(text)
}

func TestProgramsAreToldWhereTheOthersAre(t *testing.T) {
	t.Setenv("REELFLOW_ROLE", "somebody else's")
	t.Setenv("TEMPORAL_NAMESPACE", "somebody else's")
	s := begin(t, Options{Workers: 2, Gateways: 2, Roles: []string{"media"}, Env: []string{"REELFLOW_DELETE_GRACE=0s"}})
	var worker string
	for _, want := range []string{
		"--role media", "REELFLOW_DELETE_GRACE=0s", "TEMPORAL_ADDRESS=127.0.0.1:7233", "REELFLOW_DATA_DIR=" + s.options.Dir,
		"REELFLOW_PRIMARY=s3://k:s@127.0.0.1:9001/b?name=primary",
		"REELFLOW_BACKUPS=s3://k:s@127.0.0.1:9002/b?name=backup-a,s3://k:s@127.0.0.1:9003/b?name=backup-b",
	} {
		if worker = logOf(t, s.Workers[0], want); !strings.Contains(worker, want) {
			t.Errorf("the worker was not told %q:\n%s", want, worker)
		}
	}
	if strings.Contains(worker, "somebody else's") {
		t.Errorf("settings from outside leaked in:\n%s", worker)
	}
	if len(s.URLs) != 2 || s.URLs[0] == s.URLs[1] || !strings.HasPrefix(s.URLs[0], "http://127.0.0.1:") {
		t.Errorf("gateways at %v", s.URLs)
	}
}

func TestSeparatePartsAreProcessesOfTheirOwn(t *testing.T) {
	s := begin(t, Options{Separate: true, Workers: -1, Gateways: -1})
	if len(s.Parts) != 4 || len(s.Stores) != 3 || s.Temporal == "" {
		t.Fatalf("parts %v, stores %v, temporal %q", s.Parts, s.Stores, s.Temporal)
	}
	store := s.Parts["backup-a"]
	if err := store.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := store.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	const address = "--store-addr backup-a=127.0.0.1:9002"
	if log := logOf(t, store, address); !strings.Contains(log, address) {
		t.Errorf("it was not started again at its address:\n%s", log)
	}
	if err := s.Parts["temporal"].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyAnUnaskedEndIsAFailure(t *testing.T) {
	s := begin(t, Options{})
	worker := s.Workers[0]
	if err := errors.Join(worker.Kill(), worker.Restart(t.Context()), worker.Freeze(), worker.Thaw(), worker.Stop(), worker.Stop()); err != nil {
		t.Fatal(err)
	}
	quiet, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Wait(quiet); err != nil {
		t.Errorf("ends that were asked for are reported: %v", err)
	}
	gateway := s.Gateways[0]
	if err := syscall.Kill(gateway.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "gateway-1") || !strings.Contains(err.Error(), gateway.Log) {
		t.Errorf("want the name and the log of the gateway, got: %v", err)
	}
}

func TestAFailureAtTheStartStopsWhatWasStarted(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{Bin: bin(t), Dir: dir, FreePorts: true, Env: []string{"REELFLOW_FAIL=starter"}})
	if err == nil || !strings.Contains(err.Error(), "gateway-1") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestAFrozenProcessIsStoppedToo(t *testing.T) {
	s := begin(t, Options{Gateways: -1})
	if err := s.Workers[0].Freeze(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Close(); err != nil || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestNothingOutlivesAParentThatIsKilled(t *testing.T) {
	parent := exec.Command(filepath.Join(bin(t), "parent"), t.TempDir())
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for {
		var word string
		if _, err := fmt.Fscanln(out, &word); err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(word)
		if err != nil {
			break
		}
		pids = append(pids, pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait() // it was killed, and says so
	if len(pids) != 3 {
		t.Fatalf("processes: %v", pids)
	}
	for deadline := time.Now().Add(5 * time.Second); slices.ContainsFunc(pids, alive); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %v some are still alive", pids)
		}
	}
}

// alive reports whether a process runs; one that has ended and waits to be
// collected doesn't.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestAnAddressInUseIsNamedWithItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	err = CheckFree(Address{"the gateway", at, "REELFLOW_HTTP_ADDR"})
	if err == nil || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), "REELFLOW_HTTP_ADDR") {
		t.Errorf("got %v", err)
	}
}

func TestASecondStackInTheSameFolderIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	first, err := TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Say("process 7"); err != nil {
		t.Fatal(err)
	}
	if _, err := TakeLock(dir); err == nil || !strings.Contains(err.Error(), "already running") || !strings.Contains(err.Error(), "process 7") {
		t.Errorf("got %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
