package media

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/reelflow/reelflow/video"
)

// Poster returns a JPEG of a telling frame from the first seconds, at most 1280
// pixels long. Its errors are those of src and of this machine, and a *Rejection
// if no frame can be decoded.
func (t *Tools) Poster(ctx context.Context, src Source, info Info) ([]byte, error) {
	jpeg, err := t.picture(ctx, src, info, func(url string) []string { return posterArgs(url, info, t.Threads) })
	if errors.Is(err, errShort) { // behind the first seconds there is nothing to decode, or just a still picture
		jpeg, err = t.picture(ctx, src, info, func(url string) []string { return posterArgs(url, fromStart(info), t.Threads) })
	}
	return jpeg, breakdown(err)
}

// fromStart is the video as one that is too short for anything to be passed over.
func fromStart(info Info) Info {
	info.DurationSeconds = 0
	return info
}

func posterArgs(url string, info Info, threads int) []string {
	width, height := within(info, 1280)
	filter := fmt.Sprintf("[%s]%s,thumbnail=n=20,%s", stream(info.VideoStream), upright(info, width, height), jpegColours)
	if info.DurationSeconds < 2 {
		return pictureArgs(url, threads, filter)
	}
	// Not the very first frame: many videos begin in black.
	return pictureArgs(url, threads, filter, "-ss", seconds(min(1, info.DurationSeconds/10)))
}

const (
	mostTiles = 100
	tileSide  = 160 // pixels
	// Longer videos are previewed by their key frames alone: it would take as
	// long as encoding to decode all others.
	decodedWhole = 120 // seconds
)

// layout plans at most a hundred tiles, at least a second apart.
func layout(info Info) video.Previews {
	p := video.Previews{IntervalSeconds: max(1, math.Ceil(info.DurationSeconds*10/mostTiles)/10)}
	p.Count = min(mostTiles, max(1, int(math.Ceil(info.DurationSeconds/p.IntervalSeconds))))
	p.Columns = min(10, p.Count)
	p.Rows = (p.Count + p.Columns - 1) / p.Columns
	p.TileWidth, p.TileHeight = within(info, tileSide)
	return p
}

// Previews returns the scrubbing previews with their layout. Its errors are
// those of Poster.
func (t *Tools) Previews(ctx context.Context, src Source, info Info) ([]byte, video.Previews, error) {
	p := layout(info)
	jpeg, err := t.picture(ctx, src, info, func(url string) []string { return previewArgs(url, info, p, t.Threads) })
	if errors.Is(err, errShort) { // no key frame can be decoded
		jpeg, err = t.picture(ctx, src, info, func(url string) []string { return previewArgs(url, fromStart(info), p, t.Threads) })
	}
	return jpeg, p, breakdown(err)
}

func previewArgs(url string, info Info, p video.Previews, threads int) []string {
	var extra []string
	if info.DurationSeconds > decodedWhole {
		extra = []string{"-skip_frame", "nokey"}
	}
	// The last frame stands for a whole interval, or a clip of a few frames would have no tile.
	filter := fmt.Sprintf("[%s]%s,fps=%s,tpad=stop_mode=clone:stop_duration=%s,fps=fps=1/%[4]s:start_time=0,trim=end_frame=%d,tile=%dx%d,%s",
		stream(info.VideoStream), upright(info, p.TileWidth, p.TileHeight), info.OutputRate, seconds(p.IntervalSeconds), p.Count, p.Columns, p.Rows, jpegColours)
	return pictureArgs(url, threads, filter, extra...)
}

// picture runs ffmpeg for one JPEG.
func (t *Tools) picture(ctx context.Context, src Source, info Info, args func(url string) []string) ([]byte, error) {
	jpeg, err := t.drawPicture(ctx, src, info, args)
	if !gaveUp(err) {
		return jpeg, err
	}
	if _, failed := errors.AsType[*ExitError](err); failed {
		if verdict := t.verify(ctx, src, info.picture(), err); verdict != nil {
			return nil, verdict
		}
	}
	return nil, err
}

// drawPicture fails with errShort if nothing came out.
func (t *Tools) drawPicture(ctx context.Context, src Source, info Info, args func(url string) []string) ([]byte, error) {
	jpeg := capped{limit: 32 << 20}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Files:   files(info),
		Args:    func(base string) []string { return args(base + sourceInput) },
		Stdout:  &jpeg,
	})
	if err == nil && jpeg.Len() == 0 {
		err = errShort
	}
	return jpeg.Bytes(), err
}

func pictureArgs(url string, threads int, filter string, extra ...string) []string {
	args := append(ffmpegArgs(threads), inputArgs(url, threads, append(asDecoded(), extra...)...)...)
	args = append(args, "-filter_complex", filter+"[o]", "-map", "[o]")
	return append(append(args, anonymous()...),
		"-frames:v", "1", "-c:v", "mjpeg", "-q:v", "4", "-threads", strconv.Itoa(max(1, threads)), "-f", "image2pipe", "pipe:1")
}

// jpegColours are those of JFIF: BT.601, full range. It has no tags to say otherwise.
const jpegColours = "colorspace=iall=bt709:all=bt601-6-625:irange=tv:fast=1,scale=in_color_matrix=bt601:out_color_matrix=bt601:in_range=tv:out_range=pc,format=yuvj420p"

// within returns the size of the video with the long side at most so many pixels.
func within(info Info, long int) (width, height int) {
	scale := min(1, float64(long)/float64(max(info.Width, info.Height)))
	return even(float64(info.Width) * scale), even(float64(info.Height) * scale)
}
