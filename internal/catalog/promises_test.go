package catalog_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// in moves a video to a stage, as its workflow does.
func (b *bench) in(t *testing.T, id video.ID, stage video.Stage, want catalog.Control) {
	t.Helper()
	now, err := b.ControlOf(t.Context(), id)
	must(t, err)
	want.Video, want.Epoch = id, now.Epoch+1
	_, err = b.Control(t.Context(), want, func(v *catalog.Video) { v.Stage = stage })
	must(t, err)
}

func TestHide(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		b.in(t, id, video.Published, catalog.Control{})
		before := b.video(t, id)
		hidden, err := b.Hide(ctx, id)
		must(t, err)
		if hidden.HiddenAt.IsZero() || hidden.Revision != before.Revision+1 || hidden.Ending != "" {
			t.Fatalf("%+v", hidden)
		}
		if s := hidden.State(); s.Ending != video.ByDeletion || s.Stage != video.PendingDeletion || !s.Repeats(video.Delete) || s.Check(video.Pause) == nil {
			t.Errorf("it still counts as %+v", s)
		}
		again, err := b.Hide(ctx, id)
		must(t, err)
		if !again.HiddenAt.Equal(hidden.HiddenAt) || again.Revision != hidden.Revision {
			t.Errorf("hidden at %v, then at %v", hidden.HiddenAt, again.HiddenAt)
		}
		_, err = b.Hide(ctx, video.NewID())
		refused(t, "hide what was never there", err, video.NotFound)
		b.in(t, id, video.Purging, catalog.Control{Ending: video.ByDeletion})
		must(t, b.Forget(ctx, id, video.Receipt{VideoSHA256: id.Hash()}))
		_, err = b.Hide(ctx, id)
		refused(t, "hide what was erased", err, video.Gone)

		back := b.upload(t, 1) // with a backup, and erased since
		b.in(t, back, video.Purged, catalog.Control{Ending: video.ByExpiry})
		_, err = b.Hide(ctx, back)
		refused(t, "hide what is purged", err, video.Gone)
	})
}

// Whatever a workflow writes that has not heard of a deletion: the video stays hidden,
// its life ends by the deletion, and the workflow learns so.
func TestADeletionStays(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		appear := func(v *catalog.Video) { v.Stage, v.HiddenAt = video.Published, time.Time{} }
		for name, row := range map[string]catalog.Control{
			"going on": {}, "paused": {Paused: true}, "a draft": {Draft: true}, "canceled": {Ending: video.ByCancellation}, "expired": {Ending: video.ByExpiry},
		} {
			id := b.upload(t, 1)
			hidden, err := b.Hide(ctx, id)
			must(t, err)
			must(t, b.Enter(ctx, catalog.Leg{Video: id, Epoch: 1}, appear))
			if v := b.video(t, id); !v.HiddenAt.Equal(hidden.HiddenAt) || v.State().Stage != video.PendingDeletion {
				t.Errorf("a leg made it appear: %+v", v)
			}
			row.Video, row.Epoch = id, 2
			now, err := b.Control(ctx, row, appear)
			must(t, err)
			if now.Ending != video.ByDeletion || now.Draft {
				t.Errorf("%s: the workflow is told %+v", name, now)
			}
			if v := b.video(t, id); !v.HiddenAt.Equal(hidden.HiddenAt) || v.Ending != video.ByDeletion {
				t.Errorf("%s: %+v", name, v)
			}
		}

		restored := b.upload(t, 1)
		b.in(t, restored, video.Canceled, catalog.Control{Ending: video.ByCancellation})
		_, err := b.Hide(ctx, restored)
		must(t, err)
		if s := b.video(t, restored).State(); s.Check(video.Restore) == nil {
			t.Errorf("a deleted video can be restored: %+v", s)
		}
		now, err := b.Control(ctx, catalog.Control{Video: restored, Epoch: 9}, appear)
		must(t, err)
		if now.Ending != video.ByDeletion {
			t.Errorf("a restore took the deletion back: %+v", now)
		}

		// An ending that hides the video by itself stays what it is.
		expired := b.upload(t, 1)
		for range 2 {
			now, err = b.Control(ctx, catalog.Control{Video: expired, Epoch: 3, Ending: video.ByExpiry}, func(v *catalog.Video) { v.HiddenAt = time.Now() })
			must(t, err)
			if now.Ending != video.ByExpiry {
				t.Errorf("it was deleted by %q", now.Ending)
			}
		}
	})
}

// A deletion in the middle of anything a worker writes is not overwritten.
func TestHideWhileWorkIsWritten(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		ctx, stop := context.WithCancel(ctx)
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				for ctx.Err() == nil {
					if err := b.Project(ctx, leg, func(v *catalog.Video) { v.Done++ }); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		_, err := b.Hide(t.Context(), leg.Video)
		must(t, err)
		time.Sleep(50 * time.Millisecond)
		stop()
		work.Wait()
		if b.video(t, leg.Video).HiddenAt.IsZero() {
			t.Error("it appeared again")
		}
	})
}

func TestADeletionClosesTheGate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 10)
		lease := b.lease(t, id, "me", time.Minute)
		o, err := b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "a"})
		must(t, err)
		_, err = b.Hide(ctx, id)
		must(t, err)
		refused(t, "commit", b.CommitSegment(ctx, lease, written(o, "abc"), nil), video.Gone)
		_, err = b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "b"})
		refused(t, "intend", err, video.Gone)
		refused(t, "length", b.DeclareLength(ctx, lease, 10), video.Gone)
		_, _, err = b.Acquire(ctx, id, "two", time.Minute)
		refused(t, "acquire", err, video.Gone)
		held, err := b.Beat(ctx, "me", time.Hour)
		must(t, err)
		if want := []catalog.Held{{Video: id, LeaseEpoch: 1, Ending: video.ByDeletion}}; !slices.Equal(held, want) {
			t.Errorf("the holder hears %+v", held)
		}
		u, err := b.UploadOf(ctx, id)
		if err != nil || u.Ending != video.ByDeletion || time.Until(u.LeaseUntil) > 30*time.Minute {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestACancelOnRecordClosesTheGate(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 3)
		lease := b.lease(t, id, "me", time.Minute)
		v, asked, err := b.AskCancel(ctx, id, true)
		must(t, err)
		if !asked || v.CancelAskedAt.IsZero() || !v.CancelKeeps {
			t.Fatalf("%v, %+v", asked, v)
		}
		_, _, err = b.Acquire(ctx, id, "two", time.Minute)
		refused(t, "acquire", err, video.Conflict) // not Gone: the workflow has not ended it
		held, err := b.Beat(ctx, "me", time.Hour)
		must(t, err)
		if want := []catalog.Held{{Video: id, LeaseEpoch: 1, Paused: true}}; !slices.Equal(held, want) {
			t.Errorf("the holder hears %+v", held)
		}
		u, err := b.UploadOf(ctx, id)
		must(t, err)
		if !u.Draft || u.Ending != "" || time.Until(u.LeaseUntil) > 30*time.Minute {
			t.Errorf("%+v", u)
		}
		// What had come may still be stored, as after a pause.
		o, err := b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "a"})
		must(t, err)
		must(t, b.CommitSegment(ctx, lease, written(o, "abc"), nil))
		b.expire(t, id)
		_, err = b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "b"})
		refused(t, "after the lease", err, video.Conflict)

		must(t, b.SettleCancel(ctx, v)) // refused by the workflow
		b.lease(t, id, "two", time.Minute)
	})
}

func TestAskCancel(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		var first catalog.Video
		for i, c := range []struct{ keep, asked, keeps bool }{
			{true, true, true}, {true, false, true}, {false, true, false}, {true, false, false}, {false, false, false},
		} {
			v, asked, err := b.AskCancel(ctx, id, c.keep)
			must(t, err)
			if i == 0 {
				first = v
			}
			if asked != c.asked || v.CancelKeeps != c.keeps || !v.CancelAskedAt.Equal(first.CancelAskedAt) {
				t.Errorf("%d: asked %v, %+v", i, asked, v)
			}
		}
		if u, err := b.UploadOf(ctx, id); err != nil || u.Ending != video.ByCancellation {
			t.Errorf("%+v, %v", u, err)
		}

		settled := b.video(t, id)
		must(t, b.SettleCancel(ctx, settled))
		time.Sleep(time.Millisecond)
		later, _, err := b.AskCancel(ctx, id, true)
		must(t, err)
		must(t, b.SettleCancel(ctx, settled)) // twice: and not the later one
		if v := b.video(t, id); !v.CancelAskedAt.Equal(later.CancelAskedAt) {
			t.Errorf("a later cancel was taken off the record: %+v", v)
		}

		for name, end := range map[string]func(id video.ID){
			"published": func(id video.ID) { b.in(t, id, video.Published, catalog.Control{}) },
			"ending":    func(id video.ID) { b.in(t, id, video.Uploading, catalog.Control{Ending: video.ByExpiry}) },
			"hidden":    func(id video.ID) { _, err := b.Hide(ctx, id); must(t, err) },
		} {
			id := b.upload(t, 1)
			end(id)
			if v, asked, err := b.AskCancel(ctx, id, false); err != nil || asked || !v.CancelAskedAt.IsZero() {
				t.Errorf("%s: %v, %+v, %v", name, asked, v, err)
			}
		}
		_, _, err = b.AskCancel(ctx, video.NewID(), false)
		refused(t, "of no video", err, video.NotFound)
	})
}

// A cancel stays on record until a row shows that it was taken up, or can't be: rows
// that a workflow writes for other reasons say nothing of it.
func TestWhatSettlesACancel(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		for name, c := range map[string]struct {
			keep    bool
			stage   video.Stage
			row     catalog.Control
			settled bool
		}{
			"another stage":         {false, video.Processing, catalog.Control{}, false},
			"paused":                {false, video.Uploading, catalog.Control{Paused: true}, false},
			"another was refused":   {false, video.Uploading, catalog.Control{Refused: 1}, false},
			"canceled":              {false, video.Uploading, catalog.Control{Ending: video.ByCancellation}, true},
			"kept as a draft":       {true, video.Draft, catalog.Control{Draft: true}, true},
			"a draft all the same":  {false, video.Draft, catalog.Control{Draft: true}, false},
			"published before that": {false, video.Published, catalog.Control{}, true},
			"expired":               {true, video.Purging, catalog.Control{Ending: video.ByExpiry}, true},
		} {
			id := b.upload(t, 1)
			_, _, err := b.AskCancel(t.Context(), id, c.keep)
			must(t, err)
			b.in(t, id, c.stage, c.row)
			if v := b.video(t, id); v.CancelAskedAt.IsZero() != c.settled || c.settled && v.CancelKeeps {
				t.Errorf("%s: settled %v, %+v", name, v.CancelAskedAt.IsZero(), v)
			}
		}
	})
}

func TestPromised(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		made := func(stage video.Stage, row catalog.Control) video.ID {
			id := b.upload(t, 1)
			b.in(t, id, stage, row)
			return id
		}
		hide := func(id video.ID) video.ID {
			_, err := b.Hide(ctx, id)
			must(t, err)
			return id
		}
		wanted := []video.ID{
			hide(b.upload(t, 1)), hide(made(video.Published, catalog.Control{})), hide(made(video.Draft, catalog.Control{Draft: true})),
			hide(made(video.Canceled, catalog.Control{Ending: video.ByCancellation})), hide(made(video.Rejected, catalog.Control{Ending: video.ByRejection})),
		}
		slices.Sort(wanted)
		taken := hide(b.upload(t, 1))
		b.in(t, taken, video.Uploading, catalog.Control{})                 // which makes it end
		hide(made(video.Purging, catalog.Control{Ending: video.ByExpiry})) // goes anyway
		canceled := b.upload(t, 1)
		_, _, err := b.AskCancel(ctx, canceled, false)
		must(t, err)
		later := time.Now().Add(time.Hour)

		var got []video.ID
		for after := video.ID(""); ; {
			page, err := b.Promised(ctx, video.Delete, later, after, 2)
			must(t, err)
			for _, v := range page {
				got = append(got, v.ID)
				after = v.ID
			}
			if len(page) < 2 {
				break
			}
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("promised are %v, want %v", got, wanted)
		}
		if page, err := b.Promised(ctx, video.Cancel, later, "", 10); err != nil || len(page) != 1 || page[0].ID != canceled {
			t.Errorf("cancels on record: %+v, %v", page, err)
		}
		for _, what := range []video.Command{video.Delete, video.Cancel} {
			if page, err := b.Promised(ctx, what, time.Now().Add(-time.Hour), "", 10); err != nil || len(page) != 0 {
				t.Errorf("%s before any was asked: %+v, %v", what, page, err)
			}
		}
	})
}

func TestListsOfDeletedVideos(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		shown := map[video.Stage]int{}
		for _, stage := range []video.Stage{video.Published, video.Draft, video.Uploading} {
			for _, hidden := range []bool{false, true} {
				id := video.NewID()
				v := newVideo(id)
				v.Visibility = string(video.Public)
				must(t, b.CreateVideo(ctx, v, newUpload(id, 1)))
				b.in(t, id, stage, catalog.Control{Draft: stage == video.Draft})
				if hidden {
					_, err := b.Hide(ctx, id)
					must(t, err)
				}
			}
		}
		for _, stage := range []video.Stage{video.Published, video.Draft, video.Uploading, video.PendingDeletion} {
			page, _, err := b.Videos(ctx, catalog.Query{Owner: "owner", Stages: []video.Stage{stage}})
			must(t, err)
			shown[stage] = len(page)
		}
		if shown[video.Published] != 1 || shown[video.Draft] != 1 || shown[video.Uploading] != 2 || shown[video.PendingDeletion] != 1 {
			t.Errorf("listed: %v", shown)
		}
		if page, _, err := b.Videos(ctx, catalog.Query{PublicOnly: true}); err != nil || len(page) != 1 || !page[0].HiddenAt.IsZero() {
			t.Errorf("everyone sees %+v, %v", page, err)
		}
		if page, _, err := b.Videos(ctx, catalog.Query{Owner: "nobody", Stages: []video.Stage{video.PendingDeletion}}); err != nil || len(page) != 0 {
			t.Errorf("nobody's videos: %+v, %v", page, err)
		}
	})
}

// Who asked is told until what they asked for was taken back, and whoever repeats it changes
// nothing.
func TestWhoAskedIsKnown(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		asked := func(id video.ID, want string) {
			t.Helper()
			if v := b.video(t, id); v.AskedBy != want {
				t.Errorf("asked by %q, want %q", v.AskedBy, want)
			}
		}
		deleted := b.upload(t, 1)
		for _, by := range []string{video.AskedByOperator, video.AskedByAuthor} {
			_, err := b.HideFor(ctx, deleted, by)
			must(t, err)
		}
		b.in(t, deleted, video.PendingDeletion, catalog.Control{Ending: video.ByDeletion})
		asked(deleted, video.AskedByOperator)

		canceled := b.upload(t, 1)
		v, _, err := b.AskCancelFor(ctx, canceled, false, video.AskedByAuthor)
		must(t, err)
		b.in(t, canceled, video.Canceled, catalog.Control{Ending: video.ByCancellation})
		must(t, b.SettleCancel(ctx, v))
		asked(canceled, video.AskedByAuthor)
		b.in(t, canceled, video.Uploading, catalog.Control{}) // restored
		asked(canceled, "")
	})
}
