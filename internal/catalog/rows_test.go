package catalog_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Whatever is put into a row comes out again, in UTC and to the microsecond.
func TestRoundTrip(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		far := time.FixedZone("far", 5*3600+1800)
		at := func(hour int) time.Time { return time.Date(2031, 2, 3, hour, 4, 5, 678901234, far) }
		v := catalog.Video{
			ID: video.NewID(), Owner: "aa", Sealed: []byte{0, 255}, Visibility: "unlisted", AllowDownload: true, KeepDraft: true, Review: true,
			Stage: video.Draft, Decisions: []video.Command{video.Approve},
			PublishAt: at(1), CreatedAt: at(2), PublishedAt: at(3), HiddenAt: at(4), PurgeAt: at(5), CancelAskedAt: at(6), CancelKeeps: true,
			WaitingFor: "w", Overdue: true, Media: []byte(`{}`), Renditions: []byte(`[]`), Warnings: []string{"a", "b"},
			Failure: &video.Rejection{Code: "damaged", Message: "m"}, Unit: "segments", Done: 1, Total: 1 << 40,
		}
		u := newUpload(v.ID, 7)
		u.ExpectedSHA256, u.Sealed, u.HashState = []byte("e"), []byte("s"), []byte("h")
		must(t, b.CreateVideo(t.Context(), v, u))

		v.Revision = 1
		for _, moment := range []*time.Time{&v.PublishAt, &v.CreatedAt, &v.PublishedAt, &v.HiddenAt, &v.PurgeAt, &v.CancelAskedAt} {
			*moment = moment.UTC().Truncate(time.Microsecond)
		}
		if got := b.video(t, v.ID); !reflect.DeepEqual(got, v) {
			t.Errorf("got  %+v\nwant %+v", got, v)
		}
		got, err := b.UploadOf(t.Context(), v.ID)
		must(t, err)
		if age := time.Since(got.LastByteAt); age < -time.Second || age > time.Minute || !got.ExpiresAt.After(got.LastByteAt) {
			t.Errorf("last byte %v ago, expires at %v", age, got.ExpiresAt)
		}
		u.Stage, u.Ending, u.LastByteAt, u.ExpiresAt = v.Stage, video.ByDeletion, got.LastByteAt, got.ExpiresAt // it is hidden
		if !reflect.DeepEqual(got, u) {
			t.Errorf("got  %+v\nwant %+v", got, u)
		}
	})
}

func TestManifest(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		poster := catalog.Object{Store: "backup", Key: "p", Kind: catalog.KindPoster}
		o, err := b.Intend(ctx, leg, []catalog.Object{poster, piece(1), piece(0)})
		must(t, err)
		done := written(o[1], "one")
		done.IV, done.Duration = []byte("iv"), 9.96
		must(t, b.Commit(ctx, leg, done))
		done.State = catalog.ObjectStored

		all, err := b.Objects(ctx, leg.Video, catalog.Filter{})
		must(t, err)
		if want := []catalog.Object{o[2], done, o[0]}; !reflect.DeepEqual(all, want) {
			t.Errorf("got  %+v\nwant %+v", all, want)
		}
		for f, want := range map[catalog.Filter]int{
			{Stored: true}: 1, {Store: "backup"}: 1, {Kind: catalog.KindPiece}: 2, {Rendition: "480p", Stored: true}: 1, {Kind: catalog.KindAudio}: 0,
		} {
			if some, err := b.Objects(ctx, leg.Video, f); err != nil || len(some) != want {
				t.Errorf("%+v: %d objects, %v; want %d", f, len(some), err, want)
			}
		}
		held, err := b.Holdings(ctx, leg.Video)
		must(t, err)
		if want := (catalog.Holding{Store: done.Store, Objects: 1, Bytes: done.Size}); len(held) != 1 || held[done.Store] != want || want.Bytes == 0 {
			t.Errorf("%+v are held, want %+v", held, want)
		}
		many := make([]catalog.Object, 501) // more than one statement takes
		for i := range many {
			many[i] = piece(i + 2)
		}
		many, err = b.Intend(ctx, leg, many)
		must(t, err)
		ids := make([]int64, len(many))
		for i := range many {
			ids[i] = many[i].ID
		}
		must(t, b.Drop(ctx, leg, ids))
		if left, err := b.Objects(ctx, leg.Video, catalog.Filter{}); err != nil || len(left) != 3 {
			t.Errorf("%d left, %v", len(left), err)
		}
	})
}

func TestCreateVideo(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id, erased := t.Context(), video.NewID(), video.NewID()
		u := newUpload(id, 1)
		u.TokenHash = []byte("the token that nobody may read")
		must(t, b.CreateVideo(ctx, newVideo(id), u))
		refused(t, "again", b.CreateVideo(ctx, newVideo(id), newUpload(id, 1)), video.Conflict)

		other := video.NewID()
		same := newUpload(other, 1)
		same.TokenHash = u.TokenHash
		err := b.CreateVideo(ctx, newVideo(other), same)
		refused(t, "a token twice", err, video.Conflict)
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "token that") || strings.Contains(text, "746f6b656e") {
			t.Errorf("the error quotes the row: %s", text)
		}
		_, err = b.Video(ctx, other)
		refused(t, "half of a video", err, video.NotFound)
		refused(t, "an upload of another", b.CreateVideo(ctx, newVideo(other), newUpload(id, 1)), video.Invalid)

		must(t, b.RecordLedger(ctx, catalog.Ledger{VideoSHA256: erased.Hash()}))
		refused(t, "an erased id", b.CreateVideo(ctx, newVideo(erased), newUpload(erased, 1)), video.Gone)
		_, err = b.Video(ctx, erased)
		refused(t, "reading an erased id", err, video.Gone)
		_, err = b.UploadOf(ctx, erased)
		refused(t, "its upload", err, video.Gone)
	})
}

// Pages stay right while videos come and go, also when many are of the same instant.
func TestRevisions(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ids := []video.ID{b.upload(t, 1), b.upload(t, 1), video.NewID()}
		b.upload(t, 1) // nobody asks for this one
		must(t, b.MarkStalled(t.Context(), ids[1], true))
		want := map[video.ID]int64{ids[0]: b.video(t, ids[0]).Revision, ids[1]: b.video(t, ids[0]).Revision + 1}
		got, err := b.Revisions(t.Context(), ids)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if got, err := b.Revisions(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("of none: %v, %v", got, err)
		}
		many := make([]video.ID, 2500)
		for i := range many {
			many[i] = video.ID(fmt.Sprint(i))
		}
		got, err = b.Revisions(t.Context(), append(many, ids...))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("among many: %v, %v; want %v", got, err, want)
		}
	})
}

func TestPages(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, now := t.Context(), time.Now()
		add := func(at time.Time) video.ID {
			v := newVideo(video.NewID())
			v.CreatedAt = at
			must(t, b.CreateVideo(ctx, v, newUpload(v.ID, 1)))
			return v.ID
		}
		want := map[video.ID]bool{}
		for i := range 23 {
			want[add(now.Add(-time.Duration(i/8)*time.Second))] = true
		}
		var seen []catalog.Video
		for cursor, page := "", []catalog.Video(nil); ; {
			var err error
			page, cursor, err = b.Videos(ctx, catalog.Query{Owner: "owner", Cursor: cursor, Limit: 5})
			must(t, err)
			seen = append(seen, page...)
			if cursor == "" {
				break
			}
			add(time.Now().Add(time.Minute)) // newer than the first page
			last := page[len(page)-1].ID     // the place that the cursor names goes away
			b.control(t, catalog.Control{Video: last, Ending: video.ByDeletion})
			must(t, b.Forget(ctx, last, video.Receipt{VideoSHA256: last.Hash()}))
		}
		for i, v := range seen {
			if !want[v.ID] {
				t.Errorf("%s is shown twice, or is new", v.ID)
			}
			delete(want, v.ID)
			if i > 0 && v.CreatedAt.After(seen[i-1].CreatedAt) {
				t.Errorf("%d is newer than the one before", i)
			}
		}
		if len(want) != 0 {
			t.Errorf("%d never came", len(want))
		}
		for _, cursor := range []string{"%", "aGVsbG8", "MTIzIHg"} {
			_, _, err := b.Videos(ctx, catalog.Query{Cursor: cursor})
			refused(t, cursor, err, video.Invalid)
		}
	})
}

func TestQueries(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		var ids []video.ID
		for i, v := range []catalog.Video{
			{Owner: "a", Stage: video.Published, Visibility: "public"},
			{Owner: "a", Stage: video.Published, Visibility: "private"},
			{Owner: "b", Stage: video.Draft, Visibility: "public"},
		} {
			v.ID, v.CreatedAt = video.NewID(), time.Unix(int64(1000-i), 0)
			must(t, b.CreateVideo(t.Context(), v, newUpload(v.ID, 1)))
			ids = append(ids, v.ID)
		}
		for name, c := range map[string]struct {
			q    catalog.Query
			want []video.ID
		}{
			"all":    {catalog.Query{}, ids},
			"owner":  {catalog.Query{Owner: "a"}, ids[:2]},
			"stage":  {catalog.Query{Stages: []video.Stage{video.Draft, video.Canceled}}, ids[2:]},
			"public": {catalog.Query{PublicOnly: true}, ids[:1]},
			"none":   {catalog.Query{Owner: "b", PublicOnly: true}, nil},
		} {
			page, next, err := b.Videos(t.Context(), c.q)
			must(t, err)
			var got []video.ID
			for _, v := range page {
				got = append(got, v.ID)
			}
			if !slices.Equal(got, c.want) || next != "" {
				t.Errorf("%s: %v, next %q; want %v", name, got, next, c.want)
			}
		}

		var all []video.ID
		for after := video.ID(""); ; {
			page, err := b.All(t.Context(), after, 2)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, v := range page {
				after = v.ID
				all = append(all, v.ID)
			}
		}
		slices.Sort(ids)
		if !slices.Equal(all, ids) {
			t.Errorf("the audit saw %v, want %v", all, ids)
		}
	})
}
