package media

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Package joins the pieces of one rendition in order, as EncodePiece made them,
// with the sound, if audio isn't nil, and hands out segments of about four
// seconds (the first of two) in order. Nothing is encoded anew: every frame is
// there, and the gaps at the joints are like all others. Segments of different renditions
// begin at the same frames. Not more than one is held at a time: Package
// waits for emit, whose error it returns as it is. Inputs of ours that turn out to be
// broken are a *Breakdown.
func (t *Tools) Package(ctx context.Context, info Info, pieces []Source, audio Source, emit func(Segment) error) (err error) {
	defer func(begun time.Time) {
		t.worked("package", info.OutputRate.Seconds(info.Frames), begun, err)
	}(time.Now())
	cut := &cutter{rate: info.OutputRate, emit: emit}
	inputs := joined(pieces)
	if audio != nil {
		inputs[audioInput] = audio
	}
	err = t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  inputs,
		Args:    func(base string) []string { return packageArgs(base, audio != nil) },
		Stdout:  cut,
		Collect: func(*os.Root) error { return cut.finish() },
	})
	return breakdown(err)
}

// joined lists the pieces for ffmpeg's concat demuxer, which resolves the
// names like a browser, against the list's own address.
func joined(pieces []Source) map[string]Source {
	inputs := map[string]Source{}
	var list strings.Builder
	list.WriteString("ffconcat version 1.0\n")
	for i, piece := range pieces {
		name := fmt.Sprintf("piece%d", i)
		inputs[name] = piece
		fmt.Fprintf(&list, "file %s\n", name)
	}
	inputs[listInput] = text(list.String())
	return inputs
}

func packageArgs(base string, audio bool) []string {
	open := func(name string, formats ...string) []string {
		return []string{"-protocol_whitelist", protocols, "-format_whitelist", strings.Join(formats, ","), "-i", base + name}
	}
	args := append(ffmpegArgs(1), "-xerror", "-f", "concat")
	args = append(args, open(listInput, "concat", "mov", "mp4")...)
	if audio {
		args = append(args, open(audioInput, "mov", "mp4")...)
	}
	args = append(args, "-map", "0:v:0")
	if audio {
		args = append(args, "-map", "1:a:0")
	}
	return append(append(args, anonymous()...),
		"-c", "copy", "-f", "mpegts",
		"-mpegts_pmt_start_pid", strconv.Itoa(pmtPID), "-mpegts_start_pid", strconv.Itoa(videoPID),
		// Times begin at one second, so that the sound's priming, which lies
		// before the picture, shifts nothing.
		"-output_ts_offset", "1", "-muxdelay", "0", "-muxpreload", "0",
		"pipe:1")
}
