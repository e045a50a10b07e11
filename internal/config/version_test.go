package config

import (
	"regexp"
	"testing"
)

func TestVersionNamesTheRelease(t *testing.T) {
	if v := Version(); !regexp.MustCompile(`^reelflow \d+\.\d+\.\d+ .*go1\.`).MatchString(v) {
		t.Errorf("%q", v)
	}
}
