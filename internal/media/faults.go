package media

import (
	"fmt"
	"math"
	"time"
)

// Faults are what is wrong with an upload that is published all the same. They are
// part of Info, and comparable as it is.
type Faults struct {
	// UnreadSound names the codec of a sound that can't be read, or how it is
	// protected, where no other sound can: the video is silent.
	UnreadSound string `json:"unread_sound,omitempty"`

	// SaidSeconds is the length that the headers tell, if it is far from what the
	// file holds: because a recorder wrote another clock's, or the end is cut off.
	SaidSeconds float64 `json:"said_seconds,omitempty"`

	// Damaged says that packets of picture or sound are incomplete, by the marks of
	// the container.
	Damaged bool `json:"damaged,omitempty"`
}

// Loss is what the decoder found missing in a piece or in the sound.
type Loss struct {
	Frames  int  // at the end of the piece, at Info.OutputRate: the last picture stands there
	Damaged bool // some pictures are broken, or replaced by the one before
	Sound   bool // all of the sound is missing: it is silence
}

const damagedWarning = "Parts of this file are damaged: some pictures or sounds are missing or broken."

// Warnings are sentences for the author of the video, one for each fault.
func (f Faults) Warnings(info Info) (all []string) {
	if f.UnreadSound != "" {
		all = append(all, fmt.Sprintf("The sound of this video is %s and can't be read here: it is published without sound.", f.UnreadSound))
	}
	if f.SaidSeconds > 0 {
		all = append(all, fmt.Sprintf("The file says that it lasts %s, but it holds %s. If its end is missing, upload it again.",
			spoken(inSeconds(f.SaidSeconds)), spoken(inSeconds(info.DurationSeconds))))
	}
	if f.Damaged {
		all = append(all, damagedWarning)
	}
	return all
}

// Warnings are sentences for the author of the video.
func (l Loss) Warnings(info Info) (all []string) {
	if l.Frames > 0 {
		all = append(all, fmt.Sprintf("The last pictures of a part of this video can't be decoded: a picture stands still for %.1f s.",
			info.OutputRate.Seconds(l.Frames)))
	}
	if l.Damaged {
		all = append(all, damagedWarning)
	}
	if l.Sound {
		all = append(all, "The sound of this video can't be decoded: it is published without sound.")
	}
	return all
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// lyingBy is how far a length in the headers may be from what there is: muxers
// round, and count the sound's padding.
const lyingBy = 2 // seconds

// said returns the length that the headers tell, if it is a lie, else 0. Those of
// transport and program streams are guesses of ffprobe's. Matroska's is the length, or
// as often the end.
func (p *probed) said(picture *probedStream, length float64) float64 {
	if joinable(container(p.Format.Name)) {
		return 0
	}
	claim := float64(max(p.Format.Duration, picture.Duration))
	if claim <= 0 || math.Abs(claim-length) <= lyingBy || math.Abs(claim-float64(p.Format.Start)-length) <= lyingBy {
		return 0
	}
	return claim
}
