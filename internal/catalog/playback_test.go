package catalog_test

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// What a player's request asks is what the whole row says, at once after each change.
func TestPlaybackStateIsThatOfTheRow(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		v := newVideo(video.NewID())
		v.Stage, v.Visibility, v.AllowDownload = video.Published, "unlisted", true
		must(t, b.CreateVideo(ctx, v, newUpload(v.ID, 7)))
		agrees := func(what string) {
			t.Helper()
			got, err := b.PlaybackState(ctx, v.ID)
			must(t, err)
			row := b.video(t, v.ID)
			want := row.State()
			if got.State.Stage != want.Stage || got.State.Ending != want.Ending || got.Revision != row.Revision ||
				string(got.Visibility) != row.Visibility || got.AllowDownload != row.AllowDownload {
				t.Errorf("%s: got %+v of %+v", what, got, row)
			}
		}
		agrees("published")
		_, err := b.Hide(ctx, v.ID)
		must(t, err)
		agrees("hidden")
		b.control(t, catalog.Control{Video: v.ID, Epoch: 1, Ending: video.ByDeletion})
		agrees("ending")
		_, err = b.PlaybackState(ctx, video.NewID())
		refused(t, "of no video", err, video.NotFound)
		id := video.NewID()
		must(t, b.RecordLedger(ctx, catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: time.Now(), KeyDestroyedAt: time.Now()}))
		_, err = b.PlaybackState(ctx, id)
		refused(t, "of an erased one", err, video.Gone)
	})
}

func TestPackagedIsWhatLiesInTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		for _, o := range []catalog.Object{
			{Store: "primary", Kind: catalog.KindSegment, Rendition: "480p", Index: 1}, {Store: "primary", Kind: catalog.KindSegment, Rendition: "480p"},
			{Store: "primary", Kind: catalog.KindPoster}, {Store: "primary", Kind: catalog.KindPreview}, {Store: "primary", Kind: catalog.KindSource},
			{Store: "backup", Kind: catalog.KindPoster}, piece(0),
		} {
			o.Key = o.Store + o.Kind + string(rune('0'+o.Index))
			done := written(b.intended(t, leg, o), o.Key)
			done.IV, done.Duration = []byte("iv"), 3.5
			must(t, b.Commit(ctx, leg, done))
		}
		b.intended(t, leg, catalog.Object{Store: "primary", Key: "announced", Kind: catalog.KindSegment, Rendition: "720p"})
		got, err := b.Packaged(ctx, leg.Video, "primary")
		must(t, err)
		var keys []string
		for _, o := range got {
			keys = append(keys, o.Key)
		}
		want := []string{"primaryposter0", "primarypreview0", "primarysegment0", "primarysegment1"}
		if len(got) != 4 || keys[0] != want[0] || keys[1] != want[1] || keys[2] != want[2] || keys[3] != want[3] {
			t.Fatalf("got %q, want %q", keys, want)
		}
		if o := got[3]; o.Version != "v1" || o.Size == 0 || len(o.SHA256) != 32 || string(o.IV) != "iv" || o.Duration != 3.5 || o.Rendition != "480p" {
			t.Errorf("%+v", o)
		}
	})
}
