package media

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever is opened is opened under a list of protocols and one of formats, in every call
// that is made of a video: neither does without the other, for a playlist named .mp4 would
// read what it points at.
func TestEveryInputHasItsWhitelists(t *testing.T) {
	t.Parallel()
	tools := bare(t)
	calls := filepath.Join(t.TempDir(), "calls")
	record := `for word in "$@"; do printf '%s\t' "$word"; done >"` + calls + `.$$"; exec $REAL "$@"`
	tools.FFmpeg, tools.FFprobe = standIn(t, "ffmpeg", record), standIn(t, "ffprobe", record)
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	made := produce(t, tools, path, time.Second)
	made.segments(t, tools, "180p")
	if _, err := tools.Poster(t.Context(), file(path), made.info); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tools.Previews(t.Context(), file(path), made.info); err != nil {
		t.Fatal(err)
	}
	if err := tools.decodeSamples(t.Context(), []string{"h264", "aac"}); err != nil {
		t.Fatal(err)
	}
	if err := tools.verify(t.Context(), file(path), made.info.picture(), errShort); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(calls + ".*")
	if err != nil || len(found) < 12 {
		t.Fatalf("%d calls: %v", len(found), err)
	}
	for _, call := range found {
		words, err := os.ReadFile(call)
		if err != nil {
			t.Fatal(err)
		}
		checkInputs(t, strings.Split(string(words), "\t"))
	}
}

// checkInputs looks at the options before each -i. What lavfi makes is no file.
func checkInputs(t *testing.T, words []string) {
	t.Helper()
	inputs := 0
	for at, begin := 0, 0; at < len(words); at++ {
		if words[at] != "-i" {
			continue
		}
		options := words[begin:at]
		begin = at + 2
		inputs++
		generated := slices.Contains(options, "lavfi")
		if !generated && (!slices.Contains(options, "-protocol_whitelist") || !slices.Contains(options, "-format_whitelist")) {
			t.Errorf("without a whitelist: %q", words)
		}
	}
	if inputs == 0 {
		t.Errorf("without an input: %q", words)
	}
}
