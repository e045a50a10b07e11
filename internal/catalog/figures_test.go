package catalog_test

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// The figures of operators agree with the rows, on both databases.
func TestFiguresCountWhatIsThere(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		if figures, err := b.Figures(ctx); err != nil || len(figures) != 0 {
			t.Fatalf("an empty catalog has %+v, %v", figures, err)
		}
		first := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
		add := func(stage video.Stage, of func(*catalog.Video)) video.ID {
			v := catalog.Video{ID: video.NewID(), Owner: "o", Visibility: "public", Stage: stage, CreatedAt: first.Add(time.Minute)}
			if of != nil {
				of(&v)
			}
			must(t, b.CreateVideo(ctx, v, catalog.Upload{Video: v.ID, TokenHash: []byte(v.ID), Length: 10, Offset: 7, Idle: time.Hour}))
			return v.ID
		}
		add(video.Uploading, func(v *catalog.Video) { v.CreatedAt, v.Paused = first, true })
		add(video.Uploading, nil)
		add(video.Published, nil)
		add(video.Published, func(v *catalog.Video) { v.HiddenAt, v.Overdue = first.Add(time.Second), true })
		add(video.Processing, func(v *catalog.Video) { v.Trouble, v.Stray = true, true })
		for _, due := range []time.Duration{2 * time.Minute, time.Minute} {
			id := add(video.Purging, func(v *catalog.Video) { v.PurgeAt, v.Overdue, v.Ending = first.Add(due), true, video.ByDeletion })
			leg := catalog.Leg{Video: id, Epoch: 1, Ending: true}
			must(t, b.Enter(ctx, leg, nil))
			must(t, b.SetReplica(ctx, leg, catalog.Replica{Store: "primary", State: catalog.ReplicaUnreachable, Bytes: 5}))
			must(t, b.SetReplica(ctx, leg, catalog.Replica{Store: "backup", State: catalog.ReplicaEmpty}))
		}
		want := map[string]catalog.Figure{
			"stage uploading":  {Videos: 2, Bytes: 14, Oldest: first},
			"stage published":  {Videos: 2, Oldest: first.Add(time.Minute)},
			"stage processing": {Videos: 1, Oldest: first.Add(time.Minute)},
			"stage purging":    {Videos: 2, Oldest: first.Add(time.Minute)},
			"paused ":          {Videos: 1, Oldest: first},
			"stray ":           {Videos: 1, Oldest: first.Add(time.Minute)},
			"trouble ":         {Videos: 1, Oldest: first.Add(time.Minute)},
			"overdue ":         {Videos: 3, Oldest: first.Add(time.Second)},
			"unheard ":         {Videos: 1, Oldest: first.Add(time.Second)},
			"unpurged primary": {Videos: 2, Bytes: 10, Oldest: first.Add(time.Minute)},
		}
		figures, err := b.Figures(ctx)
		must(t, err)
		got := map[string]catalog.Figure{}
		for _, f := range figures {
			key, sum := f.Kind+" "+f.Label, f
			if before, there := got[key]; there {
				sum.Videos += before.Videos
				if before.Oldest.Before(sum.Oldest) {
					sum.Oldest = before.Oldest
				}
			}
			sum.Kind, sum.Label = "", ""
			got[key] = sum
		}
		for key, figure := range want {
			if !got[key].Oldest.Equal(figure.Oldest) || got[key].Videos != figure.Videos || got[key].Bytes != figure.Bytes {
				t.Errorf("%s: %+v, want %+v", key, got[key], figure)
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("nobody has asked for %+v", got)
		}
	})
}
