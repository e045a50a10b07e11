package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reelflow/reelflow/video"
)

// standIn writes a script that takes the place of a program. In it $REAL is the
// program, to be run with "$@" where nothing is wrong.
func standIn(t testing.TB, name, script string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\nREAL="+program+"\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// withoutDecoderOf is a script that runs the real ffmpeg, but lets it decode
// nothing that it reads from an input of one of these names.
func withoutDecoderOf(inputs ...string) string {
	return `n=$#
while [ $n -gt 0 ]; do
	if [ "$1" = -i ]; then
		case "$2" in */` + strings.Join(inputs, "|*/") + `) set -- "$@" -codec_whitelist none;; esac
	fi
	word=$1; shift; set -- "$@" "$word"; n=$((n-1))
done
exec $REAL "$@"`
}

// saying is a script that fails with these words.
func saying(status int, words string) string {
	return fmt.Sprintf("echo \"%s\" >&2; exit %d", words, status)
}

// calls are what is asked of ffmpeg for an upload.
func calls(ctx context.Context, tools *Tools, path string, info Info) map[string]error {
	sink := func(string, io.ReadSeeker, int64) error { return nil }
	_, poster := tools.Poster(ctx, file(path), info)
	return map[string]error{
		"piece":  tools.EncodePiece(ctx, file(path), info, Ladder(info), Pieces(info, time.Second)[0], nil, sink),
		"sound":  tools.EncodeAudio(ctx, file(path), info, nil, sink),
		"poster": poster,
	}
}

// An ffmpeg that can't do it says nothing about an upload.
func TestBrokenFFmpegRejectsNothing(t *testing.T) {
	path := clip(t, "phone.mp4", args(picture("320x180", "30", 1), sound(1), "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p -c:a aac")...)
	info := probe(t, tools(t), path)
	for name, script := range map[string]string{
		"decodes nothing":              withoutDecoderOf("source", "hevc", "aac"),
		"no decoder, as 5.1 says":      saying(1, "Decoder (codec hevc) not found for input stream #0:0"),
		"no decoder, as 7.1 says":      saying(8, "Decoding requested, but no decoder found for: hevc"),
		"no decoder, as others say":    saying(1, "Decoder hevc not found"),
		"hardware alone":               saying(1, "[av1 @ 0x1] Your platform doesn't support hardware accelerated AV1 decoding."),
		"no encoder":                   saying(1, "Unknown encoder 'libx264'"),
		"words that nobody knows":      saying(1, "Ich kann das nicht."),
		"blames the data of all files": saying(1, "source: Invalid data found when processing input"),
		"no words":                     "exit 1",
		"no words, as after a signal":  "exit 255",
		"can't be loaded":              saying(127, "error while loading shared libraries: libavcodec.so.59"),
		"another C library":            saying(1, "libc.so.6: version \\`GLIBC_2.38' not found (required by ffmpeg)"),
		"crashes":                      "kill -SEGV $$",
		"is killed":                    "kill -KILL $$",
		"is told to stop":              "kill -TERM $$",
		"is killed below a shell":      "exit 137",
		"a full disk":                  saying(1, "o.mp4: No space left on device"),
		"no memory":                    saying(1, "[hevc @ 0x1] get_buffer() failed"),
		"no threads":                   saying(1, "Error while opening decoder for input stream #0:0 : Resource temporarily unavailable"),
		"no files":                     saying(1, "http://127.0.0.1: Too many open files"),
		"an older one": `case "$*" in *-filter_threads*)
			echo "Unrecognized option 'fps_mode'.
Error splitting the argument list: Option not found" >&2; exit 1;; esac; exec $REAL "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := bare(t)
			tools.FFmpeg = standIn(t, "ffmpeg", script)
			for call, err := range calls(t.Context(), tools, path, info) {
				if err == nil || video.CodeOf(err) != video.Unavailable {
					t.Errorf("%s: got %v", call, err)
				}
			}
		})
	}
}

// Nor does one that calls nothing at all a success.
func TestIdleFFmpegRejectsNothing(t *testing.T) {
	t.Parallel()
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	tools := bare(t)
	info := probe(t, tools, path)
	tools.FFmpeg = standIn(t, "ffmpeg", "exit 0")
	for call, err := range calls(t.Context(), tools, path, info) {
		if err == nil || video.CodeOf(err).Permanent() {
			t.Errorf("%s: got %v", call, err)
		}
	}
}

func TestBrokenFFprobeRejectsNothing(t *testing.T) {
	path := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	webm := clip(t, "clip.webm", args(picture("320x180", "25", 3), "-c:v libvpx -deadline realtime -cpu-used 8")...)
	for name, script := range map[string]string{
		"reads nothing":      saying(1, "source: Invalid data found when processing input"),
		"finds nothing":      "echo '{}'",
		"no words":           "exit 1",
		"an older one":       saying(1, "Failed to set value 'x' for option 'y': Option not found"),
		"crashes":            "kill -SEGV $$",
		"no memory":          saying(1, "source: Cannot allocate memory"),
		"knows other codecs": `$REAL "$@" | sed 's/"codec_name": "[^"]*"/"codec_name": "unknown"/'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := bare(t)
			tools.FFprobe = standIn(t, "ffprobe", script)
			for _, path := range []string{path, webm} {
				if _, err := tools.Probe(t.Context(), file(path)); err == nil || video.CodeOf(err) != video.Unavailable {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// However little there is of it, lack of memory is not damage: ffmpeg says all
// kinds of things then, or nothing, or what it says of broken data.
func TestLackOfMemoryRejectsNothing(t *testing.T) {
	t.Parallel()
	phone := clip(t, "phone.mp4", args(picture("1920x1080", "30", 0.4), "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p")...)
	camera := clip(t, "camera.ts", args(picture("1280x720", "30", 0.4), h264, "-bf 2")...)
	infos := map[string]Info{phone: probe(t, tools(t), phone), camera: probe(t, tools(t), camera)}
	least := leastMemory(t)
	failed := false
	step := 7
	if testing.Short() {
		step = 30
	}
	for more := -2; more < 60; more += step { // in MB; the first steps are those where anything may happen
		for path, info := range infos {
			tools := bare(t)
			limit := "ulimit -v " + strconv.Itoa(least+more<<10) + `; exec $REAL "$@"`
			tools.FFmpeg, tools.FFprobe = standIn(t, "ffmpeg", limit), standIn(t, "ffprobe", limit)
			_, unprobed := tools.Probe(t.Context(), file(path))
			unverified := tools.verify(t.Context(), file(path), info.picture(), errors.New("the encoding failed"))
			for _, err := range []error{unprobed, unverified} {
				if _, rejected := errors.AsType[*Rejection](err); rejected {
					t.Errorf("with %d MB more than it takes to start: %v", more, err)
				}
				failed = failed || video.CodeOf(err) == video.Unavailable
			}
		}
	}
	if !failed {
		t.Error("there was memory enough all the time")
	}
}

// leastMemory returns how many KiB of address space ffmpeg takes to start.
func leastMemory(t *testing.T) int {
	t.Helper()
	low, high := 0, 1<<20 // KiB
	for high-low > 2048 {
		middle := (low + high) / 2
		if exec.Command("sh", "-c", "ulimit -v "+strconv.Itoa(middle)+"; exec ffmpeg -version").Run() == nil {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// Limits that others have set, and what a real program does at them.
func TestOtherLimitsRejectNothing(t *testing.T) {
	path := clip(t, "clip.mp4", args(picture("640x360", "30", 1), sound(1), h264, "-c:a aac")...)
	info := probe(t, tools(t), path)
	for name, limit := range map[string]string{
		"files": "ulimit -n 3", "size of files": "ulimit -f 1", "processor time": "ulimit -t 0", "stack": "ulimit -s 16",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := bare(t)
			tools.FFmpeg = standIn(t, "ffmpeg", limit+`; exec $REAL "$@"`)
			failed := false
			for call, err := range calls(t.Context(), tools, path, info) {
				if _, rejected := errors.AsType[*Rejection](err); rejected {
					t.Errorf("%s: got %v", call, err)
				}
				failed = failed || video.CodeOf(err) == video.Unavailable
			}
			if !failed {
				t.Error("nothing failed")
			}
		})
	}
}

// Where threads are refused, decoders and encoders fail each in its own way.
func TestLackOfThreadsRejectsNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else, and of root no limit of processes is asked")
	}
	path := clip(t, "clip.mp4", args(picture("640x360", "30", 2), h264)...)
	tools := bare(t)
	tools.Threads = 4
	tools.FFmpeg = standIn(t, "ffmpeg", `exec setpriv --reuid=65534 --clear-groups prlimit --nproc=1 $REAL "$@"`)
	if err := os.Chmod(filepath.Dir(tools.FFmpeg), 0o755); err != nil {
		t.Fatal(err)
	}
	err := tools.verify(t.Context(), file(path), probe(t, tools, path).picture(), errShort)
	if video.CodeOf(err) != video.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestSelfTest(t *testing.T) { // alone: it measures the whole process
	tools := tools(t)
	before := childrenTime(t)
	if err := tools.SelfTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A start of two seconds on two cores, five times over; processor time, for
	// others may need it more.
	if took := childrenTime(t) - before; took > 20*time.Second {
		t.Errorf("took %v of processor time", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tools.SelfTest(ctx); err != context.Canceled {
		t.Errorf("canceled: got %v", err)
	}
}

// childrenTime is the processor time of all programs that have run.
func childrenTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// What is missing is named, and nothing else.
func TestSelfTestNamesWhatIsMissing(t *testing.T) {
	const unknown = "echo \"Unknown encoder\" >&2; exit 1;; esac; exec $REAL \"$@\""
	all := slices.Sorted(slices.Values(slices.Concat(videoCodecs(), audioCodecs())))
	for name, test := range some(map[string]struct{ program, script, want string }{
		"decoders":   {"ffmpeg", withoutDecoderOf("hevc", "av1", "amr_nb"), "This ffmpeg can't decode amr_nb, av1, hevc. "},
		"encoder":    {"ffmpeg", "case \"$*\" in *libx264*) " + unknown, "This ffmpeg can't make H.264 and AAC in MP4. "},
		"sound":      {"ffmpeg", "case \"$*\" in *\"-c:a aac\"*) " + unknown, "This ffmpeg can't make H.264 and AAC in MP4. "},
		"segments":   {"ffmpeg", "case \"$*\" in *mpegts_pmt*) " + unknown, "This ffmpeg can't make MPEG-TS segments. "},
		"pictures":   {"ffmpeg", "case \"$*\" in *image2pipe*) " + unknown, "This ffmpeg can't make JPEG pictures. "},
		"containers": {"ffprobe", "exit 1", "This ffprobe can't read avi, flv, matroska, mp4, mpeg, mpegts files. "},
		"everything": {"ffmpeg", "exit 1", "This ffmpeg can't decode " + strings.Join(all, ", ") + ". This ffprobe can't read mpeg, mpegts files. This ffmpeg can't make H.264 and AAC in MP4, JPEG pictures. "},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := bare(t)
			at := map[string]*string{"ffmpeg": &tools.FFmpeg, "ffprobe": &tools.FFprobe}[test.program]
			*at = standIn(t, test.program, test.script)
			err := tools.SelfTest(t.Context())
			e, ok := errors.AsType[*video.Error](err)
			if !ok || e.Code != video.Unavailable || e.Detail != test.want+howToInstall {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestSelfTestWantsRoom(t *testing.T) {
	t.Parallel()
	if err := checkRoom(200<<20, 2); err != nil {
		t.Errorf("room enough: %v", err)
	}
	if err := checkRoom(200<<20-1, 2); video.CodeOf(err) != video.Unavailable || !strings.Contains(err.Error(), "199 MB free, and 200 MB are needed") {
		t.Errorf("got %v", err)
	}
	small := t.TempDir()
	if err := unix.Mount("small", small, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("can't mount a small directory: %v", err)
	}
	defer unix.Unmount(small, 0)
	tools := tools(t)
	tools.Runner.Scratch = small
	if err := tools.SelfTest(t.Context()); video.CodeOf(err) != video.Unavailable || !strings.Contains(err.Error(), "--shm-size") {
		t.Errorf("got %v", err)
	}
}

func TestFindChecksTheVersion(t *testing.T) {
	for answer, want := range map[string]string{
		"ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright (c) 2000-2021": "4.4, which is too old",
		"ffmpeg version n5.0 Copyright":                                 "5.0, which is too old",
		"ffmpeg version 5.1.9-0+deb12u1 Copyright":                      "",
		"ffmpeg version n7.1.1 Copyright":                               "",
		"ffmpeg version 8.0 Copyright":                                  "",
		"ffmpeg version N-118896-g9f0970ee35-20250227 Copyright":        "",
		"ffmpeg version 2025-06-08-git-5fea5e3e11-full_build":           "",
	} {
		t.Setenv("PATH", filepath.Dir(standIn(t, "ffmpeg", "echo '"+answer+"'"))+":/usr/bin:/bin")
		_, err := Find()
		if want == "" && err != nil || want != "" && (video.CodeOf(err) != video.Unavailable || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v", answer, err)
		}
	}
	t.Setenv("PATH", filepath.Dir(standIn(t, "ffprobe", saying(127, "error while loading shared libraries")))+":/usr/bin:/bin")
	if _, err := Find(); video.CodeOf(err) != video.Unavailable || !strings.Contains(err.Error(), "ffprobe can't be run here") {
		t.Errorf("got %v", err)
	}
}
