package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	ours := map[string]bool{}
	for _, w := range b.Workers {
		ours[strconv.Itoa(w.Pid())] = true
	}
	count := 0
	for _, pid := range encoders {
		for at := pid; at != ""; at = parents[at] {
			if ours[at] {
				count++
				break
			}
		}
	}
	return count, nil
}
