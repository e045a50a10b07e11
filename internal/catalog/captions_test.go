package catalog_test

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func captions(id video.ID, language, key string) catalog.Object {
	return catalog.Object{Video: id, Store: "primary", Key: key, Rendition: language}
}

// captioned stores captions in the primary, and says whether they replaced others.
func (b *bench) captioned(t *testing.T, id video.ID, language, key string) bool {
	t.Helper()
	o, err := b.IntendCaption(t.Context(), captions(id, language, key))
	must(t, err)
	replaced, err := b.CommitCaption(t.Context(), written(o, key))
	must(t, err)
	return replaced
}

// Captions that replace others count in the moment in which those count no more, in any
// store, and a copy counts only as long as its original.
func TestCaptionsReplaceOthers(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		before := b.video(t, id).Revision
		if b.captioned(t, id, "en", "first") || b.captioned(t, id, "de", "other") {
			t.Error("new ones are said to replace others")
		}
		if b.video(t, id).Revision == before {
			t.Error("nobody who follows the video hears of its captions")
		}
		copied := captions(id, "en", "first")
		copied.Store, copied.Kind = "backup", catalog.KindCaption
		late, err := b.IntendCaptionCopy(ctx, copied)
		must(t, err)
		copied, err = b.IntendCaptionCopy(ctx, copied)
		must(t, err)
		for range 2 { // the answer may have been lost
			must(t, b.CommitCaptionCopy(ctx, written(copied, "first")))
		}
		refused(t, "a twin", b.CommitCaptionCopy(ctx, written(late, "first")), video.Unavailable)
		if !b.captioned(t, id, "en", "second") {
			t.Error("what replaces others is said to be new")
		}
		refused(t, "a copy of what was replaced", b.CommitCaptionCopy(ctx, written(late, "first")), video.Conflict)
		found, err := b.CaptionsOf(ctx, []video.ID{id, video.NewID()})
		must(t, err)
		if all := found[id]; len(found) != 1 || len(all) != 2 || all[0].Rendition != "de" || all[1].Key != "second" || all[1].Store != "primary" {
			t.Errorf("%+v", found)
		}
		must(t, b.AbandonCaptions(ctx, id, time.Now().Add(time.Minute)))
		rows, err := b.Objects(ctx, id, catalog.Filter{Kind: catalog.KindCaption})
		must(t, err)
		for _, o := range rows {
			must(t, b.ForgetCaption(ctx, o))
		}
		if rows, err = b.Objects(ctx, id, catalog.Filter{Kind: catalog.KindCaption}); err != nil || len(rows) != 2 {
			t.Errorf("%d rows are left, %v", len(rows), err)
		}
	})
}

// What is to be done stays on record until it was found to be done after the last change.
func TestCaptionTasks(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		claim := func(want int) (task catalog.CaptionTask) {
			t.Helper()
			tasks, err := b.ClaimCaptions(ctx, 10, time.Minute)
			must(t, err)
			if len(tasks) != want {
				t.Fatalf("%+v are due, want %d", tasks, want)
			}
			if want > 0 {
				task = tasks[0]
			}
			return task
		}
		_, err := b.IntendCaption(ctx, captions(id, "en", "never written"))
		must(t, err)
		claim(0) // its writer has time
		b.captioned(t, id, "en", "first")
		first := claim(1)
		claim(0) // it is somebody's
		must(t, b.PutOffCaptions(ctx, first, 0))
		first = claim(1)
		must(t, b.DropCaption(ctx, id, "en"))
		must(t, b.FinishCaptions(ctx, first))
		must(t, b.PutOffCaptions(ctx, first, time.Hour))
		second := claim(1)
		must(t, b.DropCaption(ctx, id, "en")) // there are none
		must(t, b.FinishCaptions(ctx, second))
		must(t, b.PutOffCaptions(ctx, second, 0))
		claim(0)
	})
}

// Captions are fenced by what is so of the video, whatever was intended before.
func TestCaptionsAreFenced(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		for name, c := range map[string]struct {
			change catalog.Control
			hide   bool
			want   video.Code
		}{
			"held":     {catalog.Control{Held: true}, false, video.Conflict},
			"a draft":  {catalog.Control{Draft: true}, false, video.Conflict},
			"canceled": {catalog.Control{Ending: video.ByCancellation}, false, video.Gone},
			"hidden":   {catalog.Control{}, true, video.Gone},
		} {
			id := b.upload(t, 1)
			b.captioned(t, id, "en", "first")
			o, err := b.IntendCaption(ctx, captions(id, "en", "second"))
			must(t, err)
			c.change.Video, c.change.Epoch = id, 1
			b.control(t, c.change)
			if c.hide {
				_, err := b.Hide(ctx, id)
				must(t, err)
			}
			_, err = b.CommitCaption(ctx, written(o, "second"))
			refused(t, name+": a commit", err, c.want)
			_, err = b.IntendCaption(ctx, captions(id, "de", "third"))
			refused(t, name+": an intent", err, c.want)
			refused(t, name+": a removal", b.DropCaption(ctx, id, "en"), c.want)
		}
	})
}
