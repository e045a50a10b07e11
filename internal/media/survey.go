package media

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// survey decodes a few key frames, spread over the whole, and completes info by what
// they show: the canvas, fields, colours, and how the picture is turned; and it
// measures the frame rate where it varies. start and end are seconds on the
// container's clock; end may be 0, unknown. Where nothing can be decoded info stays as
// the headers have it: that is no error, and errors are those of src and of this
// machine alone.
func (t *Tools) survey(ctx context.Context, src Source, info *Info, start, end float64) error {
	found, err := t.sample(ctx, src, *info, start, end)
	if err != nil {
		return err
	}
	if len(found.Streams) == 0 {
		return nil
	}
	head := found.Streams[0]
	info.Rotation, info.Mirrored = head.turn()
	info.Colour = colourOf(append(found.Frames, head.surveyedFrame))
	for _, frame := range found.Frames {
		info.Interlaced = info.Interlaced || frame.Interlaced == 1
	}
	info.Width, info.Height = canvas(head.surveyedFrame, found.Frames, end, info.Interlaced)
	if info.Rotation%180 != 0 {
		info.Width, info.Height = info.Height, info.Width
	}
	average, base := parseRate(head.Average), parseRate(head.Base)
	if average == base || info.Interlaced {
		return nil // constant, as far as the headers know
	}
	measured, err := t.measureRate(ctx, src, info.VideoStream, start, end)
	if err == nil && measured.valid() {
		info.OutputRate = variableRate(measured, base)
	}
	return err
}

// surveyed is ffprobe's answer about the frames that were sampled.
type surveyed struct {
	Frames  []surveyedFrame  `json:"frames"`
	Streams []surveyedStream `json:"streams"`
}

type surveyedFrame struct {
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	Pixel      string `json:"sample_aspect_ratio"`
	At         number `json:"pts_time"`
	Interlaced int    `json:"interlaced_frame"`
	Primaries  string `json:"color_primaries"`
	Transfer   string `json:"color_transfer"`
	Matrix     string `json:"color_space"`
}

type surveyedStream struct {
	surveyedFrame
	Average  string `json:"avg_frame_rate"`
	Base     string `json:"r_frame_rate"`
	SideData []struct {
		Matrix string `json:"displaymatrix"`
	} `json:"side_data_list"`
}

// sample asks for one key frame at each of a few places.
func (t *Tools) sample(ctx context.Context, src Source, info Info, start, end float64) (surveyed, error) {
	out := capped{limit: 1 << 20}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFprobe,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return sampleArgs(base+sourceInput, info, start, end) },
		Stdout:  &out,
	})
	var found surveyed
	if err == nil && json.Unmarshal(out.Bytes(), &found) == nil {
		return found, nil
	}
	if err == nil || gaveUp(err) || errors.Is(err, errTooMuch) {
		return surveyed{}, nil // the headers must do
	}
	return surveyed{}, err
}

func sampleArgs(url string, info Info, start, end float64) []string {
	// Files of phones and cameras don't change: they are sampled more thinly, for
	// theirs are the largest frames. Transport streams can't be entered at a key
	// frame: one comes within two seconds or so.
	places, packets := 8, 1
	switch info.Container {
	case "mp4":
	case transport:
		places, packets = 12, 60
	default:
		places = 16
	}
	var intervals []string
	for i := range places {
		at := start + max(0, end-start)*float64(i)/float64(places)
		intervals = append(intervals, fmt.Sprintf("%s%%+#%d", seconds(at), packets))
		if end <= start {
			break
		}
	}
	return []string{
		"-v", "error", "-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-threads", "1", "-skip_frame", "nokey",
		"-select_streams", strconv.Itoa(info.VideoStream), "-read_intervals", strings.Join(intervals, ","),
		"-show_entries", "frame=pts_time,width,height,sample_aspect_ratio,interlaced_frame,color_primaries,color_transfer,color_space" +
			":stream=width,height,sample_aspect_ratio,color_primaries,color_transfer,color_space,avg_frame_rate,r_frame_rate" +
			":stream_side_data=displaymatrix",
		"-print_format", "json", "-i", url,
	}
}

// square returns the size in square pixels, before rotation.
func (f surveyedFrame) square() (width, height int) {
	width = f.Width
	pixel := parseRate(strings.Replace(f.Pixel, ":", "/", 1))
	if pixel.Num > 0 {
		width = int(math.Round(float64(width) * pixel.Float()))
	}
	return width, f.Height
}

// canvas chooses the one size into which all frames are fitted, in square pixels and
// before rotation: of the shape that is shown longest, or first, the largest. The headers
// are a frame that is shown for no time; end is in seconds. Of interlaced frames, which
// have the same lines as a rule, it is the widest: so none is scaled in height.
func canvas(headers surveyedFrame, frames []surveyedFrame, end float64, interlaced bool) (width, height int) {
	frames = slices.Clone(frames)
	slices.SortStableFunc(frames, func(a, b surveyedFrame) int { return cmp.Compare(a.At, b.At) })
	type shape struct {
		width, height int // the largest
		ratio, shown  float64
	}
	var shapes []shape
	add := func(f surveyedFrame, shown float64) {
		w, h := f.square()
		ratio := float64(w) / float64(max(1, h))
		at := slices.IndexFunc(shapes, func(s shape) bool { return math.Abs(s.ratio/ratio-1) < sameShapeWithin })
		if at < 0 {
			at = len(shapes)
			shapes = append(shapes, shape{ratio: ratio})
		}
		s := &shapes[at]
		s.shown += shown
		if w*h > s.width*s.height {
			s.width, s.height = w, h
		}
	}
	add(headers, 0)
	for i, f := range frames {
		until := end
		if i+1 < len(frames) {
			until = float64(frames[i+1].At)
		}
		add(f, max(0, until-float64(f.At)))
	}
	chosen := slices.MaxFunc(shapes, func(a, b shape) int {
		if interlaced {
			return cmp.Compare(a.ratio, b.ratio)
		}
		return cmp.Compare(a.shown, b.shown)
	})
	return chosen.width, chosen.height
}

// sameShapeWithin is how far two ratios of width to height may be apart for one to be
// shown in the other's frame without bars.
const sameShapeWithin = 0.015

// turn reads a display matrix (ISO/IEC 14496-12, 8.3.2): how many degrees clockwise
// the picture is turned to be shown, a multiple of 90, after being mirrored left to right or not.
func (s surveyedStream) turn() (degrees int, mirrored bool) {
	for _, data := range s.SideData {
		m, ok := displayMatrix(data.Matrix)
		if !ok {
			continue
		}
		a, b, c, d := m[0], m[1], m[3], m[4]
		sine, cosine := b, a
		if mirrored = a*d-b*c < 0; mirrored {
			sine, cosine = -b, d
		}
		quarters := int(math.Round(math.Atan2(sine, cosine)/(math.Pi/2))) + 4
		return quarters % 4 * 90, mirrored
	}
	return 0, false
}

// displayMatrix reads ffprobe's three lines of a number and three values.
func displayMatrix(s string) (m [9]float64, ok bool) {
	var values []float64
	for line := range strings.Lines(s) {
		fields := strings.Fields(line)
		for _, field := range fields[min(1, len(fields)):] {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return m, false
			}
			values = append(values, v)
		}
	}
	return m, copy(m[:], values) == len(m)
}

// distances collects when frames are shown, line by line, and a few thousand of them at most.
type distances struct {
	times []float64
	lines lines
}

func (d *distances) Write(b []byte) (int, error) {
	const most = 20_000
	return d.lines.write(b, func(line string) {
		at, err := strconv.ParseFloat(strings.TrimRight(line, ",\r"), 64)
		if err == nil && len(d.times) < most {
			d.times = append(d.times, at)
		}
	})
}

// rate returns the rate at which frames follow each other where they do: a recorder of
// screens rests while nothing moves, so the mean of all says nothing. It is the mean of
// those distances that are near the median.
func (d *distances) rate() Rate {
	slices.Sort(d.times)
	var apart []float64
	for i := 1; i < len(d.times); i++ {
		if gap := d.times[i] - d.times[i-1]; gap > 0.0005 && gap < 10 {
			apart = append(apart, gap)
		}
	}
	if len(apart) < 2 {
		return Rate{}
	}
	slices.Sort(apart)
	median := apart[len(apart)/2]
	sum, count := 0.0, 0
	for _, gap := range apart {
		if gap > median*0.7 && gap < median*1.3 {
			sum += gap
			count++
		}
	}
	return Rate{int(math.Round(1000 * float64(count) / sum)), 1000}
}

// measureRate reads when frames are shown, in three stretches.
func (t *Tools) measureRate(ctx context.Context, src Source, index int, start, end float64) (Rate, error) {
	const stretch = 20 // seconds
	var found distances
	intervals := fmt.Sprintf("%s%%+%d", seconds(start), 3*stretch)
	if length := end - start; length > 3*stretch {
		intervals = fmt.Sprintf("%s%%+%d,%s%%+%[2]d,%s%%+%[2]d", seconds(start), stretch, seconds(start+length/3), seconds(start+length*2/3))
	}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFprobe,
		Inputs:  map[string]Source{sourceInput: src},
		Args: func(base string) []string {
			return []string{
				"-v", "error", "-protocol_whitelist", protocols, "-format_whitelist", formats,
				"-select_streams", strconv.Itoa(index), "-read_intervals", intervals,
				"-show_entries", "packet=pts_time", "-print_format", "csv=p=0", "-i", base + sourceInput,
			}
		},
		Stdout: &found,
	})
	if gaveUp(err) || errors.Is(err, errTooMuch) {
		err = nil
	}
	return found.rate(), err
}
