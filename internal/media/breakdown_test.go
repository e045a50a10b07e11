package media

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// onUpload is a script that does something else when the clip of these tests is encoded,
// heard or drawn than for all else: the samples, and a decode for a verdict.
func onUpload(script string) string {
	return `case "$*" in *180p.mp4*|*"-t 2.000000"*|*"min(320"*) ` + script + `;; esac; exec $REAL "$@"`
}

// What ffmpeg does to an upload, and not to the samples, is told in the same words each
// time, with what it said; what speaks of this machine is not.
func TestBreakdown(t *testing.T) {
	t.Parallel()
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	info := probe(t, tools(t), path)
	for name, c := range some(map[string]struct {
		script string
		exit   string // empty: none
		code   video.Code
	}{
		"gives up":           {onUpload(saying(3, "http://127.0.0.1:4711/Xyz/source: Conversion failed!")), "ffmpeg: exit status 3", video.Internal},
		"crashes":            {onUpload("echo Conversion failed! >&2; kill -SEGV $$"), "ffmpeg: crashed", video.Unavailable},
		"crashes in a shell": {onUpload("echo Conversion failed! >&2; exit 134"), "ffmpeg: crashed", video.Unavailable},
		"aborts for memory":  {onUpload("echo std::bad_alloc >&2; kill -ABRT $$"), "", video.Unavailable},
		"is killed":          {onUpload("kill -KILL $$"), "", video.Unavailable},
		"has no space":       {onUpload(saying(1, "No space left on device")), "", video.Unavailable},
		"lacks an encoder":   {onUpload(saying(1, "Unknown encoder 'x'")), "", video.Unavailable},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := bare(t)
			tools.FFmpeg = standIn(t, "ffmpeg", c.script)
			for call, err := range calls(t.Context(), tools, path, info) {
				broke, is := errors.AsType[*Breakdown](err)
				if video.CodeOf(err) != c.code || is != (c.exit != "") || is && broke.Exit != c.exit {
					t.Fatalf("%s: got %v, want the exit %q", call, err, c.exit)
				}
				if is && (!strings.Contains(broke.Words, "Conversion failed!") || strings.Contains(broke.Words, "127.0.0.1")) {
					t.Errorf("%s: the last words are %q", call, broke.Words)
				}
			}
		})
	}
}

// A probe breaks down as well.
func TestProbeBreaksDown(t *testing.T) {
	t.Parallel()
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	for script, exit := range map[string]string{
		"kill -SEGV $$":         "ffprobe: crashed",
		`echo '{"streams": 7}'`: "ffprobe: prints what can't be read",
		`case "$*" in *packet=*) exec sh -c 'while :; do :; done';; esac; exec $REAL "$@"`: "ffprobe: used up its processor time",
	} {
		broken := bare(t)
		broken.FFprobe, broken.Runner.CPU = standIn(t, "ffprobe", script), time.Second
		_, err := broken.Probe(t.Context(), file(path))
		if broke, is := errors.AsType[*Breakdown](err); !is || broke.Exit != exit {
			t.Errorf("got %v, want the exit %q", err, exit)
		}
	}
}

// Whatever else fails is no breakdown: a store, a receiver, the one who asked.
func TestOthersFaultsAreNoBreakdown(t *testing.T) {
	t.Parallel()
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	info := probe(t, tools(t), path)
	down := video.Errorf(video.Unavailable, "The store is down.")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	encode := func(ctx context.Context, src Source, sink Sink) error {
		return tools(t).EncodePiece(ctx, src, info, Ladder(info), Pieces(info, time.Second)[0], nil, sink)
	}
	nothing := func(string, io.ReadSeeker, int64) error { return nil }
	for name, err := range map[string]error{
		"source":   encode(t.Context(), breaking(read(t, path), down), nothing),
		"receiver": encode(t.Context(), file(path), func(string, io.ReadSeeker, int64) error { return io.ErrShortWrite }),
		"canceled": encode(canceled, file(path), nothing),
	} {
		if _, is := errors.AsType[*Breakdown](err); is || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
