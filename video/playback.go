package video

import "time"

// Playback is how to watch a video, as the API answers it. Its addresses hold a token
// of their own and need neither header nor cookie.
type Playback struct {
	HLS       string        `json:"hls" doc:"The master playlist"`
	Poster    string        `json:"poster" doc:"A picture; empty if there is none"`
	Previews  string        `json:"previews" doc:"Pictures for scrubbing, as WebVTT whose cues lead to tiles of a JPEG (#xywh=); empty if there are none"`
	Captions  []CaptionFile `json:"captions" doc:"The captions of each language as a file; they are in the master playlist, too"`
	Download  string        `json:"download,omitempty" doc:"The file as it was uploaded, if its author allows it"`
	ExpiresAt time.Time     `json:"expires_at" doc:"When these addresses stop working"`
}

// CaptionFile is where the captions in one language are.
type CaptionFile struct {
	Captions
	URL string `json:"url" doc:"WebVTT"`
}
