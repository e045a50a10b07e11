package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

// A worker that can't do media work takes none, and says why.
func TestAWorkerWithAPoorFFmpegRefusesMediaWork(t *testing.T) {
	real, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	poor := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *\"libx264\"*) echo \"Unknown encoder 'libx264'\" >&2; exit 1;; esac\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(poor, "ffmpeg"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", poor+":"+os.Getenv("PATH"))
	for _, role := range []string{"media", "all"} {
		w, err := openQuietly(t.Context(), settings(t, "--role", role), logger(t))
		if err == nil {
			w.Close()
		}
		if video.CodeOf(err) != video.Unavailable || !strings.Contains(err.Error(), "can't make H.264") {
			t.Errorf("role %s: got %v", role, err)
		}
	}
}
