package catalog

import (
	"context"

	"gorm.io/gorm/clause"

	"github.com/reelflow/reelflow/video"
)

// Note is what a reviewer wrote to the author of a video, or the media work to
// operators. It goes with the video.
type Note struct {
	Video  video.ID `gorm:"primaryKey"`
	Author string   `gorm:"primaryKey"` // opaque, as an owner is; or a name of the media work's
	Sealed []byte   // under the video's key, as Column
}

// MachineNote is the author of what ffmpeg said last of a video that breaks it.
const MachineNote = "machine"

// Column is the identity under which the note is sealed.
func (n Note) Column() string { return "notes/sealed/" + string(n.Video) + "/" + n.Author }

// KeepNote keeps what somebody wrote, instead of what they wrote before. It fails with
// NotFound or Gone when there is no such video.
func (c *Catalog) KeepNote(ctx context.Context, n Note) error {
	if _, err := c.Video(ctx, n.Video); err != nil {
		return err
	}
	return codedError(c.write.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&n).Error)
}
