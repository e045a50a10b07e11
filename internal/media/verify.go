package media

import (
	"context"
	"errors"
	"fmt"

	"github.com/reelflow/reelflow/video"
)

// coded is a stream of an upload: its index, its codec as ffprobe names it, and how many
// packets it has, 0 if that isn't known.
type coded struct {
	index   int
	codec   string
	packets int
}

func (info Info) picture() coded { return coded{info.VideoStream, info.VideoCodec, info.Packets} }
func (info Info) sound() coded   { return coded{info.AudioStream, info.AudioCodec, 0} }

// verify decodes a whole stream for nothing but what comes out, and returns the
// Rejection if that is next to nothing, or Unavailable if it may be this machine's fault. cause
// is why it is asked.
func (t *Tools) verify(ctx context.Context, src Source, stream coded, cause error) error {
	verdict, err := t.judge(ctx, src, stream, cause)
	if err != nil {
		return err
	}
	if verdict == nil {
		return nil
	}
	if err := t.mustWork(ctx, stream.codec); err != nil {
		return err
	}
	return verdict
}

// nextToNothing is the part of a stream's packets that must be decodable: less is no
// video any more.
const nextToNothing = 0.02

// judge returns what a decode of the stream says against it, or nil.
func (t *Tools) judge(ctx context.Context, src Source, stream coded, cause error) (*Rejection, error) {
	frames, words, err := t.decode(ctx, src, stream.index)
	exit, failed := errors.AsType[*ExitError](err)
	switch {
	case err != nil && !suspicious(err):
		return nil, err
	case failed && exit.OverTime:
		return reject(Unsupported, err, "This video takes too long to decode. Export it again, at most as large as 4K."), nil
	case frames > 0 && float64(frames) >= nextToNothing*float64(stream.packets):
		return nil, nil
	}
	if words == "" && err == nil {
		// It is content, and nothing comes out.
		return nil, brokenDown("ffmpeg: decodes nothing, and says nothing", cause, video.Internal)
	}
	if words == "" || blamesMachine(words) {
		// When memory runs out ffmpeg says so, prints nothing at all, or what it also
		// prints of broken data.
		return nil, unavailable(fmt.Errorf("%v; %d frames of %d packets: %s", cause, frames, stream.packets, words))
	}
	return reject(Damaged, fmt.Errorf("%d frames of %d packets: %s", frames, stream.packets, words), damagedMessage), nil
}

// decode counts the frames of a stream that can be decoded, and returns ffmpeg's complaints.
func (t *Tools) decode(ctx context.Context, src Source, index int) (frames int, complaints string, err error) {
	var words tail
	count := streamCounter{frames: map[string]int{}}
	err = t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return verifyArgs(base+sourceInput, index, t.Threads) },
		Stdout:  &count,
		Stderr:  &words,
	})
	return count.frames["0"], words.String(), err
}

// verifyArgs print a line for each frame.
func verifyArgs(url string, index, threads int) []string {
	args := append(ffmpegArgs(threads), inputArgs(url, threads)...)
	return append(args, "-map", stream(index), "-fps_mode", "passthrough", "-f", "framecrc", "pipe:1")
}
