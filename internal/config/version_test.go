package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestVersionNamesTheRelease(t *testing.T) {
	if v := Version(); !regexp.MustCompile(`^reelflow \d+\.\d+\.\d+ .*go1\.`).MatchString(v) {
		t.Errorf("%q", v)
	}
}

// devstack is a module of its own, but no other release.
func TestDevstackIsOfTheSameRelease(t *testing.T) {
	source, err := os.ReadFile("../../devstack/version.go")
	if err != nil || !strings.Contains(string(source), `const release = "`+release+`"`) {
		t.Errorf("devstack/version.go is not of release %s (%v)", release, err)
	}
}
