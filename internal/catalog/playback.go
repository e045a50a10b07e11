package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/reelflow/reelflow/video"
)

// PlaybackState is what each request of a player asks of a video's row.
type PlaybackState struct {
	State         video.State // stage and ending, as Video.State has them
	Visibility    video.Visibility
	AllowDownload bool
	Revision      int64 // what was read of the video since it last changed is as it is now
}

const playbackState = `SELECT stage, ending, hidden_at IS NOT NULL, visibility, allow_download, revision FROM videos WHERE id = $1`

// PlaybackState returns it, or fails as Video does. It is one look at an index by a
// statement that is prepared once: it is asked for by each segment.
func (c *Catalog) PlaybackState(ctx context.Context, id video.ID) (PlaybackState, error) {
	statement, err := c.playbackStatement(ctx)
	if err != nil {
		return PlaybackState{}, codedError(err)
	}
	var row Video
	var hidden bool
	err = statement.QueryRowContext(ctx, string(id)).Scan(&row.Stage, &row.Ending, &hidden, &row.Visibility, &row.AllowDownload, &row.Revision)
	if errors.Is(err, sql.ErrNoRows) {
		err = absent(c.read.WithContext(ctx), id)
	}
	if err != nil {
		return PlaybackState{}, codedError(err)
	}
	if hidden {
		row.HiddenAt = time.Unix(1, 0) // State asks whether, not when
	}
	return PlaybackState{State: row.State(), Visibility: video.Visibility(row.Visibility), AllowDownload: row.AllowDownload, Revision: row.Revision}, nil
}

// playbackStatement prepares the statement when it is first needed. It is prepared
// twice if two need it at once, and goes with the connections.
func (c *Catalog) playbackStatement(ctx context.Context) (*sql.Stmt, error) {
	if known := c.playback.Load(); known != nil {
		return known, nil
	}
	pool, err := c.read.DB()
	if err != nil {
		return nil, err
	}
	statement, err := pool.PrepareContext(context.WithoutCancel(ctx), playbackState)
	if err != nil {
		return nil, err
	}
	if !c.playback.CompareAndSwap(nil, statement) {
		err = statement.Close()
	}
	return c.playback.Load(), err
}

// Packaged returns what a store has of the video's segments, pictures and captions, in the order
// of Objects. There may be nothing: that is no error.
func (c *Catalog) Packaged(ctx context.Context, id video.ID, store string) ([]Object, error) {
	var objects []Object
	err := c.read.WithContext(ctx).
		Select("object_key", "version", "kind", "rendition", "number", "plain_size", "size", "sha256", "iv", "duration").
		Where("video = ? AND store = ? AND state = ? AND kind IN ?", id, store, ObjectStored, []string{KindSegment, KindPoster, KindPreview, KindCaption}).
		Order("kind, rendition, number, start, id").Find(&objects).Error
	return objects, codedError(err)
}
