package config

import (
	"fmt"
	"runtime/debug"
)

// release is the version that this source will be, or is, released as.
const release = "0.1.0"

// Version is the release, and the revision of the source that the program was built
// from, as far as Go knows it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "reelflow " + release
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	text := "reelflow " + release
	if revision := set["vcs.revision"]; revision != "" {
		text += fmt.Sprintf(" (%.12s of %s", revision, set["vcs.time"])
		if set["vcs.modified"] == "true" {
			text += ", modified"
		}
		text += ")"
	}
	return text + " " + info.GoVersion
}
