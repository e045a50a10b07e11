package catalog

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

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
	PublishDelay  *time.Duration // of this video alone; nil: as the settings have it
	Import        bool           // fetched by a worker; nobody else may send bytes

	Stage     video.Stage
	Paused    bool            // as in the control row; projections can't change it
	Ending    video.Ending    // as in the control row
	Held      bool            // as in the control row
	Decisions []video.Command `gorm:"serializer:json"` // video.State's Done

	PublishAt   time.Time `gorm:"serializer:instant"`
	CreatedAt   time.Time `gorm:"serializer:instant;autoCreateTime:false"` // set by CreateVideo when zero
	PublishedAt time.Time `gorm:"serializer:instant"`
	// HiddenAt is set once, by whoever asked for the deletion or by the way out, and
	// no projection undoes it. Without an Ending it is a promise: the workflow has not
	// heard of the deletion yet.
	HiddenAt time.Time `gorm:"serializer:instant"`
	PurgeAt  time.Time `gorm:"serializer:instant"`
	// CancelAskedAt closes the gate of the upload until a row shows that the workflow
	// has taken up the cancel, or can't any more. CancelKeeps: it is to leave a draft.
	CancelAskedAt time.Time `gorm:"serializer:instant"`
	CancelKeeps   bool
	// AskedBy is in which role somebody asked for the deletion or the cancel by the API; see
	// video.Request.
	AskedBy string

	// RereadAt is when the audit last told the workflow to read its rows, because it
	// shows another stage than they do; zero when they agree.
	RereadAt time.Time `gorm:"serializer:instant"`

	WaitingFor string
	Overdue    bool
	Trouble    bool             // its work fails, or nobody can do it; WaitingFor says which
	Stray      bool             // its workflow was terminated, and it waits for a person's decision
	DecidedBy  string           // the reviewer who has approved or rejected it; opaque, as Owner is
	WasDraft   bool             // the cancel threw a draft away: restore makes it a draft again
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

// State is what decides which commands the video can take, and who sees it. From the
// moment at which a person has deleted a video it is that of a deleted one, although
// its workflow may not know yet.
func (v Video) State() video.State {
	s := video.State{Stage: v.Stage, Paused: v.Paused, Ending: v.Ending, Held: v.Held, Done: v.Decisions}
	if !v.DeletionAsked() {
		return s
	}
	s.Ending, s.Paused = video.ByDeletion, false
	if s.Stage == video.Published {
		s.Stage = video.PendingDeletion
	}
	return s
}

// Query selects videos. Empty fields don't restrict.
type Query struct {
	Owner      string
	Stages     []video.Stage
	PublicOnly bool   // published, with visibility "public"
	Cursor     string // the `next` of the page before
	Limit      int    // 20 when zero, at most 100
}

// The pages of a list.
const (
	defaultPage = 20
	largestPage = 100
)

// CreateVideo records a new video with its control row (epoch 0) and its upload,
// all or nothing. It fails with Conflict when the id or the upload's token is
// taken and Gone when a video of this id has been erased. The ids in v and u must agree.
func (c *Catalog) CreateVideo(ctx context.Context, v Video, u Upload) error {
	return c.Admit(ctx, v, u, Admission{})
}

func (c *Catalog) create(tx *gorm.DB, v Video, u Upload) error {
	known, err := inLedger(tx, v.ID)
	if err != nil {
		return err
	}
	if known {
		return errErased()
	}
	row := Control{Video: v.ID, Paused: v.Paused, Ending: v.Ending, Held: v.Held}
	for _, row := range []any{&v, &row, &u} {
		if err := tx.Create(row).Error; err != nil {
			return err
		}
	}
	times := map[string]any{"last_byte_at": c.clock(0), "expires_at": c.clock(u.Idle)}
	return tx.Model(&u).Updates(times).Error
}

// Video returns the row, or NotFound, or Gone when only the ledger knows the id.
func (c *Catalog) Video(ctx context.Context, id video.ID) (Video, error) {
	db := c.read.WithContext(ctx)
	v, err := oneRow[Video](db.Where("id = ?", id), db, id)
	return v, codedError(err)
}

// Revisions returns the revision of each of these videos that is there, with one
// query for every thousand.
func (c *Catalog) Revisions(ctx context.Context, ids []video.ID) (map[video.ID]int64, error) {
	var rows []struct {
		ID       video.ID
		Revision int64
	}
	found := make(map[video.ID]int64, len(ids))
	// Databases limit the parameters of a statement.
	for chunk := range slices.Chunk(ids, 1000) {
		rows = rows[:0]
		if err := c.read.WithContext(ctx).Model(&Video{}).Where("id IN ?", chunk).Find(&rows).Error; err != nil {
			return nil, codedError(err)
		}
		for _, row := range rows {
			found[row.ID] = row.Revision
		}
	}
	return found, nil
}

// Videos returns a page of videos, newest first, and the cursor of the next page,
// empty after the last. It fails with Invalid for a cursor it never gave out.
func (c *Catalog) Videos(ctx context.Context, q Query) (page []Video, next string, err error) {
	rows := c.read.WithContext(ctx).Order("created_at DESC, id DESC")
	if q.Owner != "" {
		rows = rows.Where("owner = ?", q.Owner)
	}
	if len(q.Stages) > 0 {
		rows = rows.Where(c.inStages(q.Stages))
	}
	if q.PublicOnly {
		rows = rows.Where("stage = ? AND visibility = ? AND hidden_at IS NULL", video.Published, video.Public)
	}
	if q.Cursor != "" {
		at, id, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		rows = rows.Where("created_at < ? OR created_at = ? AND id < ?", at, at, id)
	}
	limit := min(q.Limit, largestPage)
	if limit <= 0 {
		limit = defaultPage
	}
	// One more than asked for tells whether there is a next page.
	if err := rows.Limit(limit + 1).Find(&page).Error; err != nil {
		return nil, "", codedError(err)
	}
	if len(page) > limit {
		page = page[:limit]
		next = cursor(page[limit-1])
	}
	return page, next, nil
}

// inStages selects videos by the stage that State shows; a draft that was deleted is
// in no list of drafts.
func (c *Catalog) inStages(stages []video.Stage) *gorm.DB {
	in := c.read.Where("stage IN ? AND (hidden_at IS NULL OR stage NOT IN ?)", stages, []video.Stage{video.Published, video.Draft})
	if slices.Contains(stages, video.PendingDeletion) {
		in = in.Or("stage = ? AND hidden_at IS NOT NULL", video.Published)
	}
	return in
}

// cursor names a place in a list, newest first: what comes after this video. It
// stays right when videos come and go.
func cursor(last Video) string {
	place := fmt.Sprintf("%d %s", last.CreatedAt.UnixMicro(), last.ID)
	return base64.RawURLEncoding.EncodeToString([]byte(place))
}

func parseCursor(s string) (at time.Time, id video.ID, err error) {
	place, err := base64.RawURLEncoding.DecodeString(s)
	var micros int64
	var after string
	if err == nil {
		_, err = fmt.Sscanf(string(place), "%d %s", &micros, &after)
	}
	if err == nil {
		id, err = video.ParseID(after)
	}
	if err != nil {
		return time.Time{}, "", video.Errorf(video.Invalid, "This cursor is not one of ours; start from the first page.").Because(err)
	}
	return time.UnixMicro(micros).UTC(), id, nil
}

// Unstarted returns videos in the order of their ids, those after a given one (""
// for the first page), that were made before a time and whose workflow has shown no
// sign of life: nobody has entered a leg of it. It does so within seconds of its
// start, so these are few, however many uploads are under way.
func (c *Catalog) Unstarted(ctx context.Context, before time.Time, after video.ID, limit int) ([]Video, error) {
	var page []Video
	// SQLite joins in this order when it is told to cross, and uses a partial index
	// when its condition is spelled out: else it would go through all that upload.
	err := c.read.WithContext(ctx).Table("controls CROSS JOIN videos").Select("videos.*").
		Where("videos.id = controls.video AND controls.epoch = 0").
		Where("controls.video > ? AND controls.ending = ''", after).
		Where("videos.stage = ? AND videos.created_at < ?", video.Uploading, before.UTC().Truncate(time.Microsecond)).
		Order("controls.video").Limit(limit).Find(&page).Error
	return page, codedError(err)
}

// All returns videos in the order of their ids, those after a given one ("" for
// the first page): the audit's way through everything there is.
func (c *Catalog) All(ctx context.Context, after video.ID, limit int) ([]Video, error) {
	var page []Video
	err := c.read.WithContext(ctx).Where("id > ?", after).Order("id").Limit(limit).Find(&page).Error
	return page, codedError(err)
}
