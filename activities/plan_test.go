package activities

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// found is what the row keeps of the probe.
func (r *rig) found() findings {
	r.t.Helper()
	v, err := r.Catalog.Video(r.ctx, r.id)
	r.must(err)
	f, there, err := findingsIn(v)
	if err != nil || !there {
		r.t.Fatalf("no findings: %v", err)
	}
	return f
}

// primary is what the manifest has of the primary.
func (r *rig) primary(kinds ...string) []catalog.Object {
	r.t.Helper()
	all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{Store: "primary", Stored: true})
	r.must(err)
	return ofKind(all, kinds...)
}

// lose takes objects out of the manifest.
func (r *rig) lose(epoch int64, some ...catalog.Object) {
	r.t.Helper()
	leg := fence(r.leg(epoch))
	r.must(r.Catalog.Enter(r.ctx, leg, nil))
	for _, o := range some {
		r.must(r.Catalog.BeginDrop(r.ctx, leg, []int64{o.ID}))
		r.must(r.Catalog.Drop(r.ctx, leg, []int64{o.ID}))
	}
}

// sealed takes a small clip to where it can be probed.
func (r *rig) sealed() {
	r.t.Helper()
	r.uploaded(smallClip(r.t), 100_000)
	_, err := r.SealUpload(r.ctx, r.leg(1))
	r.must(err)
}

// encoded makes all that Package needs, in leg 3.
func (r *rig) encoded() {
	r.t.Helper()
	for n := range r.found().Pieces {
		_, err := r.EncodePiece(r.ctx, workflows.PieceInput{Leg: r.leg(3), Piece: n})
		r.must(err)
	}
	_, err := r.EncodeAudio(r.ctx, r.leg(3))
	r.must(err)
}

// The work follows the plan that the probe has left, not the one that this release
// would make: here one of shorter pieces, and of one rendition more.
func TestThePlanThatWasKeptIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	other := r.found()
	if len(other.Pieces) != 2 || len(other.Ladder) != 1 || other.Threads != r.Media.Threads {
		t.Fatalf("planned %+v", other)
	}
	other.Pieces = media.Pieces(other.Info, 2*time.Second)
	other.Ladder = append(other.Ladder, video.Rendition{Name: "32p", Width: 32, Height: 48, Bitrate: 200_000})
	other.Threads = 1
	facts, err := json.Marshal(other)
	r.must(err)
	r.must(r.Catalog.Project(r.ctx, fence(r.leg(2)), func(v *catalog.Video) { v.Media = facts }))

	r.encoded()
	if n := len(r.primary(catalog.KindPiece)); len(other.Pieces) < 4 || n != 2*len(other.Pieces) {
		t.Errorf("%d pieces were made of %d in two renditions", n, len(other.Pieces))
	}
	probed, err := r.Probe(r.ctx, r.leg(4)) // once more, when work has begun
	if want := (video.Plan{Pieces: len(other.Pieces), Renditions: 2, Audio: true}); err != nil || probed.Plan != want {
		t.Errorf("probed again: %+v, %v; want %+v", probed, err, want)
	}
	_, err = r.Package(r.ctx, r.leg(5))
	r.must(err)
	d := &disturbed{rig: r}
	for _, rendition := range other.Ladder {
		if n := d.frames(r.primary(catalog.KindSegment), rendition.Name); n != other.Info.Frames {
			t.Errorf("%s has %d of %d frames", rendition.Name, n, other.Info.Frames)
		}
	}
	packaged := r.found()
	_, err = r.Probe(r.ctx, r.leg(6))
	r.must(err)
	if again := r.found(); again.Previews == nil || *again.Previews != *packaged.Previews || again.Segments["32p"] == 0 || again.Segments["32p"] != packaged.Segments["32p"] {
		t.Errorf("after another probe: %+v, before %+v", again, packaged)
	}
}

// Of two attempts at a probe, by workers of two releases, one plan stays, and both
// tell the workflow of that one.
func TestOnePlanOfTwoAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	other := r.found()
	other.Pieces = append(other.Pieces, media.Piece{})
	facts, err := json.Marshal(other)
	r.must(err)
	r.must(r.Catalog.Project(r.ctx, fence(r.leg(2)), func(v *catalog.Video) { v.Media = facts }))
	late, err := r.Probe(r.ctx, r.leg(2))
	if err != nil || late.Plan.Pieces != len(other.Pieces) || len(r.found().Pieces) != len(other.Pieces) {
		t.Errorf("the late one says %+v, %v", late, err)
	}
	// Nothing was made by it, so another leg may plan anew.
	anew, err := r.Probe(r.ctx, r.leg(3))
	if err != nil || anew.Plan.Pieces != len(other.Pieces)-1 || len(r.found().Pieces) != anew.Plan.Pieces {
		t.Errorf("another leg says %+v, %v", anew, err)
	}
}

// A video with sound is not packaged without it, nor with a piece missing; nothing is
// dropped then, and with what was missing the work goes on.
func TestNothingIsPackagedWithoutAPart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{catalog.KindAudio, catalog.KindPiece} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			r.sealed()
			_, err := r.Probe(r.ctx, r.leg(2))
			r.must(err)
			r.encoded()
			r.lose(3, r.primary(kind)[0])
			left := len(r.primary(catalog.KindAudio, catalog.KindPiece))
			if _, err := r.Package(r.ctx, r.leg(4)); !is(err, video.Internal) {
				t.Errorf("packaged: %v", err)
			}
			if v, err := r.Catalog.Video(r.ctx, r.id); err != nil || len(v.Renditions) > 0 || len(r.primary(catalog.KindAudio, catalog.KindPiece)) != left {
				t.Errorf("renditions %s, %v, %d parts", v.Renditions, err, len(r.primary(catalog.KindAudio, catalog.KindPiece)))
			}
		})
	}
}

// What an attempt left with a hole, while the pieces are still there, is made anew.
func TestAPackageWithAHoleIsMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	r.encoded()
	r.must(r.Catalog.Enter(r.ctx, fence(r.leg(4)), nil))
	j, err := r.job(r.ctx, fence(r.leg(4)))
	r.must(err)
	r.must(r.makePackage(r.ctx, j)) // and then it dies
	r.lose(4, r.primary(catalog.KindSegment)[1])
	_, err = r.Package(r.ctx, r.leg(5))
	r.must(err)
	r.must(r.found().mustHaveAll(r.primary(catalog.KindSegment, catalog.KindPoster, catalog.KindPreview)))
}

// whole takes a small clip to the moment before its publication, in legs up to 5.
func (r *rig) whole() {
	r.t.Helper()
	r.sealed()
	_, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	r.encoded()
	_, err = r.Package(r.ctx, r.leg(4))
	r.must(err)
	for _, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(5), Store: store}))
	}
}

// Where anything is missing nothing is published: a row, an object, or a copy.
func TestNothingIsPublishedWithAHole(t *testing.T) {
	segment := func(r *rig) catalog.Object { return r.primary(catalog.KindSegment)[1] }
	copyOf := func(r *rig, o catalog.Object) catalog.Object {
		all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{Store: "backup-b", Stored: true})
		r.must(err)
		for _, c := range all {
			if c.Key == o.Key {
				return c
			}
		}
		r.t.Fatal("no copy")
		return o
	}
	for name, c := range map[string]struct {
		harm  func(r *rig)
		place string
	}{
		"a segment's row":         {func(r *rig) { r.lose(6, segment(r)) }, ""},
		"all segments' rows":      {func(r *rig) { r.lose(6, r.primary(catalog.KindSegment)...) }, ""},
		"the poster's row":        {func(r *rig) { r.lose(6, r.primary(catalog.KindPoster)...) }, ""},
		"the previews' row":       {func(r *rig) { r.lose(6, r.primary(catalog.KindPreview)...) }, ""},
		"a segment in the store":  {func(r *rig) { r.must(r.Stores.Primary.Delete(r.ctx, segment(r).Key, segment(r).Version)) }, "primary"},
		"a segment in one backup": {func(r *rig) { r.lose(6, copyOf(r, segment(r))) }, "backup-b"},
		"the source in a backup":  {func(r *rig) { r.lose(6, copyOf(r, r.primary(catalog.KindSource)[0])) }, "backup-b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.whole()
			c.harm(r)
			err := r.publish(7)
			if !is(err, video.Internal) || video.PlaceOf(err) != c.place {
				t.Errorf("published: %v of %q, want one of %q", err, video.PlaceOf(err), c.place)
			}
			if v, err := r.Catalog.Video(r.ctx, r.id); err != nil || v.Stage == video.Published || !v.PublishedAt.IsZero() {
				t.Errorf("the row says %+v, %v", v, err)
			}
		})
	}
}

// With all of it there the video is published, and a copier that was thought dead and
// showed something else of its store is put right.
func TestPublishShowsWhatIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.whole()
	verified := r.replica("backup-a").VerifiedAt
	late := catalog.Replica{Store: "backup-a", State: catalog.ReplicaUnreachable, VerifiedAt: verified}
	r.must(r.Catalog.SetReplica(r.ctx, fence(r.leg(5)), late))
	r.must(r.publish(6))
	n := len(r.primary(catalog.KindSource, catalog.KindSegment, catalog.KindPoster, catalog.KindPreview, catalog.KindFacts))
	for _, store := range []string{"primary", "backup-a", "backup-b"} {
		if found := r.replica(store); found.State != catalog.ReplicaComplete || found.Objects != n || found.VerifiedAt.IsZero() {
			t.Errorf("%s is shown as %+v, with %d objects in the manifest", store, found, n)
		}
	}
}

// A replica is verified when a listing has shown that it has everything, not before.
func TestVerifiedIsWhatWasListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}))
	if found := r.replica("backup-a"); found.State != catalog.ReplicaBehind || !found.VerifiedAt.IsZero() {
		t.Errorf("of an upload that still comes: %+v", found)
	}
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(2), Whole: true}))
	if found := r.replica("backup-a"); found.State != catalog.ReplicaComplete || time.Since(found.VerifiedAt) > time.Minute {
		t.Errorf("of a whole one: %+v", found)
	}
	lost := r.primary(catalog.KindSource)[0]
	r.must(r.Stores.Backups[1].Delete(r.ctx, lost.Key, r.versionOf("backup-b", lost.Key)))
	err := r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(3), Store: "backup-b"})
	if found := r.replica("backup-b"); !is(err, video.Internal) || video.PlaceOf(err) != "backup-b" || found.State == catalog.ReplicaComplete || !found.VerifiedAt.IsZero() {
		t.Errorf("of one that has lost something: %v of %q, %+v", err, video.PlaceOf(err), found)
	}
}

func (r *rig) versionOf(store, key string) string {
	r.t.Helper()
	all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{Store: store})
	r.must(err)
	for _, o := range all {
		if o.Key == key {
			return o.Version
		}
	}
	r.t.Fatalf("%s has no %s", store, key)
	return ""
}

// rotten is a store that gives back other bytes than were put.
type rotten struct{ objects.Store }

func (s rotten) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, key, version)
	if err != nil {
		return nil, err
	}
	noise := rand.NewChaCha8([32]byte{1})
	return io.NopCloser(io.LimitReader(noise, info.Size)), nil
}

// short is a store whose objects have lost their end.
type short struct{ objects.Store }

func (s short) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	return s.Store.Get(ctx, key, version, off, 10)
}

// A copy that fails because of the primary says so, and doesn't call the backup down.
func TestACopyFailsWhereTheFaultIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm        func(r *rig)
		code        video.Code
		place, says string
		shown       string
	}{
		"the primary is down": {func(r *rig) {
			r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(objectstest.Op, string) error {
				return video.Errorf(video.Unavailable, "The store is down.").At("primary")
			})
		}, video.Unavailable, "primary", "down", catalog.ReplicaCopying},
		"the backup is down": {func(r *rig) {
			r.Stores.Backups[1] = objectstest.Faulty(r.Stores.Backups[1], down)
		}, video.Unavailable, "backup-b", "down", catalog.ReplicaUnreachable},
		"an object is corrupt":       {func(r *rig) { r.Stores.Primary = rotten{r.Stores.Primary} }, video.Internal, "primary", "not what was stored", catalog.ReplicaCopying},
		"an object has lost its end": {func(r *rig) { r.Stores.Primary = short{r.Stores.Primary} }, video.Internal, "primary", "not what was stored", catalog.ReplicaCopying},
		"an object is gone": {func(r *rig) {
			o := r.primary(catalog.KindSource)[0]
			r.must(r.Stores.Primary.Delete(r.ctx, o.Key, o.Version))
		}, video.Internal, "primary", "lacks", catalog.ReplicaCopying},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.uploaded(clip(t), 8<<20)
			c.harm(r)
			err := r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: "backup-b"})
			if !is(err, c.code) || video.PlaceOf(err) != c.place || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v of %q, want %s of %q", err, video.PlaceOf(err), c.code, c.place)
			}
			if found := r.replica("backup-b"); found.State != c.shown {
				t.Errorf("the backup is shown as %+v", found)
			}
		})
	}
}

// A purge that is done twice counts once.
func TestPurgesAreCountedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	r.must(r.DestroyKey(r.ctx, r.destroy(1, false)))
	for n, store := range []string{"primary", "primary", "backup-a"} {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(1), Store: store}))
		v, err := r.Catalog.Video(r.ctx, r.id)
		r.must(err)
		if want := []int64{1, 1, 2}[n]; v.Done != want || v.Total != 3 {
			t.Errorf("after %d purges: %d of %d, want %d", n+1, v.Done, v.Total, want)
		}
	}
}

// stopping is a store whose caller is told to stop just when a put has been done.
type stopping struct {
	objects.Store
	stop func()
}

func (s stopping) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	version, err := s.Store.Put(ctx, key, body, o)
	s.stop()
	return version, err
}

// Work that is told to stop when an object lies in the store settles whether it
// counts: it is in the manifest, or it is gone.
func TestWhatWasPutIsSettledInACancel(t *testing.T) {
	t.Parallel()
	for name, fenced := range map[string]bool{"the worker stops": false, "a pause": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.sealed()
			_, err := r.Probe(r.ctx, r.leg(2))
			r.must(err)
			before := r.inventory(r.Stores.Primary)
			ctx, cancel := context.WithCancel(r.ctx)
			r.Stores.Primary = stopping{r.Stores.Primary, func() {
				if fenced {
					_, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(4), State: video.State{Stage: video.Processing, Paused: true}})
					r.must(err)
				}
				cancel()
			}}
			if _, err := r.EncodeAudio(ctx, r.leg(3)); err == nil && fenced {
				t.Error("in a pause the sound was encoded")
			}
			kept := map[bool]int{false: 1, true: 0}[fenced]
			if after := r.inventory(r.Stores.Primary); after.Objects != before.Objects+kept || len(r.primary(catalog.KindAudio)) != kept {
				t.Errorf("the store went from %+v to %+v, the manifest has %d", before, after, len(r.primary(catalog.KindAudio)))
			}
		})
	}
}
