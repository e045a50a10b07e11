package creation

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// NewVideo is what its author says of a video before sending it.
type NewVideo struct {
	Title         string     `json:"title,omitempty" maxLength:"200" doc:"One line, without control characters and characters that turn the direction of the text"`
	Caption       string     `json:"caption,omitempty" maxLength:"4000" doc:"As the title, but of any number of lines"`
	Hashtags      []string   `json:"hashtags,omitempty" maxItems:"50" doc:"With or without the #"`
	Music         string     `json:"music,omitempty" maxLength:"200"`
	Visibility    string     `json:"visibility,omitempty" enum:"public,unlisted,private" default:"public"`
	PublishAt     *time.Time `json:"publish_at,omitempty" doc:"Not before this time; at most a day ago"`
	PublishDelay  *Delay     `json:"publish_delay,omitempty" doc:"Least time between upload and publication: a duration such as 10m, or seconds"`
	Review        *bool      `json:"review,omitempty" doc:"Somebody has to approve it first"`
	Reviewers     []string   `json:"reviewers,omitempty" maxItems:"50" doc:"Who may; implies review, and false beside it is refused"`
	KeepDraft     bool       `json:"keep_draft,omitempty" doc:"A cancel keeps it as a draft"`
	AllowDownload bool       `json:"allow_download,omitempty" doc:"Viewers may take the file as it was uploaded, with all that a camera has written into it, such as the place"`
	Protect       bool       `json:"protect,omitempty" doc:"Once deleted, re-uploads are to be caught: can't be asked for yet"`
	Source        *Source    `json:"source,omitempty" doc:"What will be sent"`
}

// Source is what will be uploaded, or where it is to be fetched.
type Source struct {
	Size        *int64 `json:"size,omitempty" minimum:"0" doc:"Bytes"`
	Filename    string `json:"filename,omitempty" maxLength:"255"`
	ContentType string `json:"content_type,omitempty" maxLength:"127"`
	SHA256      string `json:"sha256,omitempty" doc:"Of the whole file, in hex: what arrives must match it"`
	URL         string `json:"url,omitempty" maxLength:"2000" doc:"Fetch it from here instead of an upload"`
}

// Delay is a duration in JSON: "10m" or a number of seconds.
type Delay time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Delay) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err == nil {
		*d = Delay(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	*d = Delay(parsed)
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Delay) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Schema tells huma that there are two ways to write it.
func (Delay) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString, Pattern: `^([0-9.]+(ns|us|ms|s|m|h))+$|^0$`}, {Type: huma.TypeNumber},
	}}
}
