package media

import (
	"github.com/reelflow/reelflow/video"
)

// Reason says why an upload can't become a video here. The reasons are part of
// the wire contract (failure.code).
type Reason string

// The reasons for which this package rejects.
const (
	NotAVideo   Reason = "not_a_video" // something else, whatever it is called
	Damaged     Reason = "damaged"     // a video of which next to nothing can be decoded
	TooLong     Reason = "too_long"    // longer than Tools.MaxDuration
	Unsupported Reason = "unsupported" // a video, but coded or sized in a way that we don't take
)

// Rejection is the final verdict on an upload: trying again gives the same. It
// unwraps to a video.Error with the code UnsupportedMedia, whose cause is for
// logs.
type Rejection struct {
	Code    Reason
	Message string // for its author: what is wrong and what helps
	err     *video.Error
}

func reject(code Reason, cause error, message string) *Rejection {
	return &Rejection{code, message, video.Errorf(video.UnsupportedMedia, "%s", message).Because(cause)}
}

// Error includes the cause: it is meant for logs. Users are shown Message.
func (r *Rejection) Error() string { return string(r.Code) + ": " + r.err.Error() }

// Unwrap returns the *video.Error.
func (r *Rejection) Unwrap() error { return r.err }

const (
	readable         = "MP4, MOV, WebM, MKV, MPEG-TS, MPEG-PS, AVI and FLV files can be read."
	damagedMessage   = "Next to nothing of this video can be decoded: it is damaged or incomplete. Export it again and upload the new file."
	stillMessage     = "This is a still picture, not a video."
	soundMessage     = "This is a sound file, not a video: it has no moving picture."
	protectedMessage = "This video is protected (encrypted, DRM) and can't be read here. Upload one without protection."
)
