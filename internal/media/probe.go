package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Info is what Probe found out, and with it the plan's foundation: it is made
// once for a video and kept, so that all workers count the same frames.
type Info struct {
	Container       string  `json:"container"` // mp4 (MOV too), matroska (WebM too), mpegts or avi
	DurationSeconds float64 `json:"duration_seconds"`
	Width           int     `json:"width"` // as shown: after rotation, in square pixels
	Height          int     `json:"height"`
	Rotation        int     `json:"rotation"` // degrees clockwise by which the picture is turned to be shown: 0, 90, 180 or 270
	VideoCodec      string  `json:"video_codec"`
	AudioCodec      string  `json:"audio_codec,omitempty"`
	HasAudio        bool    `json:"has_audio"`
	FrameRate       Rate    `json:"frame_rate"`  // the source's average
	OutputRate      Rate    `json:"output_rate"` // of all renditions, constant, at most 60
	Frames          int     `json:"frames"`      // at OutputRate; the last piece may find a few more or less

	VideoStream  int     `json:"video_stream"`  // indices in the source
	AudioStream  int     `json:"audio_stream"`  // meaningless without HasAudio
	StartSeconds float64 `json:"start_seconds"` // where frame 0 lies, after the container's start; less than one frame
	Interlaced   bool    `json:"interlaced"`
	Mirrored     bool    `json:"mirrored,omitempty"` // left to right, before it is turned
	Colour       Colour  `json:"colour"`
}

// Probe reads an upload's headers. It fails with a *Rejection if the upload
// can't become a video here, else with the error of src or of this machine. It
// does not decode: a damaged video may pass and be found by EncodePiece. An ffprobe that
// can't read our own sample in the upload's container rejects nothing: that is
// Unavailable.
func (t *Tools) Probe(ctx context.Context, src Source) (Info, error) {
	magic, err := head(ctx, src, 16)
	if ctx.Err() != nil {
		return Info{}, ctx.Err()
	}
	if err != nil {
		return Info{}, err
	}
	if len(magic) == 0 {
		return Info{}, reject(NotAVideo, nil, "This file is empty.")
	}
	info, err := t.probe(ctx, src, looksLike(magic) != "")
	if _, rejected := errors.AsType[*Rejection](err); rejected {
		if err := t.mustRead(ctx, looksLike(magic)); err != nil {
			return Info{}, err
		}
	}
	return info, err
}

func (t *Tools) probe(ctx context.Context, src Source, seemsVideo bool) (Info, error) {
	found, err := t.headers(ctx, src)
	if err != nil {
		return Info{}, unreadable(err, seemsVideo)
	}
	picture, err := found.picture()
	if err != nil {
		return Info{}, err
	}
	sound, err := found.sound()
	if err != nil {
		return Info{}, err
	}
	end, err := t.end(ctx, src, found, picture)
	if err != nil {
		return Info{}, err
	}
	info := found.info(picture, sound)
	if err := t.survey(ctx, src, &info, float64(found.Format.Start), end); err != nil {
		return Info{}, err
	}
	info.settle(found.start(picture, sound), float64(picture.Start), end)
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
		return probed{}, fmt.Errorf("read answer of ffprobe: %w", err)
	}
	return found, nil
}

func headerArgs(url string) []string {
	return []string{
		"-v", "error", "-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-print_format", "json", "-show_entries",
		"format=format_name,start_time,duration" +
			":stream=index,codec_type,codec_name,width,height,sample_aspect_ratio,field_order" +
			",avg_frame_rate,r_frame_rate,start_time,duration,nb_frames,channels" +
			":stream_disposition=attached_pic,still_image,timed_thumbnails" +
			":stream_side_data=rotation",
		"-i", url,
	}
}

// unreadable says what it means that ffprobe failed, on a file that seems to be
// a video or not.
func unreadable(err error, seemsVideo bool) error {
	switch {
	case errors.Is(err, errTooMuch):
		return reject(Unsupported, err, "This file holds too many streams.")
	case !suspicious(err):
		return err
	case seemsVideo:
		return reject(Damaged, err, damagedMessage)
	default:
		return reject(NotAVideo, err, "This is not a video, or not one that can be read here. "+readable)
	}
}

// looksLike returns the container (as Info names it) that begins with such
// bytes, "" where they say nothing: MPEG-TS has no mark to go by.
func looksLike(magic []byte) string {
	is := func(offset int, mark string) bool {
		return len(magic) >= offset+len(mark) && string(magic[offset:offset+len(mark)]) == mark
	}
	switch {
	case is(4, "ftyp") || is(4, "moov") || is(4, "mdat") || is(4, "wide"):
		return "mp4"
	case is(0, "\x1a\x45\xdf\xa3"):
		return "matroska"
	case is(0, "RIFF") && is(8, "AVI "):
		return "avi"
	default:
		return ""
	}
}

// end returns where the picture ends, in seconds on the container's clock. MP4,
// AVI and, by estimate, MPEG-TS know; Matroska says at most where the longest
// stream ends, and a browser that records not even that: so the last packets are read.
func (t *Tools) end(ctx context.Context, src Source, found probed, picture *probedStream) (float64, error) {
	if picture.Duration > 0 {
		return float64(picture.Start + picture.Duration), nil
	}
	claim := max(0, float64(found.Format.Start+found.Format.Duration))
	ends, err := t.packetEnds(ctx, src, picture.Index, max(0, claim-10))
	if err == nil && ends.picture == 0 && claim > 0 {
		ends, err = t.packetEnds(ctx, src, picture.Index, 0) // it ends long before
	}
	if err != nil {
		return 0, err
	}
	if claim-ends.any > 2 {
		return 0, reject(Damaged, fmt.Errorf("ends after %.1f of %.1f s", ends.any, claim), damagedMessage)
	}
	return ends.picture, nil
}

// packetEnds returns where the streams end, reading from about the given second.
func (t *Tools) packetEnds(ctx context.Context, src Source, picture int, from float64) (packetEnds, error) {
	ends := packetEnds{index: strconv.Itoa(picture)}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFprobe,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return packetArgs(base+sourceInput, from) },
		Stdout:  &ends,
	})
	if err != nil {
		return packetEnds{}, unreadable(err, true)
	}
	return ends, nil
}

func packetArgs(url string, from float64) []string {
	return []string{
		"-v", "error", "-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-read_intervals", seconds(from) + "%",
		"-show_entries", "packet=stream_index,pts_time,duration_time", "-print_format", "csv=p=0", "-i", url,
	}
}

// packetEnds reads lines of "stream,start,duration" and keeps the latest end, of
// the picture and of all streams, in seconds.
type packetEnds struct {
	index        string // the picture's
	picture, any float64
	lines        lines
}

func (p *packetEnds) Write(b []byte) (int, error) {
	return p.lines.write(b, func(line string) {
		fields := append(strings.Split(line, ","), "", "")
		start, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return // N/A
		}
		length, _ := strconv.ParseFloat(fields[2], 64) // N/A counts as nothing
		p.any = max(p.any, start+length)
		if fields[0] == p.index {
			p.picture = max(p.picture, start+length)
		}
	})
}

// settle lays the grid of frames over the picture. All times are seconds on the
// container's clock: when it starts, when the picture starts and ends.
func (info *Info) settle(start, first, end float64) {
	// The grid begins in step with the source's own frames, or timestamps half
	// way between two of ours would be rounded this way and that.
	info.StartSeconds = math.Mod(max(0, first-start), info.OutputRate.Seconds(1))
	info.DurationSeconds = max(0, end-start)
	info.Frames = int(math.Round((info.DurationSeconds - info.StartSeconds) * info.OutputRate.Float()))
}

const (
	smallest, largest = 16, 8192 // sides in pixels
	mostPixels        = 8192 * 4352
)

// admit applies the limits.
func (t *Tools) admit(info Info) error {
	length := time.Duration(info.DurationSeconds * float64(time.Second))
	switch {
	case info.Frames <= 1:
		return reject(NotAVideo, nil, "This is a still picture, not a video.")
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
