package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Video is the part of a video that the command line looks at; Raw is all of it.
type Video struct {
	ID         video.ID         `json:"id"`
	Owner      string           `json:"owner"`
	Stage      video.Stage      `json:"stage"`
	Paused     bool             `json:"paused"`
	Held       bool             `json:"held"` // under legal hold
	Ending     video.Ending     `json:"ending"`
	WaitingFor string           `json:"waiting_for"`
	Overdue    bool             `json:"overdue"`
	Trouble    bool             `json:"trouble"` // its work fails, or nobody can do it
	Stray      bool             `json:"stray"`   // its workflow was terminated; for operators
	Title      string           `json:"title"`
	CreatedAt  time.Time        `json:"created_at"`
	PublishAt  time.Time        `json:"publish_at"`
	PurgeAt    time.Time        `json:"purge_at"`
	Progress   *Progress        `json:"progress"`
	Upload     *UploadState     `json:"upload"`
	Replicas   []Replica        `json:"replicas"`
	Warnings   []string         `json:"warnings"`
	Failure    *video.Rejection `json:"failure"`
	Actions    []video.Command  `json:"actions"`
	Links      Links            `json:"links"`

	Raw json.RawMessage `json:"-"`
}

// Progress is how far the stage is.
type Progress struct {
	Stage     video.Stage `json:"stage"`
	Done      int64       `json:"done"`
	Total     int64       `json:"total"`
	Unit      string      `json:"unit"` // bytes, segments, replicas
	PerSecond float64     `json:"per_second"`
	ETA       float64     `json:"eta_seconds"`
}

// UploadState is how far the bytes have come, and where the rest goes.
type UploadState struct {
	URL       string    `json:"url"`
	Offset    int64     `json:"offset"`
	Length    *int64    `json:"length"` // nil while nobody has said
	ExpiresAt time.Time `json:"expires_at"`
	Stalled   bool      `json:"stalled"`
}

// Replica is what one store holds.
type Replica struct {
	Store   string `json:"store"`
	State   string `json:"state"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"`

	VerifiedAt time.Time `json:"verified_at"`
}

// Links are addresses of the video for people and programs.
type Links struct {
	Watch string `json:"watch"`
}

// UnmarshalJSON keeps the whole document beside the fields.
func (v *Video) UnmarshalJSON(data []byte) error {
	type fields Video
	if err := json.Unmarshal(data, (*fields)(v)); err != nil {
		return err
	}
	v.Raw = append(json.RawMessage(nil), data...)
	return nil
}

// NewVideo is what a video is made from; see the contract of POST /v1/videos.
type NewVideo struct {
	Title         string     `json:"title,omitempty"`
	Caption       string     `json:"caption,omitempty"`
	Hashtags      []string   `json:"hashtags,omitempty"`
	Music         string     `json:"music,omitempty"`
	Visibility    string     `json:"visibility,omitempty"`
	PublishAt     *time.Time `json:"publish_at,omitempty"`
	PublishDelay  string     `json:"publish_delay,omitempty"`
	Review        bool       `json:"review,omitempty"`
	Reviewers     []string   `json:"reviewers,omitempty"`
	KeepDraft     bool       `json:"keep_draft,omitempty"`
	AllowDownload bool       `json:"allow_download,omitempty"`
	Protect       bool       `json:"protect,omitempty"`
	Source        Source     `json:"source"`
}

// Source is where the bytes come from: an upload of Size bytes, or an address to
// import. The size of an upload is always announced, so that a file that is empty
// or too large is refused before anything is made.
type Source struct {
	Size        int64  `json:"size"`
	Filename    string `json:"filename,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
	URL         string `json:"url,omitempty"`
}

// MarshalJSON leaves out the size of what the gateway fetches itself.
func (s Source) MarshalJSON() ([]byte, error) {
	type fields Source
	if s.URL == "" || s.Size > 0 {
		return json.Marshal(fields(s))
	}
	return json.Marshal(struct {
		fields
		Size *int64 `json:"size,omitempty"`
	}{fields: fields(s)})
}

// Create makes a video. When the answer is lost it asks again, under the same
// Idempotency-Key, so that only one is made.
func (c *Client) Create(ctx context.Context, n NewVideo) (v Video, err error) {
	key := rand.Text()
	for attempt := range 5 {
		err = c.Call(ctx, http.MethodPost, "/v1/videos", n, &v, "Idempotency-Key", key)
		if err == nil || video.CodeOf(err) != video.Unavailable {
			return v, err
		}
		if sleep(ctx, backoff(attempt)) != nil {
			break
		}
	}
	return v, err
}

func address(id video.ID) string { return "/v1/videos/" + url.PathEscape(string(id)) }

// Video returns a video.
func (c *Client) Video(ctx context.Context, id video.ID) (v Video, err error) {
	return v, c.Call(ctx, http.MethodGet, address(id), nil, &v)
}

// Command asks something of a video and returns it as it is once that has taken hold.
func (c *Client) Command(ctx context.Context, id video.ID, command video.Command, request video.CommandRequest) (v Video, err error) {
	if command == video.Delete {
		return v, c.Delete(ctx, id)
	}
	return v, c.Call(ctx, http.MethodPost, address(id)+"/"+string(command), request, &v)
}

// Delete deletes a video; it returns once the video is hidden.
func (c *Client) Delete(ctx context.Context, id video.ID) error {
	return c.Call(ctx, http.MethodDelete, address(id), nil, nil)
}

// Videos returns one page of the caller's own videos, newest first. The stage
// may be empty; next is empty on the last page.
func (c *Client) Videos(ctx context.Context, stage, cursor string) (page []Video, next string, err error) {
	var answer struct {
		Videos     []Video `json:"videos"`
		NextCursor string  `json:"next_cursor"`
	}
	query := url.Values{}
	if stage != "" {
		query.Set("stage", stage)
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	err = c.Call(ctx, http.MethodGet, "/v1/me/videos?"+query.Encode(), nil, &answer)
	return answer.Videos, answer.NextCursor, err
}

// Receipt returns the receipt of an erasure, as it was sent. NotFound until the
// erasure is complete.
func (c *Client) Receipt(ctx context.Context, id video.ID) (json.RawMessage, error) {
	return c.Fetch(ctx, "/v1/receipts/"+url.PathEscape(string(id)))
}

// Playback returns the addresses of a video that the caller may watch.
func (c *Client) Playback(ctx context.Context, id video.ID) (p video.Playback, err error) {
	return p, c.Call(ctx, http.MethodGet, address(id)+"/playback", nil, &p)
}
