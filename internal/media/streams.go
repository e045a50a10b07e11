package media

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// probed is ffprobe's answer, as far as it is asked for.
type probed struct {
	Format struct {
		Name     string `json:"format_name"`
		Start    number `json:"start_time"`
		Duration number `json:"duration"`
	} `json:"format"`
	Streams []probedStream `json:"streams"`
}

type probedStream struct {
	Index       int            `json:"index"`
	Type        string         `json:"codec_type"`
	Codec       string         `json:"codec_name"`
	Width       int            `json:"width"`
	Height      int            `json:"height"`
	Pixel       string         `json:"sample_aspect_ratio"`
	FieldOrder  string         `json:"field_order"`
	Average     string         `json:"avg_frame_rate"`
	Base        string         `json:"r_frame_rate"`
	Start       number         `json:"start_time"`
	Duration    number         `json:"duration"`
	Packets     string         `json:"nb_frames"`
	Channels    int            `json:"channels"`
	Disposition map[string]int `json:"disposition"`
	SideData    []struct {
		Rotation *float64 `json:"rotation"`
	} `json:"side_data_list"`
}

// start returns where ffmpeg's clock begins when it reads these two streams;
// sound may be nil.
func (p *probed) start(picture, sound *probedStream) float64 {
	switch {
	case p.Format.Name != transport:
		return float64(p.Format.Start)
	case sound != nil:
		return float64(min(picture.Start, sound.Start))
	default:
		return float64(picture.Start)
	}
}

// number is a float that ffprobe writes as a string, or leaves out.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		*n = number(f)
	}
	return nil
}

// info takes from the answer all but the length; sound may be nil.
func (p *probed) info(picture, sound *probedStream) Info {
	info := Info{
		Container:   container(p.Format.Name),
		VideoCodec:  picture.Codec,
		VideoStream: picture.Index,
		FrameRate:   parseRate(picture.Average),
		Rotation:    picture.rotation(),
		Interlaced:  slices.Contains([]string{"tt", "bb", "tb", "bt"}, picture.FieldOrder),
	}
	info.OutputRate = outputRate(info.FrameRate, parseRate(picture.Base))
	if !info.FrameRate.valid() {
		info.FrameRate = info.OutputRate
	}
	info.Width, info.Height = picture.shown()
	if sound != nil {
		info.HasAudio, info.AudioStream, info.AudioCodec = true, sound.Index, sound.Codec
	}
	return info
}

// picture returns the stream to show: the first that moves.
func (p *probed) picture() (*probedStream, error) {
	still := false
	for i, s := range p.Streams {
		switch {
		case s.Type != "video":
		case s.Disposition["attached_pic"]+s.Disposition["still_image"]+s.Disposition["timed_thumbnails"] > 0:
			still = true
		case !slices.Contains(videoCodecs(), s.Codec):
			return nil, reject(Unsupported, fmt.Errorf("video codec %q", s.Codec),
				"The picture of this video is coded in a way that can't be read here. H.264, HEVC, VP9 and AV1 can.")
		default:
			return &p.Streams[i], nil
		}
	}
	if still && !p.sounds() {
		return nil, reject(NotAVideo, nil, "This is a still picture, not a video.")
	}
	return nil, reject(NotAVideo, nil, "This file has no moving picture.")
}

// sound returns the stream to hear, or nil: the first that isn't empty.
func (p *probed) sound() (*probedStream, error) {
	var unknown error
	for i, s := range p.Streams {
		if s.Type != "audio" || s.Packets == "0" || s.Channels == 0 {
			continue
		}
		if audioCodec(s.Codec) {
			return &p.Streams[i], nil
		}
		unknown = reject(Unsupported, fmt.Errorf("audio codec %q", s.Codec),
			"The sound of this video is coded in a way that can't be read here. AAC, MP3 and Opus can.")
	}
	return nil, unknown
}

func (p *probed) sounds() bool {
	return slices.ContainsFunc(p.Streams, func(s probedStream) bool { return s.Type == "audio" })
}

// videoCodecs are those that cameras, phones, editors and browsers write.
func videoCodecs() []string {
	return []string{"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video",
		"h263", "msmpeg4v3", "mjpeg", "prores", "dnxhd", "dvvideo", "theora", "ffv1", "vc1"}
}

// audioCodecs are theirs; of PCM every kind is taken, and those listed are the
// ones that cameras and editors write.
func audioCodecs() []string {
	return []string{"aac", "mp3", "mp2", "opus", "vorbis", "ac3", "eac3", "flac", "alac", "amr_nb", "amr_wb",
		"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_alaw", "pcm_mulaw"}
}

func audioCodec(name string) bool {
	return strings.HasPrefix(name, "pcm_") || slices.Contains(audioCodecs(), name)
}

// transport is the container without an index, and with a clock that may jump.
const transport = "mpegts"

func container(name string) string {
	switch {
	case strings.Contains(name, "mp4"):
		return "mp4"
	case strings.Contains(name, "matroska"):
		return "matroska"
	default:
		return name
	}
}

// rotation returns degrees clockwise, a multiple of 90.
func (s *probedStream) rotation() int {
	clockwise := 0.0 // a plain tag, as Matroska has it, turns nothing: ffmpeg and browsers go by the matrix alone
	for _, data := range s.SideData {
		if data.Rotation != nil {
			clockwise = -*data.Rotation // a display matrix turns the other way
		}
	}
	quarters := int(math.Round(math.Mod(clockwise, 360)/90)) + 4
	return quarters % 4 * 90
}

// shown returns the size in square pixels after rotation.
func (s *probedStream) shown() (width, height int) {
	width, height = s.Width, s.Height
	pixel := parseRate(strings.Replace(s.Pixel, ":", "/", 1))
	if pixel.valid() {
		width = int(math.Round(float64(width) * pixel.Float()))
	}
	if s.rotation()%180 != 0 {
		width, height = height, width
	}
	return width, height
}

func parseRate(s string) Rate {
	num, den, _ := strings.Cut(s, "/")
	n, err1 := strconv.Atoi(num)
	d, err2 := strconv.Atoi(den)
	if err1 != nil || err2 != nil || n <= 0 || d <= 0 {
		return Rate{}
	}
	return Rate{n, d}
}
