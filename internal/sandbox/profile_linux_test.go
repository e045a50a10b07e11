//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a box is made of, and what may be called in one, the profile for containers allows;
// what opens the way out of a container it doesn't.
func TestContainersAllowABox(t *testing.T) {
	text, err := os.ReadFile("../../deploy/sandbox/seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		DefaultAction string
		Syscalls      []struct {
			Action string
			Names  []string
		}
	}
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, group := range profile.Syscalls {
		if group.Action != "SCMP_ACT_ALLOW" {
			t.Errorf("%s of %q", group.Action, group.Names)
		}
		allowed = append(allowed, group.Names...)
	}
	if profile.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("the default is %s", profile.DefaultAction)
	}
	needed := strings.Fields("clone socket prctl open_tree move_mount fsopen fsconfig fsmount mount_setattr pivot_root umount2 landlock_create_ruleset landlock_add_rule landlock_restrict_self capset setresuid bind listen")
	for _, name := range append(needed, names(t, slices.Concat(calls, olderCalls))...) {
		if !slices.Contains(allowed, name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	for _, name := range strings.Fields("mount ptrace bpf keyctl add_key request_key io_uring_setup perf_event_open userfaultfd kexec_load init_module finit_module open_by_handle_at setns unshare process_vm_readv process_vm_writev") {
		if slices.Contains(allowed, name) {
			t.Errorf("%s is allowed", name)
		}
	}
}

// names finds the names of system calls where their numbers come from.
func names(t *testing.T, numbers []uint32) (all []string) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+runtime.GOARCH+".go"))
	if err != nil {
		t.Fatal(err)
	}
	byNumber := map[string]string{}
	for _, found := range regexp.MustCompile(`SYS_(\w+) += (\d+)`).FindAllStringSubmatch(string(table), -1) {
		byNumber[found[2]] = strings.ToLower(found[1])
	}
	for _, number := range numbers {
		name := byNumber[strconv.Itoa(int(number))]
		if name == "" {
			t.Fatalf("system call %d has no name", number)
		}
		all = append(all, name)
	}
	return all
}
