package test

import (
	"os/exec"
	"regexp"
	"testing"
)

func TestVersion(t *testing.T) {
	out, err := exec.Command(binary, "--version").Output()
	if err != nil || !regexp.MustCompile(`^devstack \d+\.\d+\.\d+ .*go1\.`).Match(out) {
		t.Errorf("%s: %v", out, err)
	}
}
