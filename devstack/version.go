package main

import (
	"fmt"
	"runtime/debug"
)

// release is that of reelflow, which devstack is released with: a test of the other module compares them.
const release = "0.1.0"

// version is the release, and the revision of the source that the program was built from, as far as Go knows it.
func version() string {
	text := "devstack " + release
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += fmt.Sprintf(" (%.12s)", s.Value)
		}
	}
	return text + " " + info.GoVersion
}
