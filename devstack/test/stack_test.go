// Package test runs the devstack binary as its users do, and judges it by its answers, its ports and its processes.
// Nothing is linked from devstack itself: linking the server once is enough.
package test

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Everything has to be gone this soon after devstack or its parent died.
const goneWithin = 5 * time.Second

func TestAnswersOnEveryAddress(t *testing.T) {
	t.Parallel()
	s := start(t, "--dir", filepath.Join(t.TempDir(), "a folder #1 50%?"), "--free-ports")

	names := []string{}
	for _, store := range s.report.Stores {
		names = append(names, store.Name)
		u, err := url.Parse(store.URL)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		got := []string{u.Scheme, u.User.Username(), password, "http://" + u.Host, u.Path, u.Query().Get("name"), u.Query().Get("tls")}
		want := []string{"s3", "reelflow", "reelflow-local", store.Endpoint, "/reelflow", store.Name, "false"}
		if !slices.Equal(got, want) {
			t.Errorf("store URL holds %q, want %q", got, want)
		}
		checkVersions(t, client(store))
	}
	if want := []string{"primary", "backup-a", "backup-b"}; !slices.Equal(names, want) {
		t.Errorf("stores %q, want %q", names, want)
	}
	checkNamespace(t, s.report.Temporal)
	checkSearchAttribute(t, s.report.Temporal)
	if page := fetch(t, s.report.UI); !strings.Contains(page, "<html") {
		t.Errorf("the UI answered %.200q", page)
	}
	if metrics := fetch(t, s.report.Metrics); !strings.Contains(metrics, "\naction{") {
		t.Error("the metrics lack the counter named action")
	}
	checkLoopbackOnly(t, s.report.addresses())
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := start(t, "--dir", t.TempDir(), "--free-ports")
		family := append(children(t, s.pid()), s.pid())
		if len(family) != 5 {
			t.Errorf("%d processes, want devstack and a child for each of four parts", len(family))
		}
		s.signal(signal)
		if code := s.exitCode(); code != 0 {
			t.Errorf("after %v: exit code %d, want 0", signal, code)
		}
		s.checkGone(family)
		if rest := s.restOfOutput(); rest != "" {
			t.Errorf("standard output went on after the report: %q", rest)
		}
	}
}

func TestKilledStackLeavesNothingAndComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, "--dir", dir, "--free-ports")
	put(t, client(s.report.Stores[1]), "kept", "after kill -9")
	addSearchAttribute(t, s.report.Temporal, "Kept")
	family := append(children(t, s.pid()), s.pid())
	frozen := family[0]
	if err := syscall.Kill(frozen, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if !diesWithParent {
		t.Cleanup(func() { _ = syscall.Kill(frozen, syscall.SIGKILL) })
		family = family[1:]
	}
	s.signal(os.Kill)
	s.checkGone(family)

	again := start(t, append([]string{"--dir", dir}, s.report.flags()...)...)
	if got, want := again.report.addresses(), s.report.addresses(); !slices.Equal(got, want) {
		t.Errorf("addresses %q, want those of before, %q", got, want)
	}
	if got := get(t, client(again.report.Stores[1]), "kept"); got != "after kill -9" {
		t.Errorf("the object reads %q", got)
	}
	if !slices.Contains(searchAttributes(t, again.report.Temporal), "Kept") {
		t.Error("the search attribute is lost")
	}
}

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	for name, shell := range map[string]string{
		"polling":        `"$0" "$@" & wait`,
		"standard input": `exec 3<&0; "$0" "$@" --stdin-parent <&3 & wait`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startCommand(t, "sh", append([]string{"-c", shell, binary}, "--dir", t.TempDir(), "--free-ports")...)
			devstack := children(t, s.pid())
			if len(devstack) != 1 {
				t.Fatalf("the shell has %d children", len(devstack))
			}
			family := append(children(t, devstack[0]), devstack[0])
			s.signal(os.Kill)
			s.checkGone(family)
		})
	}
}

func TestEndsWithItsStandardInput(t *testing.T) {
	t.Parallel()
	s := start(t, "--dir", t.TempDir(), "--free-ports", "--only", "backup-b", "--stdin-parent")
	if err := s.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	s.checkGone([]int{s.pid()})
}

// One part is one process: signals reach the part itself.
func TestOnePartIsKilledFrozenAndRestartedOnItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := start(t, "--dir", dir, "--free-ports", "--only", "primary")
	temporal := start(t, "--dir", dir, "--free-ports", "--only", "temporal")
	if store.report.Temporal != "" || len(store.report.Stores) != 1 || len(temporal.report.Stores) != 0 {
		t.Fatalf("parts report %+v and %+v", store.report, temporal.report)
	}
	if n := len(children(t, store.pid())); n != 0 {
		t.Fatalf("the one part has %d children", n)
	}
	s3 := client(store.report.Stores[0])
	put(t, s3, "kept", "after kill -9")

	store.freeze()
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := getObject(brief, s3, "kept"); err == nil {
		t.Error("a frozen store answered")
	}
	store.signal(syscall.SIGCONT)
	if got := get(t, s3, "kept"); got != "after kill -9" {
		t.Errorf("after the thaw the object reads %q", got)
	}

	for _, part := range []*stack{store, temporal} {
		part.signal(os.Kill)
		// The shorthand for the address of the only store.
		flags := strings.Split(strings.ReplaceAll(strings.Join(part.report.flags(), "\n"), "primary=", ""), "\n")
		again := start(t, append([]string{"--dir", dir, "--only", part.only()}, flags...)...)
		if got, want := again.report.addresses(), part.report.addresses(); !slices.Equal(got, want) {
			t.Errorf("addresses %q, want those of before, %q", got, want)
		}
	}
	if got := get(t, s3, "kept"); got != "after kill -9" {
		t.Errorf("after kill -9 the object reads %q", got)
	}
	checkNamespace(t, temporal.report.Temporal)
}

func TestAPartThatDiesIsStartedAgainWhereItWas(t *testing.T) {
	t.Parallel()
	s := start(t, "--dir", t.TempDir(), "--free-ports", "--only", "stores", "--stores", "2")
	for _, store := range s.report.Stores {
		put(t, client(store), "kept", store.Name)
	}
	for _, pid := range children(t, s.pid()) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, store := range s.report.Stores {
		if got := getSoon(t, client(store), "kept"); got != store.Name {
			t.Errorf("%s holds %q", store.Name, got)
		}
	}
}

func TestManyStacksAtOnceChooseDifferentPorts(t *testing.T) {
	t.Parallel()
	stacks := make([]*stack, 6)
	for i := range stacks {
		stacks[i] = launch(t, binary, "--dir", t.TempDir(), "--free-ports", "--only", "stores")
	}
	seen := map[string]bool{}
	for _, s := range stacks {
		s.awaitReport()
		for _, addr := range s.report.addresses() {
			if seen[addr] {
				t.Errorf("%s was given twice", addr)
			}
			seen[addr] = true
		}
	}
}

func TestMemoryLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, "--dir", dir, "--free-ports", "--only", "temporal", "--memory")
	checkNamespace(t, s.report.Temporal)
	checkSearchAttribute(t, s.report.Temporal)
	if files, _ := filepath.Glob(filepath.Join(dir, "*.db*")); len(files) != 0 {
		t.Errorf("files %q", files)
	}
}

func TestRefusesWithExitCode2(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inUse := t.TempDir()
	start(t, "--dir", inUse, "--free-ports", "--only", "primary")
	addr := taken.Addr().String()

	for name, test := range map[string]struct {
		args  []string
		wants []string
	}{
		"no folder":             {[]string{}, []string{"--dir"}},
		"a file for folder":     {[]string{"--dir", file}, []string{file, "--dir"}},
		"a folder in use":       {[]string{"--dir", inUse, "--only", "primary", "--free-ports"}, []string{inUse, "--dir"}},
		"frontend's port taken": {[]string{"--dir", t.TempDir(), "--free-ports", "--temporal-addr", addr}, []string{addr, "--temporal-addr"}},
		"UI's port taken":       {[]string{"--dir", t.TempDir(), "--free-ports", "--ui-addr", addr}, []string{addr, "--ui-addr"}},
		"metrics' port taken":   {[]string{"--dir", t.TempDir(), "--free-ports", "--metrics-addr", addr}, []string{addr, "--metrics-addr"}},
		"a store's port taken":  {[]string{"--dir", t.TempDir(), "--free-ports", "--store-addr", "backup-a=" + addr}, []string{addr, "--store-addr backup-a="}},
		"every interface":       {[]string{"--dir", t.TempDir(), "--store-addr", "0.0.0.0:9001"}, []string{"0.0.0.0:9001", "loopback"}},
		"another interface":     {[]string{"--dir", t.TempDir(), "--temporal-addr", "192.0.2.1:7233"}, []string{"192.0.2.1:7233", "loopback"}},
		"a port too large":      {[]string{"--dir", t.TempDir(), "--ui-addr", "127.0.0.1:70000"}, []string{"--ui-addr", "65535"}},
		"an unknown store":      {[]string{"--dir", t.TempDir(), "--store-addr", "backup-z=127.0.0.1:9001"}, []string{"backup-z"}},
		"too many addresses":    {[]string{"--dir", t.TempDir(), "--only", "temporal", "--store-addr", "127.0.0.1:9001"}, []string{"--store-addr"}},
		"an unknown part":       {[]string{"--dir", t.TempDir(), "--only", "ui"}, []string{"ui", "temporal, primary, backup-a, backup-b"}},
		"an unknown flag":       {[]string{"--dir", t.TempDir(), "--port", "1"}, []string{"-port"}},
		"an argument":           {[]string{"--dir", t.TempDir(), "now"}, []string{"now"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, test.args...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, output %q, want 2 and none", code, stdout)
			}
			for _, want := range test.wants {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q does not name %q", stderr, want)
				}
			}
		})
	}
}
