package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Info is what Probe found out, and with it the plan's foundation: it is made
// once for a video and kept, so that all workers count the same frames.
type Info struct {
	Container       string  `json:"container"` // mp4 (MOV too), matroska (WebM too), mpegts, mpeg (the program stream), avi or flv
	DurationSeconds float64 `json:"duration_seconds"`
	Width           int     `json:"width"` // as shown: after rotation, in square pixels
	Height          int     `json:"height"`
	Rotation        int     `json:"rotation"` // degrees clockwise by which the picture is turned to be shown: 0, 90, 180 or 270
	VideoCodec      string  `json:"video_codec"`
	AudioCodec      string  `json:"audio_codec,omitempty"`
	HasAudio        bool    `json:"has_audio"`
	FrameRate       Rate    `json:"frame_rate"`             // the source's average
	OutputRate      Rate    `json:"output_rate"`            // of all renditions, constant, at most 60
	Frames          int     `json:"frames"`                 // at OutputRate; the last piece may find a few more or less
	StillFrames     int     `json:"still_frames,omitempty"` // the last so many of them: the picture is over and its last frame stands, while the sound goes on
	Packets         int     `json:"packets,omitempty"`      // of the picture in the source: about as many frames can be decoded

	VideoStream  int     `json:"video_stream"`  // indices in the source
	AudioStream  int     `json:"audio_stream"`  // meaningless without HasAudio
	StartSeconds float64 `json:"start_seconds"` // where frame 0 lies, after the container's start; less than one frame
	Interlaced   bool    `json:"interlaced"`
	Mirrored     bool    `json:"mirrored,omitempty"` // left to right, before it is turned
	Colour       Colour  `json:"colour"`

	Faults Faults `json:"faults,omitzero"`
}

// probeTime is the processor time of each program that reads headers, packets or some
// frames: it takes seconds.
const probeTime = 90 * time.Second

// Probe reads an upload's headers and all its packets, for lengths that the headers
// tell are not to be trusted. It fails with a *Rejection if the upload
// can't become a video here, else with the error of src or of this machine. It
// does not decode: a damaged video passes, and EncodePiece finds what is missing. An
// ffprobe that can't read our own sample in the upload's container rejects nothing:
// that is Unavailable. One that fails for no known reason is a *Breakdown.
func (t *Tools) Probe(ctx context.Context, src Source) (Info, error) {
	magic, err := head(ctx, src, 64)
	if ctx.Err() != nil {
		return Info{}, ctx.Err()
	}
	if err != nil {
		return Info{}, err
	}
	if len(magic) == 0 {
		return Info{}, reject(NotAVideo, nil, "This file is empty.")
	}
	quick := *t
	quick.Runner.CPU = min(t.Runner.CPU, probeTime)
	info, err := quick.probe(ctx, src, magic)
	if _, rejected := errors.AsType[*Rejection](err); rejected {
		if err := t.mustRead(ctx, looksLike(magic)); err != nil {
			return Info{}, err
		}
	}
	return info, breakdown(err)
}

func (t *Tools) probe(ctx context.Context, src Source, magic []byte) (Info, error) {
	locks, err := protection(ctx, src, looksLike(magic))
	if err != nil {
		return Info{}, err
	}
	if locks.picture {
		return Info{}, reject(Unsupported, nil, protectedMessage)
	}
	found, err := t.headers(ctx, src)
	if err != nil {
		return Info{}, unreadable(err, magic)
	}
	if container(found.Format.Name) == transport {
		marked, err := scrambled(ctx, src)
		if err != nil {
			return Info{}, err
		}
		if locks = found.transportLocks(marked); locks.picture {
			return Info{}, reject(Unsupported, nil, protectedMessage)
		}
	}
	packets, err := t.walkPackets(ctx, src)
	if err != nil {
		return Info{}, unreadable(err, magic)
	}
	picture, err := found.picture(packets)
	if err != nil {
		return Info{}, err
	}
	sound, unread := found.sound(packets)
	if locks.sound {
		sound, unread = nil, "encrypted"
	}
	return t.measured(ctx, src, found, packets, picture, sound, unread)
}

// measured completes what is found with what only the packets tell.
func (t *Tools) measured(ctx context.Context, src Source, found probed, packets *walk, picture, sound *probedStream, unread string) (Info, error) {
	start, damaged := found.start(picture, sound), packets.damaged
	if joinable(container(found.Format.Name)) {
		joined, err := t.walkJoined(ctx, src, picture, sound)
		if err != nil {
			return Info{}, unreadable(err, nil)
		}
		packets, start = joined, 0
	}
	shown := packets.stream(picture.Index)
	if shown.packets == 0 {
		return Info{}, reject(Damaged, errors.New("the picture has no packet"), damagedMessage)
	}
	end := shown.end
	if sound != nil {
		end = packets.stream(sound.Index).end
	}
	info := found.info(picture, sound)
	begins := float64(found.Format.Start)
	if err := t.survey(ctx, src, &info, begins, begins+max(0, shown.end-start)); err != nil {
		return Info{}, err
	}
	info.Packets = shown.packets
	info.settle(start, shown.first, shown.end, end)
	info.Faults = Faults{
		UnreadSound: unread, Damaged: damaged || packets.damaged,
		SaidSeconds: found.said(picture, info.DurationSeconds),
	}
	return info, t.admit(info)
}

// headers asks ffprobe about container and streams.
func (t *Tools) headers(ctx context.Context, src Source) (probed, error) {
	out := capped{limit: 1 << 20}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFprobe,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return headerArgs(base + sourceInput) },
		Stdout:  &out,
	})
	if err != nil {
		return probed{}, err
	}
	var found probed
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return probed{}, brokenDown("ffprobe: prints what can't be read", err, video.Internal)
	}
	return found, nil
}

func headerArgs(url string) []string {
	return []string{
		"-v", "error", "-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-print_format", "json", "-show_entries",
		"format=format_name,start_time,duration" +
			":stream=index,id,codec_type,codec_name,codec_tag_string,width,height,sample_aspect_ratio,field_order" +
			",avg_frame_rate,r_frame_rate,start_time,duration,nb_frames,channels" +
			":stream_disposition=default,attached_pic,still_image,timed_thumbnails" +
			":stream_side_data=rotation",
		"-i", url,
	}
}

// unreadable says what it means that ffprobe failed, on a file that begins with such
// bytes.
func unreadable(err error, magic []byte) error {
	reason, message := otherwise(magic)
	switch {
	case errors.Is(err, errTooMuch):
		return reject(Unsupported, err, "This file holds too many streams.")
	case !gaveUp(err):
		return err
	case message != "":
		return reject(reason, err, message)
	case magic == nil || looksLike(magic) != "":
		return reject(Damaged, err, damagedMessage)
	default:
		return reject(NotAVideo, err, "This is not a video, or not one that can be read here. "+readable)
	}
}

// standsAfter is how much longer than the picture the sound must be for the last
// frame to stand: nearly all files' ends differ by a little.
const standsAfter = 0.5 // seconds

// settle lays the grid of frames over the picture. All times are seconds on the
// container's clock: when it starts, when the picture starts and ends, when the sound ends.
func (info *Info) settle(start, first, last, end float64) {
	// The grid begins in step with the source's own frames, or timestamps half
	// way between two of ours would be rounded this way and that.
	info.StartSeconds = math.Mod(max(0, first-start), info.OutputRate.Seconds(1))
	frames := func(until float64) int {
		return max(1, int(math.Round((max(0, until-start)-info.StartSeconds)*info.OutputRate.Float())))
	}
	if end <= last+standsAfter {
		end = last
	}
	info.DurationSeconds = max(0, end-start)
	info.Frames = frames(end)
	info.StillFrames = info.Frames - frames(last)
}

const (
	smallest, largest = 16, 8192 // sides in pixels
	mostPixels        = 8192 * 4352
)

// admit applies the limits.
func (t *Tools) admit(info Info) error {
	length := time.Duration(info.DurationSeconds * float64(time.Second))
	switch {
	// Editors that cut at the limit miss it by some frames.
	case t.MaxDuration > 0 && length > t.MaxDuration+time.Second/2:
		return reject(TooLong, nil, fmt.Sprintf("This video is %s long. At most %s are possible.",
			spoken(length), spoken(t.MaxDuration)))
	case min(info.Width, info.Height) < smallest:
		return reject(Unsupported, nil, fmt.Sprintf("This video is %d by %d pixels small. At least %d by %d are needed.",
			info.Width, info.Height, smallest, smallest))
	case max(info.Width, info.Height) > largest || info.Width*info.Height > mostPixels:
		return reject(Unsupported, nil, fmt.Sprintf("This video is %d by %d pixels large. At most 8192 by 4352 are possible.",
			info.Width, info.Height))
	}
	return nil
}

// spoken writes a duration for people.
func spoken(d time.Duration) string {
	d = d.Round(time.Second)
	minutes, rest := int(d/time.Minute), int(d%time.Minute/time.Second)
	switch {
	case minutes == 0:
		return fmt.Sprintf("%d s", rest)
	case rest == 0:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d min %d s", minutes, rest)
	}
}
