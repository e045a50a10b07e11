package catalog_test

import (
	"reflect"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Of any number that rebuild a video one makes its rows, all of them, and the others find
// them; one that was erased is not made.
func TestCreateRebuilt(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id, erased := t.Context(), video.NewID(), video.NewID()
		rebuilt := func(id video.ID) catalog.Rebuilt {
			v := newVideo(id)
			v.Stage, v.Ending, v.Held, v.Revision, v.CreatedAt = video.PendingDeletion, video.ByDeletion, true, 12, time.Unix(1000, 0)
			first, second := piece(0), piece(1)
			first.CreatedAt, second.CreatedAt = v.CreatedAt, v.CreatedAt
			return catalog.Rebuilt{
				Video: v, Epoch: 9, Upload: newUpload(id, 3), Objects: []catalog.Object{first, second},
				Replicas: []catalog.Replica{{Store: "primary", State: catalog.ReplicaComplete, Objects: 2}},
			}
		}
		var group errgroup.Group
		made := make(chan bool, 8)
		for range cap(made) {
			group.Go(func() error {
				is, err := b.CreateRebuilt(ctx, rebuilt(id))
				made <- is
				return err
			})
		}
		must(t, group.Wait())
		makers := 0
		for range cap(made) {
			if <-made {
				makers++
			}
		}
		stored, err := b.Objects(ctx, id, catalog.Filter{Stored: true})
		must(t, err)
		replicas, err := b.Replicas(ctx, id)
		must(t, err)
		if makers != 1 || len(stored) != 2 || len(replicas) != 1 {
			t.Errorf("%d made it; %d objects, %d replicas", makers, len(stored), len(replicas))
		}
		row, err := b.ControlOf(ctx, id)
		must(t, err)
		if want := (catalog.Control{Video: id, Epoch: 9, Ending: video.ByDeletion, Held: true}); !reflect.DeepEqual(row, want) {
			t.Errorf("got %+v, want %+v", row, want)
		}
		if v := b.video(t, id); v.Revision != 12 || !v.CreatedAt.Equal(time.Unix(1000, 0)) {
			t.Errorf("%+v", v)
		}
		twin := rebuilt(video.NewID())
		u, err := b.UploadOf(ctx, id)
		must(t, err)
		twin.Upload.TokenHash = u.TokenHash
		_, err = b.CreateRebuilt(ctx, twin)
		refused(t, "the token of another", err, video.Conflict)
		must(t, b.RecordLedger(ctx, catalog.Ledger{VideoSHA256: erased.Hash()}))
		_, err = b.CreateRebuilt(ctx, rebuilt(erased))
		refused(t, "an erased one", err, video.Gone)
	})
}

// Facts that some store lacks, or that count no more, are to be written again, of published
// videos alone.
func TestWithoutFacts(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		with := func(stage video.Stage, stores ...string) video.ID {
			r := catalog.Rebuilt{Video: newVideo(video.NewID())}
			r.Video.Stage, r.Upload = stage, newUpload(r.Video.ID, 1)
			r.Video.CreatedAt = time.Unix(1000, 0)
			if stage != video.Draft {
				r.Video.PublishedAt = time.Unix(1001, 0)
			}
			for _, store := range stores {
				r.Objects = append(r.Objects, catalog.Object{Store: store, Key: store, Kind: catalog.KindFacts, CreatedAt: r.Video.CreatedAt})
			}
			_, err := b.CreateRebuilt(ctx, r)
			must(t, err)
			return r.Video.ID
		}
		both, one, none := with(video.Published, "a", "b"), with(video.PendingDeletion, "a"), with(video.Published)
		draft, stale := with(video.Draft), with(video.Published, "a", "b")
		facts, err := b.Objects(ctx, stale, catalog.Filter{Store: "a"})
		must(t, err)
		must(t, b.BeginDrop(ctx, catalog.Leg{Video: stale}, []int64{facts[0].ID}))
		lacking, err := b.WithoutFacts(ctx, []video.ID{both, one, none, draft, stale}, 2)
		must(t, err)
		got := map[video.ID]bool{}
		for _, id := range lacking {
			got[id] = true
		}
		if want := (map[video.ID]bool{one: true, none: true, stale: true}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
