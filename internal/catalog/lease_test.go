package catalog_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

func TestLeaseIsExclusiveUntilItExpires(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 10)
		first := b.lease(t, id, "one", time.Minute)
		for _, holder := range []string{"one", "two"} {
			if _, ok, err := b.Acquire(ctx, id, holder, time.Minute); ok || err != nil {
				t.Fatalf("%s took a lease that is held: %v, %v", holder, ok, err)
			}
		}
		if held, err := b.Leased(ctx, id); !held || err != nil {
			t.Errorf("leased: %v, %v", held, err)
		}
		o, err := b.IntendSegment(ctx, first, catalog.Object{Store: "primary", Key: "a"})
		must(t, err)

		b.expire(t, id)
		if held, err := b.Leased(ctx, id); held || err != nil {
			t.Errorf("leased after it expired: %v, %v", held, err)
		}
		must(t, b.Want(ctx, id))
		second := b.lease(t, id, "two", time.Minute)
		if u, err := b.UploadOf(ctx, id); err != nil || u.Wanted {
			t.Errorf("the new holder is asked to let go: %v, %v", u.Wanted, err)
		}
		if second.Epoch <= first.Epoch {
			t.Errorf("epoch %d after %d", second.Epoch, first.Epoch)
		}

		// The first gateway was only frozen.
		refused(t, "late commit", b.CommitSegment(ctx, first, written(o, "abc"), nil), video.Conflict)
		_, err = b.IntendSegment(ctx, first, catalog.Object{Store: "primary", Key: "b"})
		refused(t, "late intent", err, video.Conflict)
		refused(t, "late length", b.DeclareLength(ctx, first, 11), video.Conflict)
		must(t, b.Unlease(ctx, id, "one", first.Epoch))
		if held, err := b.Beat(ctx, "one", time.Minute); err != nil || len(held) != 0 {
			t.Errorf("the first still holds %v, %v", held, err)
		}
		if held, err := b.Leased(ctx, id); !held || err != nil {
			t.Errorf("giving back a lost lease took the new one: %v, %v", held, err)
		}
		must(t, b.Unlease(ctx, id, "two", second.Epoch))
		refused(t, "commit without a lease", b.CommitSegment(ctx, second, written(o, "abc"), nil), video.Conflict)
		third := b.lease(t, id, "one", time.Minute)
		refused(t, "what an earlier lease announced", b.CommitSegment(ctx, third, written(o, "abc"), nil), video.Conflict)
		refused(t, "nobody's lease", b.DeclareLength(ctx, catalog.Lease{Video: b.upload(t, -1)}, 3), video.Conflict)
	})
}

func TestBeat(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		wanted, paused, plain := b.upload(t, 1), b.upload(t, 1), b.upload(t, 1)
		for _, id := range []video.ID{wanted, paused, plain} {
			b.lease(t, id, "me", time.Minute)
		}
		b.lease(t, b.upload(t, 1), "somebody else", time.Minute)
		must(t, b.Want(ctx, wanted))
		b.control(t, catalog.Control{Video: paused, Epoch: 1, Paused: true, Ending: video.ByCancellation, Draft: true})

		held, err := b.Beat(ctx, "me", time.Hour)
		must(t, err)
		want := []catalog.Held{
			{Video: wanted, LeaseEpoch: 1, Wanted: true},
			{Video: paused, LeaseEpoch: 1, Paused: true, Ending: video.ByCancellation, Draft: true},
			{Video: plain, LeaseEpoch: 1},
		}
		byID := func(a, b catalog.Held) int { return bytes.Compare([]byte(a.Video), []byte(b.Video)) }
		slices.SortFunc(held, byID)
		slices.SortFunc(want, byID)
		if !slices.Equal(held, want) {
			t.Errorf("got %+v\nwant %+v", held, want)
		}
		for id, renewed := range map[video.ID]bool{plain: true, wanted: true, paused: false} {
			u, err := b.UploadOf(ctx, id)
			if left := time.Until(u.LeaseUntil); err != nil || (left > 30*time.Minute) != renewed {
				t.Errorf("%v are left of the lease, %v; renewed: %v", left, err, renewed)
			}
		}

		// A new lease starts without the wish that ended the old one.
		must(t, b.Unlease(ctx, wanted, "me", 1))
		b.lease(t, wanted, "me", time.Minute)
		if u, err := b.UploadOf(ctx, wanted); err != nil || u.Wanted {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestAcquireIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		row  catalog.Control
		code video.Code
	}{
		"paused":   {catalog.Control{Paused: true}, video.Conflict},
		"draft":    {catalog.Control{Draft: true}, video.Conflict},
		"canceled": {catalog.Control{Ending: video.ByCancellation}, video.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bench) {
				id := b.upload(t, 3)
				lease := b.lease(t, id, "one", time.Nanosecond)
				o, err := b.IntendSegment(t.Context(), lease, catalog.Object{Store: "primary", Key: "a"})
				must(t, err)
				row := c.row
				row.Video, row.Epoch = id, 1
				b.control(t, row)
				_, _, err = b.Acquire(t.Context(), id, "two", time.Minute)
				refused(t, "acquire", err, c.code)
				_, err = b.IntendSegment(t.Context(), lease, catalog.Object{Store: "primary", Key: "b"})
				refused(t, "intend", err, c.code)
				refused(t, "commit", b.CommitSegment(t.Context(), lease, written(o, "abc"), nil), c.code)
				u, err := b.UploadOf(t.Context(), id)
				if err != nil || u.Offset != 0 || u.Paused != c.row.Paused || u.Ending != c.row.Ending || u.Draft != c.row.Draft {
					t.Errorf("%+v, %v", u, err)
				}
			})
		})
	}
}

// What has come to a gateway when a pause is written is stored as long as its
// lease lasts, and not a moment longer: a pause is answered when there is no lease
// left, and a gateway that was frozen must not get it back by waking up.
func TestPauseKeepsWhatHasCome(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 6)
		segment := func(lease catalog.Lease, offset int64) (catalog.Object, error) {
			o, err := b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "a", Offset: offset})
			return written(o, "ab"), err
		}
		lease := b.lease(t, id, "one", time.Minute)
		first, err := segment(lease, 0)
		must(t, err)
		b.control(t, catalog.Control{Video: id, Epoch: 1, Paused: true})
		must(t, b.CommitSegment(ctx, lease, first, nil))
		second, err := segment(lease, 2)
		must(t, err)
		must(t, b.CommitSegment(ctx, lease, second, nil))
		third, err := segment(lease, 4)
		must(t, err)
		refused(t, "the length while paused", b.DeclareLength(ctx, lease, 7), video.Conflict)
		if held, err := b.Beat(ctx, "one", time.Minute); err != nil || len(held) != 1 || !held[0].Paused {
			t.Errorf("the holder hears %+v, %v", held, err)
		}
		if held, err := b.Leased(ctx, id); !held || err != nil {
			t.Errorf("leased: %v, %v", held, err)
		}

		b.expire(t, id) // while the gateway is frozen; then it wakes up
		if held, err := b.Leased(ctx, id); held || err != nil {
			t.Errorf("leased after it expired: %v, %v", held, err)
		}
		if held, err := b.Beat(ctx, "one", time.Minute); err != nil || len(held) != 0 {
			t.Errorf("the holder hears %+v, %v", held, err)
		}
		refused(t, "commit", b.CommitSegment(ctx, lease, third, nil), video.Conflict)
		_, err = segment(lease, 4)
		refused(t, "intend", err, video.Conflict)
		if held, err := b.Leased(ctx, id); held || err != nil {
			t.Errorf("leased once more: %v, %v", held, err)
		}
		if u, err := b.UploadOf(ctx, id); err != nil || u.Offset != 4 {
			t.Errorf("the upload stands at %d, %v", u.Offset, err)
		}
		b.control(t, catalog.Control{Video: id, Epoch: 2})
		if held, err := b.Beat(ctx, "one", time.Minute); err != nil || len(held) != 0 {
			t.Errorf("an expired lease came back: %+v, %v", held, err)
		}
		b.lease(t, id, "two", time.Minute)
		refused(t, "commit after the resume", b.CommitSegment(ctx, lease, third, nil), video.Conflict)
	})
}

// A draft is more than a pause: what its cancel has overtaken is not stored.
func TestDraftKeepsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id := b.upload(t, 3)
		lease := b.lease(t, id, "one", time.Minute)
		o, err := b.IntendSegment(t.Context(), lease, catalog.Object{Store: "primary", Key: "a"})
		must(t, err)
		b.control(t, catalog.Control{Video: id, Epoch: 1, Paused: true, Draft: true})
		refused(t, "commit", b.CommitSegment(t.Context(), lease, written(o, "abc"), nil), video.Conflict)
	})
}

// Nobody says that an upload is let go while a commit of its holder is on its way.
func TestLeasedWaitsForTheCommit(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		commit, err := b.raw(t).BeginTx(ctx, nil)
		must(t, err)
		_, err = commit.Exec("UPDATE controls SET refused = refused WHERE video = '" + string(id) + "'") // as its lock does
		must(t, err)
		answer := make(chan error)
		go func() { _, err := b.Leased(ctx, id); answer <- err }()
		select {
		case err := <-answer:
			t.Errorf("answered meanwhile: %v", err)
			must(t, commit.Rollback())
		case <-time.After(100 * time.Millisecond):
			must(t, commit.Commit())
			must(t, <-answer)
		}
	})
}

func TestSegments(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, -1)
		lease := b.lease(t, id, "one", time.Minute)
		segment := func(offset int64, content string) catalog.Object {
			o, err := b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: content, Offset: offset})
			must(t, err)
			return written(o, content)
		}
		first, second := segment(0, "hello "), segment(6, "world")
		refused(t, "out of order", b.CommitSegment(ctx, lease, second, nil), video.Conflict)
		must(t, b.CommitSegment(ctx, lease, first, hashState(t, "hello ")))
		must(t, b.CommitSegment(ctx, lease, first, hashState(t, "hello "))) // its answer was lost
		sealed := []byte("the sealed SHA-256 of all")
		refused(t, "too early", b.FinishUpload(ctx, id, sealed), video.Conflict)

		refused(t, "a length below the offset", b.DeclareLength(ctx, lease, 5), video.Invalid)
		must(t, b.DeclareLength(ctx, lease, 11))
		must(t, b.DeclareLength(ctx, lease, 11))
		refused(t, "another length", b.DeclareLength(ctx, lease, 12), video.Conflict)
		refused(t, "beyond the length", b.CommitSegment(ctx, lease, segment(6, "world!"), nil), video.Conflict)

		must(t, b.CommitSegment(ctx, lease, second, hashState(t, "hello world")))
		plain := sha256.Sum256([]byte("hello world"))
		refused(t, "a plain hash", b.FinishUpload(ctx, id, plain[:]), video.Internal)
		must(t, b.FinishUpload(ctx, id, sealed))
		b.control(t, catalog.Control{Video: id, Epoch: 1, Paused: true})
		must(t, b.FinishUpload(ctx, id, []byte("sealed once more")))
		must(t, b.CommitSegment(ctx, lease, second, nil))

		u, err := b.UploadOf(ctx, id)
		must(t, err)
		if u.Offset != 11 || !bytes.Equal(u.SHA256, sealed) || u.FinishedAt.IsZero() {
			t.Errorf("%+v", u)
		}
		if left := time.Until(u.ExpiresAt); left < 59*time.Minute || left > time.Hour {
			t.Errorf("expires in %v", left)
		}
		if v := b.video(t, id); v.Done != 11 || v.Total != 11 || v.Unit != "bytes" {
			t.Errorf("shown: %d of %d %s", v.Done, v.Total, v.Unit)
		}
		byToken, err := b.UploadByToken(ctx, u.TokenHash)
		if err != nil || byToken.Video != id || byToken.Stage != video.Uploading || !byToken.Paused {
			t.Errorf("%+v, %v", byToken, err)
		}
		_, err = b.UploadByToken(ctx, []byte("unknown"))
		refused(t, "an unknown token", err, video.NotFound)
	})
}

// A gateway can die after the last byte and before it has told anybody.
func TestUnannounced(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		complete, paused := b.upload(t, 0), b.upload(t, 0)
		b.upload(t, 1)  // bytes are missing
		b.upload(t, -1) // nobody knows how many
		b.control(t, catalog.Control{Video: paused, Epoch: 1, Paused: true})
		expect := func(what string, want ...video.ID) {
			t.Helper()
			if ids, err := b.Unannounced(ctx, 10); err != nil || !slices.Equal(ids, want) {
				t.Errorf("%s: %v, %v; want %v", what, ids, err, want)
			}
		}
		expect("nobody is at it", complete)
		lease := b.lease(t, complete, "alive", time.Minute)
		expect("its gateway is at it")
		must(t, b.FinishUpload(ctx, complete, []byte("sealed")))
		expect("finished", complete)
		must(t, b.Unlease(ctx, complete, lease.Holder, lease.Epoch))
		must(t, b.MarkAnnounced(ctx, complete))
		must(t, b.MarkAnnounced(ctx, complete))
		expect("announced")
		_, _, err := b.Acquire(ctx, complete, "late", time.Minute)
		refused(t, "a finished upload", err, video.Conflict)
	})
}

func TestDescribe(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		must(t, b.Describe(ctx, id, []byte("first")))
		must(t, b.Describe(ctx, id, []byte("second")))
		if u, err := b.UploadOf(ctx, id); err != nil || string(u.Sealed) != "first" {
			t.Errorf("%q, %v", u.Sealed, err)
		}
		must(t, b.Describe(ctx, video.NewID(), []byte("of nothing")))
	})
}

func TestStalled(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 3)
		lease := b.lease(t, id, "one", time.Minute)
		o, err := b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "a"})
		must(t, err)
		before := b.video(t, id).Revision
		must(t, b.MarkStalled(ctx, id, true))
		must(t, b.MarkStalled(ctx, id, true))
		if u, err := b.UploadOf(ctx, id); err != nil || !u.Stalled || b.video(t, id).Revision != before+1 {
			t.Errorf("%+v, %v", u, err)
		}
		must(t, b.CommitSegment(ctx, lease, written(o, "abc"), nil))
		u, err := b.UploadOf(ctx, id)
		if must(t, err); u.Stalled {
			t.Errorf("%+v", u)
		}

		// Bytes that don't count yet have come all the same.
		must(t, b.MarkStalled(ctx, id, true))
		time.Sleep(2 * time.Millisecond)
		_, err = b.IntendSegment(ctx, lease, catalog.Object{Store: "primary", Key: "b", Offset: 3})
		must(t, err)
		if now, err := b.UploadOf(ctx, id); err != nil || now.Stalled || !now.LastByteAt.After(u.LastByteAt) || !now.ExpiresAt.After(u.ExpiresAt) || now.Offset != 3 {
			t.Errorf("%+v, before %+v, %v", now, u, err)
		}
	})
}
