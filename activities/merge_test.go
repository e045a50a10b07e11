package activities

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

func noise(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// sent reads the upload as a job of the media role does.
func (r *rig) sent() []byte {
	r.t.Helper()
	open, err := r.source(r.ctx, r.id)
	r.must(err)
	src, err := open(r.ctx)
	r.must(err)
	defer src.Close()
	data, err := io.ReadAll(src)
	r.must(err)
	return data
}

// accounted checks that every store has what the manifest says, and nothing else.
func (r *rig) accounted() {
	r.t.Helper()
	all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{})
	r.must(err)
	for _, store := range r.Stores.All() {
		rows := ofStore(all, store.Name())
		for _, o := range rows {
			if o.State != catalog.ObjectStored {
				r.t.Errorf("%s: %s at %d is %s", store.Name(), o.Kind, o.Offset, o.State)
			}
		}
		if there := r.inventory(store); there.Objects != len(rows) || there.DeleteMarkers != 0 || there.Versions > len(rows) {
			r.t.Errorf("%s has %+v, the manifest %d objects", store.Name(), there, len(rows))
		}
		if _, _, err := r.listed(r.ctx, r.id, store); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) sealing(epoch int64) workflows.Sealed {
	r.t.Helper()
	sealed, err := r.SealUpload(r.ctx, r.leg(epoch))
	r.must(err)
	return sealed
}

// An upload of a hundred short segments becomes one of two, whatever the backups had of it by
// then and whether they are up, and is the same to the byte.
func TestShortSegmentsAreMerged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Stores.Backups[0] = objectstest.NewMemoryUnversioned("backup-a")
	up, down := r.Stores.Backups[1], true
	r.Stores.Backups[1] = objectstest.Faulty(up, func(op objectstest.Op, key string) error {
		if down && op == objectstest.Delete {
			return video.Errorf(video.Unavailable, "down").At(up.Name())
		}
		return nil
	})
	file := noise(10_000_000)
	r.uploaded(file, 100_000)
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}))
	if sealed := r.sealing(2); !sealed.ShortSegments || sealed.Segments != 100 || sealed.Bytes != 10_000_000 || sealed.Rejected != nil {
		t.Fatalf("sealed as %+v", sealed)
	}
	r.must(r.MergeUpload(r.ctx, r.leg(2)))
	segments, err := r.sourceSegments(r.ctx, r.id)
	r.must(err)
	for i, s := range segments {
		if s.PlainSize > manifest.SegmentSize || i < len(segments)-1 && s.PlainSize < 8_000_000 {
			t.Errorf("a segment of %d bytes", s.PlainSize)
		}
	}
	if there := r.inventory(r.Stores.Primary); len(segments) != 2 || there.Objects != 2 || there.Versions != 2 {
		t.Errorf("%d segments, %+v", len(segments), there)
	}
	if there := r.inventory(r.Stores.Backups[0]); !there.Empty() {
		t.Errorf("the backup that is up has %+v", there)
	}
	if there := r.inventory(up); there.Objects != 100 {
		t.Errorf("the backup that is down has %+v", there)
	}
	if !bytes.Equal(r.sent(), file) {
		t.Error("the upload is not what was sent")
	}
	if sealed := r.sealing(3); sealed.ShortSegments || sealed.Segments != 2 || sealed.Bytes != 10_000_000 || sealed.Rejected != nil {
		t.Errorf("sealed again as %+v", sealed)
	}
	down = false
	for _, store := range r.backups() {
		r.must(r.CopyReplica(r.ctx, workflows.StoreInput{Leg: r.leg(4), Store: store}))
	}
	r.accounted()
}

// As long as the upload isn't finished a gateway may be writing: nothing is merged.
func TestAnUnfinishedUploadIsNotMerged(t *testing.T) {
	r := newRig(t)
	if err := r.MergeUpload(r.ctx, r.leg(1)); !is(err, video.Unavailable) {
		t.Errorf("merged with %v", err)
	}
}

// What fits into a segment is merged, whole ones stay as they are, and few are not worth it.
func TestWhatIsMerged(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		sizes, want []int64
		needed      bool
	}{
		"one":             {[]int64{5}, []int64{5}, false},
		"whole ones":      {[]int64{8 * mib, 8 * mib, 3}, []int64{8 * mib, 8 * mib, 3}, false},
		"exactly one":     {[]int64{4 * mib, 4*mib - 1, 1, 1}, []int64{8 * mib, 1}, false},
		"between":         {[]int64{1, 1, 8 * mib, 1, 1, 1, 5 * mib, 5 * mib}, []int64{2, 8 * mib, 5*mib + 3, 5 * mib}, false},
		"of an odd phone": {repeated(2*mib, 30), append(repeated(8*mib, 7), 4*mib), false},
		"many":            {repeated(2*mib, 144), repeated(8*mib, 36), true},
		"bytes":           {repeated(1, 19), []int64{19}, true},
		"few bytes":       {repeated(1, 18), []int64{18}, false},
	} {
		var segments, merged []catalog.Object
		end := int64(0)
		for _, size := range c.sizes {
			segments = append(segments, catalog.Object{State: catalog.ObjectStored, Offset: end, PlainSize: size})
			end += size
		}
		covered := map[int64]int64{} // by where it begins
		for _, run := range mergeable(segments) {
			for _, o := range run {
				covered[run[0].Offset] += o.PlainSize
			}
		}
		for at := int64(0); at < end; {
			size, run := covered[at]
			for _, o := range segments {
				if o.Offset == at && !run {
					size = o.PlainSize
				}
			}
			merged = append(merged, catalog.Object{Offset: at, PlainSize: size})
			at += size
		}
		var got []int64
		for _, o := range merged {
			got = append(got, o.PlainSize)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || needMerge(segments, segments) != c.needed {
			t.Errorf("%s: %v, want %v; needed %t", name, got, c.want, !c.needed)
		}
	}
}

func repeated(size int64, n int) (sizes []int64) {
	for range n {
		sizes = append(sizes, size)
	}
	return sizes
}

// scattered makes the rig's video one of which two merges are made, of three segments before
// and of two behind a whole one; the backup has what the primary has, and a gateway that
// died has left something, too.
func (r *rig) scattered(file []byte) {
	r.t.Helper()
	r.announced(nil)
	r.uploadedIn(file, []int64{1000, 1000, 1000, manifest.SegmentSize, 1000, 1000})
	r.must(r.CopyAhead(r.ctx, workflows.CopyInput{Leg: r.leg(1)}))
	left := catalog.Object{Store: "primary", Kind: catalog.KindSource, Key: manifest.NewKey(r.id, "source/000000000007", ""), Offset: 7}
	_, err := r.Catalog.Intend(r.ctx, catalog.Leg{Video: r.id, Epoch: 1}, []catalog.Object{left})
	r.must(err)
	_, err = r.Stores.Primary.Put(r.ctx, left.Key, []byte("of a gateway that died"), objects.PutOptions{})
	r.must(err)
}

func (r *rig) merging(ctx context.Context) error { return r.MergeUpload(ctx, r.leg(2)) }

// Wherever merging is stopped, dead or only frozen until a later attempt is through, the upload
// is whole at that moment, and in the end nothing is left but what counts.
func TestMergingStopsAnywhere(t *testing.T) {
	t.Parallel()
	file := noise(manifest.SegmentSize + 5000)
	r := newDisturbed(t, 3, nil).rig
	r.Stores.Backups = r.Stores.Backups[:1]
	r.scattered(file)
	calm := newAttempt(t.Context(), 0)
	calm.run(r.merging)
	r.must(calm.err)
	const swap = 4        // the write with which the first merged segment counts
	if calm.writes < 20 { // three each for two merges, and the deletions
		t.Fatalf("%d writes", calm.writes)
	}
	for n := 1; n <= calm.writes; n++ {
		if testing.Short() && n%swap != 0 {
			continue
		}
		r.stopped(file, n, true, n > swap)
		if n <= 2*swap || n == calm.writes {
			r.stopped(file, n, false, n > swap)
		}
	}
}

// stopped stops an attempt before its n-th write, and lets another one through; begun says that
// something was merged by then.
func (r *rig) stopped(file []byte, n int, dies, begun bool) {
	r.scattered(file)
	first := newAttempt(r.ctx, n)
	go first.run(r.merging)
	first.until()
	if dies && first.finish(true) == nil {
		r.t.Errorf("before write %d: the attempt that died succeeded", n)
	}
	if !bytes.Equal(r.sent(), file) {
		r.t.Errorf("before write %d: the upload is not what was sent", n)
	}
	if r.sealing(2).ShortSegments != begun {
		r.t.Errorf("before write %d: begun %t, and the seal says the opposite", n, begun)
	}
	r.must(r.merging(r.ctx))
	if !dies {
		if err := first.finish(false); n > 1 && !is(err, video.Conflict) {
			r.t.Errorf("before write %d: the earlier attempt ends with %v", n, err)
		}
	}
	if !bytes.Equal(r.sent(), file) {
		r.t.Errorf("before write %d: the merged upload is not what was sent", n)
	}
	if sealed := r.sealing(3); sealed.Segments != 3 || sealed.ShortSegments {
		r.t.Errorf("before write %d: sealed as %+v", n, sealed)
	}
	r.accounted()
}
