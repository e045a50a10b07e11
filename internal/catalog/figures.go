package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Figure is a number of videos that have something in common.
type Figure struct {
	Kind   string // what they have in common; see the constants
	Label  string // the stage or the store; empty for kinds without
	Videos int64  // at most FiguresCap
	Bytes  int64  // of FigureStage uploading, what is stored of them; of FigureUnpurged, what the stores still hold
	// Oldest is the time that they wait for longest: when the first of them was made, hidden,
	// or due. Zero where there are none.
	Oldest time.Time `gorm:"serializer:instant"`
}

// The kinds of figures.
const (
	FigureStage    = "stage"    // are in a stage; Oldest is when the first of them was made
	FigurePaused   = "paused"   // are paused, and not published yet
	FigureOverdue  = "overdue"  // are not erased in time
	FigureTrouble  = "trouble"  // have work that fails, or that nobody can do
	FigureStray    = "stray"    // had their workflow terminated, and wait for a person
	FigureUnheard  = "unheard"  // are deleted, and their workflow doesn't know yet; Oldest is when the first was hidden
	FigureUnpurged = "unpurged" // are being purged, and a store still has some; Oldest is when the first was due
)

// FiguresCap bounds what is counted of each kind: more are so many. It keeps the statement
// short, however many videos there are.
const FiguresCap = 100_000

// Figures counts all videos, for operators, by one statement that goes by indexes. What there
// is none of is left out.
func (c *Catalog) Figures(ctx context.Context) ([]Figure, error) {
	var parts []string
	var args []any
	part := func(statement string, values ...any) {
		parts, args = append(parts, statement), append(args, append(values, FiguresCap)...)
	}
	for _, stage := range video.Stages {
		part(stageFigure, stage)
	}
	part(oneFigure(FigurePaused, "created_at", "stage IN ? AND paused"), video.BeforePublication)
	part(oneFigure(FigureStray, "created_at", "stage IN ? AND stray"), unpublished())
	part(oneFigure(FigureOverdue, "COALESCE(purge_at, hidden_at)", "stage IN ? AND overdue"), unpublished())
	part(oneFigure(FigureOverdue, "hidden_at", "hidden_at IS NOT NULL AND ending <> 'deleted' AND stage = ? AND overdue"), video.Published)
	part(oneFigure(FigureTrouble, "created_at", "trouble"))
	part(oneFigure(FigureUnheard, "hidden_at", "hidden_at IS NOT NULL AND ending <> 'deleted'"))
	part(unpurgedFigure, video.Purging, ReplicaEmpty)
	var figures []Figure
	err := c.read.WithContext(ctx).Raw(strings.Join(parts, " UNION ALL "), args...).Scan(&figures).Error
	return figures, codedError(err)
}

// unpublished are the stages in which few videos are at a time.
func unpublished() (stages []video.Stage) {
	for _, stage := range video.Stages {
		if stage != video.Published && stage != video.Purged {
			stages = append(stages, stage)
		}
	}
	return stages
}

// stageFigure reads the index by stage and age to the cap. Uploads that are published are of
// no interest, so only those of the first stages are looked up.
const stageFigure = `SELECT 'stage' AS kind, found.stage AS label, COUNT(*) AS videos,
	CAST(COALESCE(SUM(CASE WHEN found.stage = 'uploading' THEN (SELECT received FROM uploads WHERE uploads.video = found.id) END), 0) AS BIGINT) AS bytes,
	MIN(found.created_at) AS oldest
	FROM (SELECT id, stage, created_at FROM videos WHERE stage = ? ORDER BY created_at LIMIT ?) AS found GROUP BY found.stage`

// unpurgedFigure has a row a store.
const unpurgedFigure = `SELECT 'unpurged' AS kind, found.store AS label, COUNT(*) AS videos, CAST(SUM(found.bytes) AS BIGINT) AS bytes, MIN(found.since) AS oldest
	FROM (SELECT replicas.store, replicas.bytes, COALESCE(videos.purge_at, videos.hidden_at, videos.created_at) AS since
		FROM videos JOIN replicas ON replicas.video = videos.id WHERE videos.stage = ? AND replicas.state <> ? LIMIT ?) AS found
	GROUP BY found.store`

func oneFigure(kind, since, where string) string {
	return "SELECT '" + kind + "' AS kind, '' AS label, COUNT(*) AS videos, CAST(0 AS BIGINT) AS bytes, MIN(found.since) AS oldest " +
		"FROM (SELECT " + since + " AS since FROM videos WHERE " + where + " LIMIT ?) AS found HAVING COUNT(*) > 0"
}
