// Package devstacktest runs bin/devstack for a test: a Temporal server and S3
// stores, each in a process of its own, on free ports, with their state in a
// temporary folder. All of it is gone when the test ends, however it ends: the
// processes stop when their standard input is closed.
package devstacktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Names of parts.
const (
	Temporal = "temporal"
	Stores   = "stores" // all three of them
	Primary  = "primary"
	BackupA  = "backup-a"
	BackupB  = "backup-b"
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
)

// Stack is what runs. Addresses stay the same over Restart. What is done to one
// part is done by one goroutine at a time.
type Stack struct {
	Temporal string // host:port of the gRPC frontend
	UI       string // URL of the web UI
	Metrics  string // URL of the Prometheus metrics
	Stores   []Store

	dir, binary string
	mu          sync.Mutex
	parts       map[string]*part
}

// Store is an S3 store whose bucket, named in the URL, exists and is versioned.
type Store struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	URL      string `json:"url"` // as objects.Open takes it
}

// part is one process, running or ended.
type part struct {
	name    string
	report  report
	log     string // file
	command *exec.Cmd
	stdin   io.Closer
	frozen  bool
	ended   chan struct{} // closed when the process has been waited for
}

type report struct {
	Temporal string  `json:"temporal"`
	UI       string  `json:"ui"`
	Metrics  string  `json:"metrics"`
	Stores   []Store `json:"stores"`
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server that takes seconds to start")
	}
}

// Start runs the parts that are named, or all, and returns when they are ready.
// Under -short, which is for the quick tests alone, the test is skipped.
func Start(t testing.TB, parts ...string) *Stack {
	t.Helper()
	skipIfShort(t)
	s := &Stack{dir: t.TempDir(), binary: binary(t), parts: map[string]*part{}}
	t.Cleanup(func() { s.stop(t) })
	if err := s.start(expand(parts)); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs parts, and returns when they are ready.
func (s *Stack) start(names []string) error {
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = s.run(&part{name: name}) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, name := range names {
		r := s.parts[name].report
		if r.Temporal != "" {
			s.Temporal, s.UI, s.Metrics = r.Temporal, r.UI, r.Metrics
		}
		s.Stores = append(s.Stores, r.Stores...)
	}
	return nil
}

func expand(parts []string) []string {
	if len(parts) == 0 {
		parts = []string{Temporal, Stores}
	}
	var names []string
	for _, name := range parts {
		if name == Stores {
			names = append(names, Primary, BackupA, BackupB)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// binary finds bin/devstack beside the module's go.mod.
func binary(t testing.TB) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the working directory")
		}
		root = filepath.Dir(root)
	}
	path := filepath.Join(root, "bin", "devstack")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("bin/devstack is missing: run make build (%v)", err)
	}
	return path
}

// run starts a part, at the addresses it has had before if any, and waits
// until it is ready.
func (s *Stack) run(p *part) error {
	next := &part{name: p.name, log: filepath.Join(s.dir, p.name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(next.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	next.command = exec.Command(s.binary, arguments(s.dir, p)...)
	next.command.Stderr = log
	stdin, err := next.command.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := next.command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := next.command.Start(); err != nil {
		return err
	}
	next.stdin = stdin
	s.mu.Lock()
	s.parts[p.name] = next
	s.mu.Unlock()
	return next.await(stdout)
}

func arguments(dir string, p *part) []string {
	args := []string{"--dir", dir, "--only", p.name, "--free-ports", "--stdin-parent"}
	if r := p.report; r.Temporal != "" {
		args = append(args, "--temporal-addr", r.Temporal, "--ui-addr", host(r.UI), "--metrics-addr", host(r.Metrics))
	}
	for _, store := range p.report.Stores {
		args = append(args, "--store-addr", store.Name+"="+host(store.Endpoint))
	}
	return args
}

// host is the host:port of a URL.
func host(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "/")
	return rest
}

// await reads the line that tells where the part can be reached, and sees to
// it that the process is waited for.
func (p *part) await(stdout io.Reader) error {
	ready := make(chan error, 1)
	go func() {
		ready <- json.NewDecoder(stdout).Decode(&p.report)
		_, _ = io.Copy(io.Discard, stdout) // only the first line is ours
		_ = p.command.Wait()               // parts are killed on purpose; whether it got ready was told above
		close(p.ended)
	}()
	select {
	case err := <-ready:
		if err != nil {
			<-p.ended
			return fmt.Errorf("devstack part %s did not get ready: %s", p.name, p.tail())
		}
		return nil
	case <-time.After(readyTimeout):
		return fmt.Errorf("devstack part %s was not ready after %v: %s", p.name, readyTimeout, p.tail())
	}
}

// tail is the end of what the part wrote.
func (p *part) tail() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text[max(0, len(text)-4000):])
}

// Kill ends a part with SIGKILL. It returns when the part is gone.
func (s *Stack) Kill(t testing.TB, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGKILL)
	<-s.part(t, name).ended
}

// Stop ends a part as an operator would. It returns when the part is gone.
func (s *Stack) Stop(t testing.TB, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGTERM)
	<-s.part(t, name).ended
}

// Freeze stops a part from doing anything: its connections stay open and
// silent. It returns when not one of its threads runs.
func (s *Stack) Freeze(t testing.TB, name string) {
	t.Helper()
	p := s.part(t, name)
	if p.frozen {
		return
	}
	s.signal(t, name, syscall.SIGSTOP)
	for {
		_, err := syscall.Wait4(p.command.Process.Pid, nil, syscall.WUNTRACED, nil)
		if err == nil {
			p.frozen = true
			return
		}
		if err != syscall.EINTR {
			t.Fatalf("freeze %s: %v", name, err)
		}
	}
}

// Thaw lets a frozen part go on.
func (s *Stack) Thaw(t testing.TB, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGCONT)
	s.part(t, name).frozen = false
}

// Restart ends a part if it runs, and starts it again at the same addresses
// with the same state.
func (s *Stack) Restart(t testing.TB, name string) {
	t.Helper()
	p := s.part(t, name)
	p.end()
	if err := s.run(p); err != nil {
		t.Fatal(err)
	}
}

func (s *Stack) part(t testing.TB, name string) *part {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[name]
	if p == nil {
		t.Fatalf("no part %q was started", name)
	}
	return p
}

func (s *Stack) signal(t testing.TB, name string, signal os.Signal) {
	t.Helper()
	err := s.part(t, name).command.Process.Signal(signal)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %s: %v", name, err)
	}
}

// end stops the process in whatever state it is, gently if possible.
func (p *part) end() {
	// Errors only say that it has ended already.
	_ = p.command.Process.Signal(syscall.SIGCONT)
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// end stops all parts.
func (s *Stack) end() {
	var group sync.WaitGroup
	for _, p := range s.parts {
		group.Go(p.end)
	}
	group.Wait()
}

func (s *Stack) stop(t testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if !t.Failed() {
		return
	}
	for name, p := range s.parts {
		if text := p.tail(); len(text) > 0 {
			t.Logf("devstack part %s wrote:\n%s", name, text)
		}
	}
}

// Store returns the store of that name.
func (s *Stack) Store(t testing.TB, name string) Store {
	t.Helper()
	i := slices.IndexFunc(s.Stores, func(store Store) bool { return store.Name == name })
	if i < 0 {
		t.Fatalf("no store %q was started", name)
	}
	return s.Stores[i]
}
