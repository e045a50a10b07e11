package media

import (
	"fmt"
	"math"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Rate is a number of frames a second, as an exact fraction.
type Rate struct {
	Num int `json:"num"`
	Den int `json:"den"`
}

// Float returns frames a second.
func (r Rate) Float() float64 { return float64(r.Num) / float64(r.Den) }

// Seconds returns how long so many frames last.
func (r Rate) Seconds(frames int) float64 {
	return float64(frames) * float64(r.Den) / float64(r.Num)
}

// Duration returns how long so many frames last.
func (r Rate) Duration(frames int) time.Duration {
	return time.Duration(r.Seconds(frames) * float64(time.Second))
}

// String writes the rate as ffmpeg does.
func (r Rate) String() string { return fmt.Sprintf("%d/%d", r.Num, r.Den) }

func (r Rate) valid() bool {
	return r.Num > 0 && r.Den > 0 && r.Float() <= 1000
}

const (
	fastest = 60 // frames a second: beyond it costs much and shows nothing
	slowest = 10 // below it segments would hold a handful of frames
)

// standardRates are what players and screens expect, in rising order.
func standardRates() []Rate {
	return []Rate{{10, 1}, {12, 1}, {15, 1}, {20, 1}, {24000, 1001}, {24, 1}, {25, 1},
		{30000, 1001}, {30, 1}, {48, 1}, {50, 1}, {60000, 1001}, {60, 1}}
}

// outputRate is the constant rate of all renditions of a source with the given
// average and base rates. They are equal where the source's rate is constant; where
// it varies, the base is the rate of the grid on which all its frames lie, or just the
// container's clock. A source too fast or too slow is divided or multiplied by a
// whole number, so that motion stays even.
func outputRate(average, base Rate) Rate {
	known := average.valid() && average.Float() <= 480
	grid := base.valid() && base.Float() <= fastest*1.01
	if steps := base.Float() / average.Float(); known && steps > 1.5 && math.Abs(steps-math.Round(steps)) < 0.001 {
		grid = false // of fields, or of half frames: the rate is constant all the same
		base = average
	}
	switch {
	case grid && (!known || base.Float() >= average.Float()):
		return nearest(bounded(base))
	case !known:
		return Rate{30, 1}
	case average == base:
		return nearest(bounded(average))
	default:
		return nextAbove(bounded(average))
	}
}

// variableRate is the rate of all renditions of a source whose frames follow each
// other at the measured rate where they do, on a grid of the base rate or on none.
func variableRate(measured, base Rate) Rate {
	if base.valid() && base.Float() <= fastest*1.01 && measured.Float() > base.Float()*0.7 {
		measured = base
	}
	measured = bounded(measured)
	best := Rate{fastest, 1}
	for _, s := range standardRates() {
		if math.Abs(math.Log(s.Float()/measured.Float())) < math.Abs(math.Log(best.Float()/measured.Float())) {
			best = s
		}
	}
	return best
}

// bounded brings a rate between the slowest and the fastest.
func bounded(rate Rate) Rate {
	if skip := int(math.Ceil(rate.Float() / (fastest * 1.01))); skip > 1 {
		rate.Den *= skip
	}
	if rate.Float() < slowest {
		rate.Num *= int(math.Ceil(slowest / rate.Float()))
	}
	return rate
}

// nearest returns the standard rate that was meant, or the rate itself if it is
// none of them.
func nearest(rate Rate) Rate {
	best, least := rate, 0.01 // measured rates miss what was meant by one percent at most
	for _, s := range standardRates() {
		if off := math.Abs(s.Float()/rate.Float() - 1); off < least {
			best, least = s, off
		}
	}
	return best
}

// nextAbove returns the next standard rate that shows at least as many frames.
func nextAbove(rate Rate) Rate {
	for _, s := range standardRates() {
		if s.Float() >= rate.Float()*0.99 {
			return s
		}
	}
	return Rate{fastest, 1}
}

// Ladder returns the renditions of a video, the largest first: 1080, 720 and
// 480 on the short side as far as the source reaches, or the source's own size
// if it is smaller than all. Widths and heights are even.
func Ladder(info Info) []video.Rendition {
	var ladder []video.Rendition
	short := min(info.Width, info.Height)
	for _, side := range []int{1080, 720, 480} {
		if side <= short {
			ladder = append(ladder, rendition(info, side))
		}
	}
	if len(ladder) == 0 {
		ladder = append(ladder, rendition(info, short))
	}
	return ladder
}

// rendition scales the video to a short side.
func rendition(info Info, side int) video.Rendition {
	scale := float64(side) / float64(min(info.Width, info.Height))
	r := video.Rendition{
		Width:  even(float64(info.Width) * scale),
		Height: even(float64(info.Height) * scale),
	}
	r.Name = fmt.Sprintf("%dp", min(r.Width, r.Height))
	r.Bitrate = pictureBits(r.Width*r.Height, info.OutputRate)
	if info.HasAudio {
		r.Bitrate += audioBits
	}
	return r
}

// even rounds down to even numbers, so that nothing is ever scaled up.
func even(side float64) int { return max(2, int(side+0.001)/2*2) }

const audioBits = 128_000

// pictureBits allows 5 Mbit/s for 1080p at 30 frames a second, less than in
// proportion to the pixels for smaller pictures (which hold more detail a pixel), and
// half as much again for fast ones.
func pictureBits(pixels int, rate Rate) int {
	bits := 5_000_000 * math.Pow(float64(pixels)/(1920*1080), 0.75)
	if rate.Float() > 31 {
		bits *= 1.5
	}
	return max(100_000, int(bits))
}

// gop is the number of frames from key frame to key frame: two seconds.
func gop(rate Rate) int { return max(1, int(math.Round(2*rate.Float()))) }

// PieceLength is a good length of pieces of a video: short enough that a lost one
// costs little and that two cores or more share the work of a short video, long
// enough that seeking costs little.
func PieceLength(info Info) time.Duration {
	quarter := time.Duration(info.DurationSeconds / 4 * float64(time.Second))
	return min(max(quarter, 4*time.Second), 10*time.Second)
}

// Piece is a stretch of the video that is encoded by itself.
type Piece struct {
	Index  int  `json:"index"`
	First  int  `json:"first"`  // number of its first frame, at Info.OutputRate
	Frames int  `json:"frames"` // exact, but of the last piece
	Last   bool `json:"last"`   // takes whatever there is
}

// Pieces cuts a video into pieces of about the given length, each a whole
// number of closed groups of pictures but the last, which is at least half a
// piece long. A video whose container can't be entered at an exact frame is one piece.
func Pieces(info Info, length time.Duration) []Piece {
	group := gop(info.OutputRate)
	size := group * max(1, int(math.Round(length.Seconds()/info.OutputRate.Seconds(group))))
	// A last frame that stands belongs to the last piece: others have a frame to begin with.
	count := max(1, (info.Frames-info.StillFrames+size/2)/size)
	if !indexed(info.Container) {
		count = 1
	}
	pieces := make([]Piece, count)
	for i := range pieces {
		pieces[i] = Piece{Index: i, First: i * size, Frames: size}
	}
	last := &pieces[count-1]
	last.Last = true
	last.Frames = info.Frames - last.First
	return pieces
}
