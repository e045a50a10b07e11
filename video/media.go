package video

// Media is what a probe found: technical facts only, as `media` in the API shows them.
type Media struct {
	DurationSeconds float64 `json:"duration_seconds"`
	Width           int     `json:"width"` // as shown, after rotation
	Height          int     `json:"height"`
	VideoCodec      string  `json:"video_codec"`
	AudioCodec      string  `json:"audio_codec"`
	FrameRate       float64 `json:"frame_rate"`
	Rotation        int     `json:"rotation"` // degrees
}

// Rendition is one step of the adaptive ladder, as `renditions` in the API shows it.
type Rendition struct {
	Name    string `json:"name"` // "720p": the short side
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Bitrate int    `json:"bitrate"` // bits a second of picture and sound; single segments exceed it by up to a half

	// For the master playlist (RFC 8216, section 4.3.4.2).
	Codecs    string  `json:"codecs"`     // as RFC 6381 has it: avc1.64001f,mp4a.40.2
	FrameRate float64 `json:"frame_rate"` // frames a second
}

// Previews is how the tiles of a preview image lie, for scrubbing: one JPEG that holds
// them in rows from left to right.
type Previews struct {
	IntervalSeconds float64 `json:"interval_seconds"` // tile i shows the time from i to i+1 intervals
	Columns         int     `json:"columns"`
	Rows            int     `json:"rows"`
	TileWidth       int     `json:"tile_width"`
	TileHeight      int     `json:"tile_height"`
	Count           int     `json:"count"` // tiles in use
}
