package catalog

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Video is what can be read of a video without asking its workflow. A zero time
// means that it has not come to that.
type Video struct {
	ID            video.ID `gorm:"primaryKey"`
	Owner         string   // opaque: a hex HMAC of the owner's name
	Sealed        []byte   // title, caption, file name, the owner's name: under the video's key
	Visibility    string
	AllowDownload bool
	KeepDraft     bool
	Review        bool

	Stage     video.Stage
	Paused    bool            // as in the control row; projections can't change it
	Ending    video.Ending    // as in the control row
	Held      bool            // as in the control row
	Decisions []video.Command `gorm:"serializer:json"` // video.State's Done

	PublishAt   time.Time `gorm:"serializer:instant"`
	CreatedAt   time.Time `gorm:"serializer:instant;autoCreateTime:false"` // set by CreateVideo when zero
	PublishedAt time.Time `gorm:"serializer:instant"`
	HiddenAt    time.Time `gorm:"serializer:instant"`
	PurgeAt     time.Time `gorm:"serializer:instant"`

	WaitingFor string
	Overdue    bool
	Media      []byte           // JSON; technical facts only
	Renditions []byte           // JSON
	Warnings   []string         `gorm:"serializer:json"`
	Failure    *video.Rejection `gorm:"serializer:json"`

	Unit  string // of Done and Total: bytes, segments or replicas
	Done  int64
	Total int64

	// Revision grows with every change of the row: whoever shows a video follows it.
	Revision int64
}

// State is what decides which commands the video can take.
func (v Video) State() video.State {
	return video.State{Stage: v.Stage, Paused: v.Paused, Ending: v.Ending, Held: v.Held, Done: v.Decisions}
}

// Query selects videos. Empty fields don't restrict.
type Query struct {
	Owner      string
	Stages     []video.Stage
	PublicOnly bool   // published, with visibility "public"
	Cursor     string // the `next` of the page before
	Limit      int    // 20 when zero, at most 100
}

// CreateVideo records a new video with its control row (epoch 0) and its upload,
// all or nothing. It fails with Conflict when the id or the upload's token is
// taken and Gone when a video of this id has been erased. The ids in u and v must agree.
func (c *Catalog) CreateVideo(ctx context.Context, v Video, u Upload) error { panic("todo") }

// Video returns the row, or NotFound, or Gone when only the ledger knows the id.
func (c *Catalog) Video(ctx context.Context, id video.ID) (Video, error) { panic("todo") }

// Videos returns a page of videos, newest first, and the cursor of the next page,
// empty after the last. It fails with Invalid for a cursor it never gave out.
func (c *Catalog) Videos(ctx context.Context, q Query) (page []Video, next string, err error) {
	panic("todo")
}

// All returns videos in the order of their ids, those after a given one ("" for
// the first page): the audit's way through everything there is.
func (c *Catalog) All(ctx context.Context, after video.ID, limit int) ([]Video, error) { panic("todo") }
