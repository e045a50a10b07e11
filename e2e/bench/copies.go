package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/testsuite"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/activities"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// copies measures the copying of a large upload to a backup store: the activity
// by itself, beside rclone with the very same objects.
func (b *bench) copies() error {
	rows, err := catalog.Open(b.ctx, "sqlite://"+filepath.Join(b.dir, "copies.db"))
	if err != nil {
		return err
	}
	defer rows.Close()
	segments, err := makeSegments()
	if err != nil {
		return err
	}
	c := &copying{b, rows, segments}
	ours := &contestant{once: c.ours}
	rclone := &contestant{once: c.rclone}
	if err := b.compete(ours, rclone); err != nil {
		return err
	}
	against("copy of 287 MB to a backup", ours, rclone, 1, fmt.Sprintf("%d segments, their SHA-256 compared; peer: rclone copy of the same", len(segments))).print()
	return nil
}

// copying is the same content again and again, under a new id each time.
type copying struct {
	*bench
	catalog  *catalog.Catalog
	segments [][]byte
}

func makeSegments() (segments [][]byte, err error) {
	for left := uploadSize; left > 0; left -= chunkSize {
		segment := make([]byte, min(chunkSize, left))
		if _, err := rand.Read(segment); err != nil {
			return nil, err
		}
		segments = append(segments, segment)
	}
	return segments, nil
}

// fill puts the segments of a new video into the primary store and the manifest.
func (c *copying) fill() (workflows.Leg, error) {
	id := video.NewID()
	leg := catalog.Leg{Video: id, Epoch: 1}
	hash := sha256.Sum256([]byte(id))
	err := c.catalog.CreateVideo(c.ctx, catalog.Video{ID: id, Stage: video.Processing}, catalog.Upload{Video: id, TokenHash: hash[:], Length: uploadSize})
	if err != nil {
		return workflows.Leg{}, err
	}
	if err := c.catalog.Enter(c.ctx, leg, nil); err != nil {
		return workflows.Leg{}, err
	}
	var group errgroup.Group
	group.SetLimit(2)
	for i, segment := range c.segments {
		group.Go(func() error { return c.put(leg, i, segment) })
	}
	return workflows.Leg{ID: id, Epoch: 1}, group.Wait()
}

func (c *copying) put(leg catalog.Leg, i int, segment []byte) error {
	primary, sum := c.stores[0], sha256.Sum256(segment)
	o := catalog.Object{
		Store: primary.Name(), Key: fmt.Sprintf("%ssource/%d", leg.Video.Prefix(), i), Kind: catalog.KindSource,
		Offset: int64(i) * chunkSize, PlainSize: int64(len(segment)), Size: int64(len(segment)), SHA256: sum[:],
	}
	intended, err := c.catalog.Intend(c.ctx, leg, []catalog.Object{o})
	if err != nil {
		return err
	}
	o = intended[0]
	if o.Version, err = primary.Put(c.ctx, o.Key, segment, objects.PutOptions{}); err != nil {
		return err
	}
	return c.catalog.Commit(c.ctx, leg, o)
}

func (c *copying) ours() (time.Duration, error) {
	leg, err := c.fill()
	if err != nil {
		return 0, err
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	a := &activities.Activities{
		Catalog: c.catalog, Stores: objects.Set{Primary: c.stores[0], Backups: c.stores[1:]}, Log: slog.New(slog.DiscardHandler),
	}
	env.RegisterActivity(a.CopyReplica)
	begun := time.Now()
	_, err = env.ExecuteActivity(a.CopyReplica, workflows.StoreInput{Leg: leg, Store: c.stores[1].Name()})
	took := time.Since(begun)
	if err != nil {
		return 0, err
	}
	return took, c.tidy(leg.ID)
}

func (c *copying) rclone() (time.Duration, error) {
	leg, err := c.fill()
	if err != nil {
		return 0, err
	}
	took, err := c.bench.rclone(leg.ID.Prefix())
	if err != nil {
		return 0, err
	}
	return took, c.tidy(leg.ID)
}

// tidy removes both copies, once it is clear that the second is whole.
func (c *copying) tidy(id video.ID) error {
	found, err := c.stores[1].Inventory(c.ctx, id.Prefix(), nil)
	if err != nil {
		return err
	}
	if found.Bytes != uploadSize || found.Objects != len(c.segments) {
		return fmt.Errorf("the copy is not whole: %+v", found)
	}
	return c.purge(id.Prefix(), c.stores[:2]...)
}
