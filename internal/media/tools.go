package media

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/sandbox/launcher"
	"github.com/reelflow/reelflow/video"
)

// Tools are the programs on this machine with the settings they run under. A
// Tools is safe for concurrent use as long as nobody changes it.
type Tools struct {
	FFmpeg, FFprobe string // absolute paths
	Version         string // of ffmpeg, as it tells

	// Threads is how many threads one job may use for decoding, filtering and
	// each encoder, at least 1. Set 1 where as many jobs as cores run side by side.
	Threads int

	// MaxDuration is how long a video may be; 0 is no limit.
	MaxDuration time.Duration

	Runner Runner

	// Worked, unless nil, is told of each piece, sound and package that was asked for,
	// from any goroutine. It must not wait.
	Worked func(Work)
}

// Work is a part of a video that ffmpeg was to make something of.
type Work struct {
	Kind  string        // encode, audio or package
	Media time.Duration // of the video or sound that goes into it
	Took  time.Duration
	Err   error // nil if it was made
}

// worked tells of a part that is done; begun is when it was asked for.
func (t *Tools) worked(kind string, seconds float64, begun time.Time, err error) {
	if t.Worked != nil {
		t.Worked(Work{Kind: kind, Media: time.Duration(seconds * float64(time.Second)), Took: time.Since(begun), Err: err})
	}
}

// Find looks for ffmpeg 5.1 or newer and its ffprobe in PATH and gives them
// default limits and a scratch directory in memory where there is one. It fails
// with Unavailable, saying how to install them. What they can do is SelfTest's to tell.
func Find() (*Tools, error) {
	var paths, versions [2]string
	for i, name := range []string{"ffmpeg", "ffprobe"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, video.Errorf(video.Unavailable,
				"%s is not installed. On Debian and Ubuntu: apt-get install ffmpeg. On macOS: brew install ffmpeg.", name).Because(err)
		}
		if versions[i], err = mustBeNew(name, path); err != nil {
			return nil, err
		}
		paths[i] = path
	}
	// More threads than that cost memory and quality and win little: further
	// cores help with further pieces.
	threads := min(8, runtime.GOMAXPROCS(0))
	return &Tools{FFmpeg: paths[0], FFprobe: paths[1], Version: versions[0], Threads: threads, Runner: defaultRunner()}, nil
}

// MustRun runs the programs as all work runs them, and does nothing by it.
func (t *Tools) MustRun(ctx context.Context) error {
	for _, program := range []string{t.FFmpeg, t.FFprobe} {
		job := Job{Program: program, Args: func(string) []string { return []string{"-version"} }}
		if err := t.Runner.Run(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// mustBeNew asks a program for its version, and returns its first words. Builds from between two
// versions have no number, and pass.
func mustBeNew(name, path string) (version string, err error) {
	const oldestMajor, oldestMinor = 5, 1
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-version")
	cmd.Env = launcher.Environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", video.Errorf(video.Unavailable, "%s can't be run here. %s", name, howToInstall).Because(fmt.Errorf("%s: %w: %s", path, err, out))
	}
	version, _, _ = strings.Cut(string(out), " Copyright")
	major, minor, known := versionNumber(version)
	if known && (major < oldestMajor || major == oldestMajor && minor < oldestMinor) {
		return "", video.Errorf(video.Unavailable, "%s is version %d.%d, which is too old. %s", name, major, minor, howToInstall).
			Because(fmt.Errorf("%s", path))
	}
	return version, nil
}

// versionNumber reads "ffmpeg version 5.1.9-0+deb12u1 Copyright …", or n5.1, as some build it.
func versionNumber(line string) (major, minor int, known bool) {
	_, number, _ := strings.Cut(line, " version ")
	n, err := fmt.Sscanf(strings.TrimPrefix(number, "n"), "%d.%d", &major, &minor)
	return major, minor, n == 2 && err == nil
}

const howToInstall = "Install all of ffmpeg 5.1 or newer (on Debian and Ubuntu: apt-get install ffmpeg)."

// Names under which a job's inputs are served, and by which its arguments call
// them.
const (
	sourceInput = "source"
	audioInput  = "audio"
	listInput   = "list"
)

// What ffmpeg may open for an upload. Protocols alone don't do: a playlist
// named .mp4 would still read what it points at.
const (
	protocols = "http,tcp"
	formats   = "mov,mp4,matroska,webm,mpegts,mpeg,avi,flv"
)

// ffmpegArgs are the options every call of ffmpeg begins with.
func ffmpegArgs(threads int) []string {
	n := strconv.Itoa(threads)
	return []string{
		"-nostdin", "-hide_banner", "-v", "error",
		"-filter_threads", n, "-filter_complex_threads", n,
	}
}

// inputArgs open an upload, with extra options before -i. Broken data ends nothing,
// however much of it there is: as players do, ffmpeg goes on with what can be decoded, and
// whoever needs to know counts what came out.
func inputArgs(url string, threads int, extra ...string) []string {
	args := []string{
		"-max_error_rate", "1",
		"-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-threads", strconv.Itoa(threads),
	}
	return append(append(args, extra...), "-i", url)
}

// anonymous drops what cameras and phones write into files: places, names, models.
func anonymous() []string {
	return []string{"-map_metadata", "-1", "-map_chapters", "-1"}
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 6, 64) }

func stream(index int) string { return fmt.Sprintf("0:%d", index) }
