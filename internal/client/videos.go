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

// Video is a video as the gateway shows it.
type Video struct {
	video.Video
	Raw json.RawMessage // the document as it was sent, fields of a later release included
}

// UnmarshalJSON keeps the whole document beside the fields.
func (v *Video) UnmarshalJSON(data []byte) error {
	v.Raw = append(json.RawMessage(nil), data...)
	return json.Unmarshal(data, &v.Video)
}

// Ends is why its life ends, or empty while it goes on.
func (v Video) Ends() video.Ending {
	if v.Ending == nil {
		return ""
	}
	return *v.Ending
}

// Waits is what it waits for, in words, or empty.
func (v Video) Waits() string {
	if v.WaitingFor == nil {
		return ""
	}
	return *v.WaitingFor
}

// UploadURL is where its bytes are sent, or empty where none are: an import, or a
// video whose upload is not the caller's to know.
func (v Video) UploadURL() string {
	if v.Upload == nil || v.Upload.URL == nil {
		return ""
	}
	return *v.Upload.URL
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
		if sleep(ctx, pauseBefore(attempt, err)) != nil {
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

// Command asks something of a video and returns it as it is once that has taken hold,
// or, of a cancel that is only on record, as it is until then.
func (c *Client) Command(ctx context.Context, id video.ID, command video.Command, request video.CommandBody) (v Video, err error) {
	if command == video.Delete {
		err = c.Call(ctx, http.MethodDelete, address(id), nil, &v)
	} else {
		err = c.Call(ctx, http.MethodPost, address(id)+"/"+string(command), request, &v)
	}
	if err == nil && v.ID != id {
		err = video.Errorf(video.Unavailable, "The gateway's answer was not about this video.")
	}
	return v, err
}

// Delete deletes a video; it returns once the video is hidden.
func (c *Client) Delete(ctx context.Context, id video.ID) error {
	_, err := c.Command(ctx, id, video.Delete, video.CommandBody{})
	return err
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
