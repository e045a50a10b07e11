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
// exactly the planned frames, so that the pieces join evenly. What can't be decoded is
// replaced by the picture before it; lost is told of that, before sink is called.
//
// An error of sink or lost is returned as it is. A *Rejection says that next to nothing
// of the whole source can be decoded, by a plain decode, with words that speak of the
// data, while this machine can decode its own sample: a rejection destroys the upload,
// so a failed encode alone is not enough. What may be the machine's fault is
// Unavailable; where nobody knows whose it is, a *Breakdown.
func (t *Tools) EncodePiece(ctx context.Context, src Source, info Info, ladder []video.Rendition, piece Piece, lost func(Loss) error, sink Sink) (err error) {
	defer func(begun time.Time) {
		t.worked("encode", info.OutputRate.Seconds(piece.Frames), begun, err)
	}(time.Now())
	encode := encoding{info: info, ladder: ladder, piece: piece, threads: t.Threads, seek: piece.First > 0, lost: lost}
	return breakdown(t.encodePieceSomehow(ctx, src, encode, sink))
}

// encodePieceSomehow tries another way where one doesn't work.
func (t *Tools) encodePieceSomehow(ctx context.Context, src Source, encode encoding, sink Sink) error {
	err := t.encodePiece(ctx, src, encode, sink)
	// Entering the source in the middle may be what failed.
	if encode.seek && (gaveUp(err) || crashed(err)) {
		encode.seek = false
		err = t.encodePiece(ctx, src, encode, sink)
	}
	if !gaveUp(err) {
		return err
	}
	info := encode.info
	if verdict := t.verify(ctx, src, info.picture(), err); verdict != nil {
		return verdict
	}
	if err := t.mustWork(ctx, info.VideoCodec); err != nil {
		return err
	}
	encode.seek, encode.fill = false, true
	return t.encodePiece(ctx, src, encode, sink)
}

// errShort says that the picture ended before the piece did.
var errShort = errors.New("fewer frames than planned")

func suspicious(err error) bool {
	exit, failed := errors.AsType[*ExitError](err)
	return failed && !exit.machineFault() || errors.Is(err, errShort)
}

func crashed(err error) bool {
	exit, failed := errors.AsType[*ExitError](err)
	return failed && exit.crashed()
}

// overTime reports whether a program has used up its time: another try would, too.
func overTime(err error) bool {
	exit, failed := errors.AsType[*ExitError](err)
	return failed && exit.OverTime
}

// gaveUp reports whether a program has read as much of its input as it could.
func gaveUp(err error) bool { return suspicious(err) && !overTime(err) }

func (t *Tools) encodePiece(ctx context.Context, src Source, encode encoding, sink Sink) error {
	var counter frameCounter
	var words tail
	return t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Files:   files(encode.info),
		Args:    func(base string) []string { return encode.args(base + sourceInput) },
		Stdout:  &counter,
		Stderr:  &words,
		Collect: func(dir *os.Root) error {
			if err := encode.counted(counter.frames, words.String()); err != nil {
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
	seek    bool             // else decode from the beginning
	fill    bool             // with the last picture, where frames are missing; not with seek
	lost    func(Loss) error // nil: nobody asks
}

// counted checks the number of frames that came out, and what the decoder said, and
// tells of what is lost.
func (e encoding) counted(frames int, words string) error {
	if blamesMachine(words) {
		return unavailable(errors.New(words)) // without what it complains of this isn't all
	}
	loss := Loss{Damaged: damage.MatchString(words)}
	switch missing := e.missing(frames); {
	case frames == 0, missing > 0 && !e.fill:
		return fmt.Errorf("%w: %d of %d: %s", errShort, frames, e.piece.Frames, words)
	default:
		loss.Frames = missing
	}
	return tell(e.lost, loss)
}

// tell tells whoever wants to know, unless nothing is lost.
func tell(lost func(Loss) error, loss Loss) error {
	if lost == nil || loss == (Loss{}) {
		return nil
	}
	return lost(loss)
}

// missing returns how many of the piece's frames had no picture of their own, by the
// number of frames that were counted.
func (e encoding) missing(frames int) int {
	const rounding = 2 // frames: by so much headers, packets and the decoder differ at a video's end
	planned := e.piece.Frames
	if e.fill { // it counts from the video's beginning, and up to where the picture stands anyway
		planned += e.piece.First - e.still()
	}
	missing := min(planned-frames, e.piece.Frames)
	if e.piece.Last && missing <= rounding {
		return 0
	}
	return max(0, missing)
}

// still returns how many frames of the piece lie behind the picture's end.
func (e encoding) still() int {
	if e.piece.Last {
		return min(e.info.StillFrames, e.piece.Frames-1)
	}
	return 0
}

func (e encoding) args(url string) []string {
	args := ffmpegArgs(e.threads)
	args = append(args, "-progress", "pipe:1", "-stats_period", "0.25")
	input := asDecoded()
	if e.seek {
		// Inaccurate: the frames before the piece come too, with negative
		// times, and the last of them is shown until the piece's own first.
		input = append(input, "-noaccurate_seek", "-ss", seconds(e.info.OutputRate.Seconds(e.piece.First)))
	}
	args = append(args, inputArgs(url, e.threads, input...)...)
	args = append(args, "-filter_complex", e.filter())
	if e.fill { // the first output is the one whose frames are counted
		args = append(args, "-map", "[own]", "-fps_mode", "passthrough", "-f", "null", "-")
	}
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
	top := e.ladder[0]
	var f strings.Builder
	fmt.Fprintf(&f, "[%s]%s,setpts=PTS-%s/TB,", stream(e.info.VideoStream), upright(e.info, top.Width, top.Height), seconds(e.info.StartSeconds))
	fmt.Fprintf(&f, "%s,setpts=PTS-STARTPTS,split=%d", e.frames(), len(e.ladder))
	for i := range e.ladder {
		fmt.Fprintf(&f, "[s%d]", i)
	}
	for i, r := range e.ladder {
		fmt.Fprintf(&f, ";[s%d]scale=%d:%d,setsar=1[v%d]", i, r.Width, r.Height, i)
	}
	return f.String()
}

// frames makes exactly the piece's frames of the picture's. Behind the picture's end,
// and where it can't be decoded to the piece's end, its last frame stands.
func (e encoding) frames() string {
	rate, from, count := e.info.OutputRate, e.piece.First, e.piece.Frames
	switch {
	case e.fill:
		return fmt.Sprintf("fps=fps=%s:start_time=0,split[o][p];[o]trim=end_frame=%d[own];[p]tpad=stop_mode=clone:stop=-1,trim=start_frame=%d:end_frame=%d",
			rate, from+count-e.still(), from, from+count)
	case e.seek:
		from = 0
	}
	pad := ""
	switch {
	case e.still() > 0:
		pad = fmt.Sprintf("tpad=stop_mode=clone:stop=%d,", e.still())
	case e.piece.Last:
		count += int(rate.Float()) + 1 // a second more than the packets said
	}
	return fmt.Sprintf("fps=fps=%s:start_time=%s,%strim=end_frame=%d", rate, seconds(rate.Seconds(from)), pad, count)
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

// EncodeAudio encodes the sound whole, as long as the video: AAC, stereo, 128
// kbit/s, beginning at the picture's first frame, in an MP4 for the sink. It
// must not be called for a video without sound. Where next to nothing of it can be decoded
// it makes silence, and tells lost. Errors are those of EncodePiece, but for rejections.
func (t *Tools) EncodeAudio(ctx context.Context, src Source, info Info, lost func(Loss) error, sink Sink) (err error) {
	if !info.HasAudio {
		return video.Errorf(video.Internal, "This video has no sound.")
	}
	defer func(begun time.Time) {
		t.worked("audio", info.OutputRate.Seconds(info.Frames), begun, err)
	}(time.Now())
	return breakdown(t.encodeAudioSomehow(ctx, src, info, lost, sink))
}

// encodeAudioSomehow makes silence where the sound can't be decoded.
func (t *Tools) encodeAudioSomehow(ctx context.Context, src Source, info Info, lost func(Loss) error, sink Sink) error {
	err := t.encodeAudio(ctx, src, info, lost, sink)
	if !gaveUp(err) {
		return err
	}
	verdict := t.verify(ctx, src, info.sound(), err)
	if _, unreadable := errors.AsType[*Rejection](verdict); !unreadable && verdict != nil {
		return verdict
	}
	if verdict == nil {
		return err
	}
	return t.Silence(ctx, info, lost, sink)
}

// Silence makes what EncodeAudio makes of sound that can't be decoded, and tells lost.
func (t *Tools) Silence(ctx context.Context, info Info, lost func(Loss) error, sink Sink) error {
	if err := tell(lost, Loss{Sound: true}); err != nil {
		return err
	}
	return breakdown(t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Args:    func(string) []string { return silenceArgs(info, t.Threads) },
		Collect: func(dir *os.Root) error { return deliver(dir, AudioName, sink) },
	}))
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
