package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is another process, looked at from outside (Linux's proc(5)).
type process int

// resetPeak makes the peak begin anew.
func (p process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p), []byte("5"), 0o200)
}

// peak is the most that was resident since resetPeak, in bytes.
func (p process) peak() (int64, error) { return p.status("VmHWM") }

func (p process) status(field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d doesn't tell its %s", p, field)
}

// processor is the processor time that it has used so far. Its unit, sysconf(3)'s
// _SC_CLK_TCK, is 100 a second on every Linux.
func (p process) processor() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %d doesn't tell its time", p)
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(userErr, systemErr)
}

// encoders counts the ffmpeg processes below the stack's workers, however deep.
func (b *bench) encoders() (int, error) {
	out, err := exec.CommandContext(b.ctx, "ps", "-eo", "pid=,ppid=,stat=,comm=").Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	parents := map[string]string{}
	var encoders []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		parents[f[0]] = f[1]
		if filepath.Base(f[3]) == "ffmpeg" && !strings.HasPrefix(f[2], "Z") {
			encoders = append(encoders, f[0])
		}
	}
	return len(slices.DeleteFunc(encoders, func(pid string) bool { return !b.below(pid, parents) })), nil
}

// below reports whether a worker is among the ancestors of a process.
func (b *bench) below(pid string, parents map[string]string) bool {
	for ; pid != ""; pid = parents[pid] {
		for _, w := range b.Workers {
			if pid == strconv.Itoa(w.Pid()) {
				return true
			}
		}
	}
	return false
}
