package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Sink takes a finished file. It is read-only and gone after the call.
type Sink func(rendition string, file io.ReadSeeker, size int64) error

// AudioName is the name under which EncodeAudio gives its file to the sink.
const AudioName = "audio"

// EncodePiece encodes one piece of the video in all the given renditions, with
// one decoding, and gives sink one MP4 each, without sound: H.264 at a constant
// rate, key frames every two seconds at the same places in all of them, and
// exactly the planned frames, so that the pieces join evenly.
//
// An error of sink is returned as it is. Broken data is a *Rejection, but only when
// a plain decode of the whole source fails too, with words that speak of the data, and
// this machine can decode its own sample at that moment: a rejection destroys the
// upload, so a failed encode alone is not enough. What may be the machine's
// fault is Unavailable.
func (t *Tools) EncodePiece(ctx context.Context, src Source, info Info, ladder []video.Rendition, piece Piece, sink Sink) (err error) {
	defer func(begun time.Time) {
		t.worked("encode", info.OutputRate.Seconds(piece.Frames), begun, err)
	}(time.Now())
	encode := encoding{info: info, ladder: ladder, piece: piece, threads: t.Threads, seek: piece.First > 0}
	err = t.encodePiece(ctx, src, encode, sink)
	if !suspicious(err) {
		return err
	}
	if verdict := t.verify(ctx, src, info.picture(), err); verdict != nil {
		return verdict
	}
	// The data is sound, so entering it in the middle may be what failed.
	if encode.seek {
		encode.seek = false
		err = t.encodePiece(ctx, src, encode, sink)
	}
	if suspicious(err) {
		return internal(err)
	}
	return err
}

// errShort says that the picture ended before the piece did.
var errShort = errors.New("fewer frames than planned")

func suspicious(err error) bool {
	exit, failed := errors.AsType[*ExitError](err)
	return failed && !exit.machineFault() || errors.Is(err, errShort)
}

func (t *Tools) encodePiece(ctx context.Context, src Source, encode encoding, sink Sink) error {
	var counter frameCounter
	return t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return encode.args(base + sourceInput) },
		Stdout:  &counter,
		Collect: func(dir *os.Root) error {
			if err := encode.counted(counter.frames); err != nil {
				return err
			}
			for _, r := range encode.ladder {
				if err := deliver(dir, r.Name, sink); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// deliver gives the file of a rendition to the sink.
func deliver(dir *os.Root, name string, sink Sink) error {
	file, err := dir.Open(name + ".mp4")
	if err != nil {
		return unavailable(fmt.Errorf("take result: %w", err))
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return unavailable(fmt.Errorf("take result: %w", err))
	}
	return sink(name, file, stat.Size())
}

// encoding is all that decides the arguments for one piece.
type encoding struct {
	info    Info
	ladder  []video.Rendition
	piece   Piece
	threads int
	seek    bool // else decode from the beginning
}

// counted checks the number of frames that came out.
func (e encoding) counted(frames int) error {
	if frames == 0 || !e.piece.Last && frames != e.piece.Frames {
		return fmt.Errorf("%w: %d of %d", errShort, frames, e.piece.Frames)
	}
	return nil
}

func (e encoding) args(url string) []string {
	args := ffmpegArgs(e.threads)
	args = append(args, "-progress", "pipe:1", "-stats_period", "0.25")
	// A change of size in the middle is the first scaler's business: set up
	// anew, the filters would count from zero again.
	input := []string{"-reinit_filter", "0"}
	if e.seek {
		// Inaccurate: the frames before the piece come too, with negative
		// times, and the last of them is shown until the piece's own first.
		input = append(input, "-noaccurate_seek", "-ss", seconds(e.info.OutputRate.Seconds(e.piece.First)))
	}
	args = append(args, inputArgs(url, e.threads, input...)...)
	args = append(args, "-filter_complex", e.filter())
	for i, r := range e.ladder {
		args = append(args, e.output(i, r)...)
	}
	return append(args, beside(e.info, e.info.AudioStream)...)
}

// beside reads the other stream too, for nothing: in a transport stream ffmpeg
// sets its clock by the streams in use, and so picture and sound, encoded each
// by itself, would lose each other.
func beside(info Info, other int) []string {
	if info.Container != transport || !info.HasAudio {
		return nil
	}
	return []string{"-map", stream(other), "-c", "copy", "-f", "null", "-"}
}

// filter turns the picture into even frames, exactly the piece's, and splits
// them to the renditions' sizes.
func (e encoding) filter() string {
	first, top := 0, e.ladder[0]
	if !e.seek {
		first = e.piece.First
	}
	frames := e.piece.Frames
	if e.piece.Last {
		frames += int(e.info.OutputRate.Float()) + 1 // a second more than the headers said
	}
	var f strings.Builder
	fmt.Fprintf(&f, "[%s]", stream(e.info.VideoStream))
	if e.info.Interlaced {
		f.WriteString("bwdif=mode=send_frame:deint=interlaced,")
	}
	fmt.Fprintf(&f, "%s,setpts=PTS-%s/TB,", scale(top.Width, top.Height), seconds(e.info.StartSeconds))
	fmt.Fprintf(&f, "fps=fps=%s:start_time=%s,trim=end_frame=%d,setpts=PTS-STARTPTS,split=%d",
		e.info.OutputRate, seconds(e.info.OutputRate.Seconds(first)), frames, len(e.ladder))
	for i := range e.ladder {
		fmt.Fprintf(&f, "[s%d]", i)
	}
	for i, r := range e.ladder {
		fmt.Fprintf(&f, ";[s%d]%s[v%d]", i, scale(r.Width, r.Height), i)
	}
	return f.String()
}

func scale(width, height int) string {
	return fmt.Sprintf("scale=%d:%d:out_range=tv,setsar=1,format=yuv420p", width, height)
}

// output encodes one rendition. Without B-frames every piece begins at time
// zero, and a player has something to show there.
func (e encoding) output(i int, r video.Rendition) []string {
	group := strconv.Itoa(gop(e.info.OutputRate))
	picture := r.Bitrate
	if e.info.HasAudio {
		picture -= audioBits
	}
	args := []string{
		"-map", fmt.Sprintf("[v%d]", i), "-fps_mode", "passthrough",
		"-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "0",
		"-crf", "23", "-maxrate", strconv.Itoa(picture), "-bufsize", strconv.Itoa(picture),
		"-g", group, "-keyint_min", group, "-sc_threshold", "0", "-flags", "+cgop",
		"-threads", strconv.Itoa(e.threads),
	}
	return append(append(args, anonymous()...), "-f", "mp4", r.Name+".mp4")
}

// EncodeAudio encodes the sound whole, as long as the picture: AAC, stereo, 128
// kbit/s, beginning at the picture's first frame, in an MP4 for the sink. It
// must not be called for a video without sound. Errors are those of EncodePiece.
func (t *Tools) EncodeAudio(ctx context.Context, src Source, info Info, sink Sink) (err error) {
	if !info.HasAudio {
		return video.Errorf(video.Internal, "This video has no sound.")
	}
	defer func(begun time.Time) {
		t.worked("audio", info.OutputRate.Seconds(info.Frames), begun, err)
	}(time.Now())
	err = t.encodeAudio(ctx, src, info, sink)
	if !suspicious(err) {
		return err
	}
	if verdict := t.verify(ctx, src, info.sound(), err); verdict != nil {
		return verdict
	}
	return internal(err)
}

func (t *Tools) encodeAudio(ctx context.Context, src Source, info Info, sink Sink) error {
	return t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return audioArgs(base+sourceInput, info, t.Threads) },
		Collect: func(dir *os.Root) error { return deliver(dir, AudioName, sink) },
	})
}

func audioArgs(url string, info Info, threads int) []string {
	args := append(ffmpegArgs(threads), inputArgs(url, threads)...)
	args = append(args,
		"-map", stream(info.AudioStream), "-t", seconds(info.OutputRate.Seconds(info.Frames)),
		// Silence where there is nothing, at the start too.
		"-af", "asetpts=PTS-"+seconds(info.StartSeconds)+"/TB,aresample=async=1:first_pts=0",
		"-c:a", "aac", "-b:a", strconv.Itoa(audioBits), "-ac", "2", "-ar", "48000")
	args = append(append(args, anonymous()...), "-f", "mp4", AudioName+".mp4")
	return append(args, beside(info, info.VideoStream)...)
}

// frameCounter reads what -progress prints: lines of key=value.
type frameCounter struct {
	frames int
	lines  lines
}

func (c *frameCounter) Write(b []byte) (int, error) {
	return c.lines.write(b, func(line string) {
		value, ok := strings.CutPrefix(line, "frame=")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); ok && err == nil {
			c.frames = n
		}
	})
}
