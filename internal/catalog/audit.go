package catalog

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/reelflow/reelflow/video"
)

// Audited is what the audit compares of a video with its workflow. It is read without
// the columns that hold JSON: one damaged row must not hide the others of its page.
type Audited struct {
	ID            video.ID
	Stage         video.Stage
	Ending        video.Ending // as in the control row
	Held          bool
	Epoch         int64
	CreatedAt     time.Time `gorm:"serializer:instant"`
	HiddenAt      time.Time `gorm:"serializer:instant"`
	PurgeAt       time.Time `gorm:"serializer:instant"`
	CancelAskedAt time.Time `gorm:"serializer:instant"`
	Overdue       bool
	Paused        bool      // as in the control row
	RereadAt      time.Time `gorm:"serializer:instant"` // see Video.RereadAt
}

// Audited returns videos in the order of their ids, those after a given one ("" for
// the first page): the audit's way through everything there is.
func (c *Catalog) Audited(ctx context.Context, after video.ID, limit int) ([]Audited, error) {
	var page []Audited
	err := audited(c.read.WithContext(ctx)).Where("videos.id > ?", after).Order("videos.id").Limit(limit).Find(&page).Error
	return page, codedError(err)
}

// AuditedOf returns the rows that there are of these videos.
func (c *Catalog) AuditedOf(ctx context.Context, ids []video.ID) (map[video.ID]Audited, error) {
	found := make(map[video.ID]Audited, len(ids))
	for chunk := range slices.Chunk(ids, idsPerQuery) {
		var page []Audited
		if err := audited(c.read.WithContext(ctx)).Where("videos.id IN ?", chunk).Find(&page).Error; err != nil {
			return nil, codedError(err)
		}
		for _, row := range page {
			found[row.ID] = row
		}
	}
	return found, nil
}

// idsPerQuery keeps below the number of parameters that databases allow.
const idsPerQuery = 1000

func audited(db *gorm.DB) *gorm.DB {
	return db.Table("videos").Joins("JOIN controls ON controls.video = videos.id").
		Select("videos.id, videos.stage, controls.ending, controls.held, controls.epoch, videos.created_at, " +
			"videos.hidden_at, videos.purge_at, videos.cancel_asked_at, videos.overdue, controls.paused, videos.reread_at")
}

// Erased returns those of these videos that the ledger has.
func (c *Catalog) Erased(ctx context.Context, ids []video.ID) (map[video.ID]bool, error) {
	byHash := make(map[string]video.ID, len(ids))
	hashes := make([]string, len(ids))
	for i, id := range ids {
		hashes[i] = id.Hash()
		byHash[hashes[i]] = id
	}
	erased := map[video.ID]bool{}
	for chunk := range slices.Chunk(hashes, idsPerQuery) {
		var known []string
		err := c.read.WithContext(ctx).Model(&Ledger{}).Where("video_sha256 IN ?", chunk).Pluck("video_sha256", &known).Error
		if err != nil {
			return nil, codedError(err)
		}
		for _, hash := range known {
			erased[byHash[hash]] = true
		}
	}
	return erased, nil
}

// MarkStray shows a video as one whose workflow was terminated, until the workflow
// says otherwise.
func (c *Catalog) MarkStray(ctx context.Context, id video.ID) error {
	return c.mark(ctx, []video.ID{id}, "stray", true)
}

// MarkOverdue shows videos as not erased in time, until their workflows say otherwise.
func (c *Catalog) MarkOverdue(ctx context.Context, ids []video.ID) error {
	return c.mark(ctx, ids, "overdue", true)
}

// MarkTrouble shows videos as ones whose work nobody can do, until their workflows
// say otherwise or ClearTrouble does.
func (c *Catalog) MarkTrouble(ctx context.Context, ids []video.ID) error {
	return c.mark(ctx, ids, "trouble", true)
}

// MarkedTrouble returns the videos that MarkTrouble has marked, and whose workflows don't
// say themselves what they wait for.
func (c *Catalog) MarkedTrouble(ctx context.Context) (ids []video.ID, err error) {
	err = c.read.WithContext(ctx).Model(&Video{}).Where("trouble AND waiting_for = ''").Pluck("id", &ids).Error
	return ids, codedError(err)
}

// ClearTrouble takes back what MarkTrouble marked of videos that are not among these.
// What a workflow itself reports is left: it says what it waits for.
func (c *Catalog) ClearTrouble(ctx context.Context, except []video.ID) error {
	marked, err := c.MarkedTrouble(ctx)
	if err != nil {
		return err
	}
	marked = slices.DeleteFunc(marked, func(id video.ID) bool { return slices.Contains(except, id) })
	return c.mark(ctx, marked, "trouble", false)
}

// MarkReread notes when the workflow of a video was told to read its rows; the zero time
// says that it shows what they do. Nobody who follows the video is told.
func (c *Catalog) MarkReread(ctx context.Context, id video.ID, at time.Time) error {
	var value any
	if !at.IsZero() {
		value = instantOf(at)
	}
	return codedError(c.write.WithContext(ctx).Model(&Video{}).Where("id = ?", id).Update("reread_at", value).Error)
}

// mark sets a flag that no leg fences: it shows something, and nothing goes by it.
func (c *Catalog) mark(ctx context.Context, ids []video.ID, column string, to bool) error {
	for chunk := range slices.Chunk(ids, idsPerQuery) {
		err := c.write.WithContext(ctx).Model(&Video{}).Where("id IN ? AND "+column+" <> ?", chunk, to).
			Updates(map[string]any{column: to, "revision": gorm.Expr("revision + 1")}).Error
		if err != nil {
			return codedError(err)
		}
	}
	return nil
}

// AuditProgress is where one of the audit's ways goes on.
type AuditProgress struct {
	Name      string    `gorm:"primaryKey"`
	Place     string    // after which key; "" for the beginning
	Through   time.Time `gorm:"serializer:instant"` // what closed until then was looked at
	UpdatedAt time.Time `gorm:"serializer:instant;autoUpdateTime:false"`
}

// TableName implements gorm's schema.Tabler.
func (AuditProgress) TableName() string { return "audits" }

// AuditProgress returns where a way goes on: at its beginning if it was never gone.
func (c *Catalog) AuditProgress(ctx context.Context, name string) (AuditProgress, error) {
	var rows []AuditProgress
	if err := c.read.WithContext(ctx).Where("name = ?", name).Limit(1).Find(&rows).Error; err != nil {
		return AuditProgress{}, codedError(err)
	}
	if len(rows) == 0 {
		return AuditProgress{Name: name}, nil
	}
	return rows[0], nil
}

// SaveAuditProgress keeps where a way goes on the next time.
func (c *Catalog) SaveAuditProgress(ctx context.Context, p AuditProgress) error {
	p.UpdatedAt = time.Now()
	return codedError(c.write.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&p).Error)
}

// AuditRun is how many rows one audit saw, and how many lives it has to begin again.
type AuditRun struct {
	At    time.Time `gorm:"primaryKey;serializer:instant"` // when it began; the same in all its attempts
	Seen  int64
	Begun int64
}

// The brake of the audit. More lives than these, lost within a day, are not some
// accidents but a wrong or an empty Temporal, in which nothing should be begun.
const (
	brakeDay    = 24 * time.Hour
	brakeLeast  = 10  // lives a day
	brakeShare  = 100 // or one of so many rows that were seen, but no more than there are
	auditRunTTL = 7 * 24 * time.Hour
)

// TemporalAdopted reports whether an operator has said within a day that this
// Temporal is to be gone on with, whatever it has lost.
func (c *Catalog) TemporalAdopted(ctx context.Context) (bool, error) {
	at, err := temporalAdopted(c.read.WithContext(ctx))
	return time.Since(at) < brakeDay, codedError(err)
}

func temporalAdopted(db *gorm.DB) (time.Time, error) {
	var latest []struct {
		AdoptedAt time.Time `gorm:"serializer:instant"`
	}
	err := db.Table("adoptions").Select("adopted_at").Where("place = 'temporal'").
		// By a person, not by the founding.
		Where("NOT EXISTS (SELECT 1 FROM installation WHERE COALESCE(founded_at, made_at) >= adoptions.adopted_at)").
		Order("adopted_at DESC").Limit(1).Find(&latest).Error
	if err != nil || len(latest) == 0 {
		return time.Time{}, err
	}
	return latest[0].AdoptedAt, nil
}

// MayBegin says whether an audit may begin so many lives again, and counts them as
// begun if so: whoever dies after it has counted too many, never too few. The same
// audit may ask again, with all that it has to begin. What is begun in the day after
// an adoption of Temporal is free, and isn't counted afterwards.
func (c *Catalog) MayBegin(ctx context.Context, run AuditRun) (may bool, err error) {
	run.At = instantOf(run.At)
	err = c.transact(ctx, func(tx *gorm.DB) error {
		adopted, err := temporalAdopted(tx)
		if err != nil {
			return err
		}
		since := time.Now().Add(-brakeDay)
		if free := adopted.Add(brakeDay); free.After(since) {
			since = free
		}
		others, same, err := auditRuns(tx, since, run.At)
		if err != nil {
			return err
		}
		limit, err := brakeLimit(tx, others.Seen+run.Seen)
		if err != nil {
			return err
		}
		run.Begun = max(run.Begun, same.Begun)
		if may = since.After(time.Now()) || others.Begun+run.Begun <= limit; !may {
			run.Begun = same.Begun
		}
		if err := tx.Where("at < ?", instantOf(time.Now().Add(-auditRunTTL))).Delete(&AuditRun{}).Error; err != nil {
			return err
		}
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&run).Error
	})
	return may && err == nil, codedError(err)
}

// auditRuns sums up the other audits since a time, and finds this one.
func auditRuns(tx *gorm.DB, since, at time.Time) (others, same AuditRun, err error) {
	err = tx.Model(&AuditRun{}).Where("at > ? AND at <> ?", instantOf(since), at).
		Select("CAST(COALESCE(SUM(seen), 0) AS BIGINT) AS seen, CAST(COALESCE(SUM(begun), 0) AS BIGINT) AS begun").Scan(&others).Error
	if err != nil {
		return others, same, err
	}
	var found []AuditRun
	if err := tx.Where("at = ?", at).Limit(1).Find(&found).Error; err != nil || len(found) == 0 {
		return others, same, err
	}
	return others, found[0], nil
}

// brakeLimit goes by the rows that a day's audits saw: a small catalog is seen over
// and over again, but has no more rows than it has.
func brakeLimit(tx *gorm.DB, seen int64) (int64, error) {
	var rows int64
	if err := tx.Model(&Video{}).Count(&rows).Error; err != nil {
		return 0, err
	}
	return max(brakeLeast, min(seen, rows)/brakeShare), nil
}

// instantOf is a time as it rests in a row, for comparisons.
func instantOf(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
