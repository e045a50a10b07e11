package media

import (
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
	ID          string         `json:"id"` // in the container; of a transport stream its packets', in hexadecimal
	Type        string         `json:"codec_type"`
	Codec       string         `json:"codec_name"`
	Tag         string         `json:"codec_tag_string"` // what the container calls the codec
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
	case !joinable(container(p.Format.Name)):
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
