package catalog_test

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// segments is an upload of so many bytes, stored in segments of one byte each, with a copy of
// each in a backup, and a leg that has begun.
func (b *bench) segments(t *testing.T, n int) catalog.Leg {
	t.Helper()
	ctx := t.Context()
	leg := catalog.Leg{Video: b.upload(t, int64(n)), Epoch: 1}
	epoch, ok, err := b.Acquire(ctx, leg.Video, "gateway", time.Minute)
	if must(t, err); !ok {
		t.Fatal("no lease")
	}
	lease := catalog.Lease{Video: leg.Video, Holder: "gateway", Epoch: epoch}
	must(t, b.Enter(ctx, leg, nil))
	for i := range n {
		o := source(i, "")
		intended, err := b.IntendSegment(ctx, lease, o)
		must(t, err)
		must(t, b.CommitSegment(ctx, lease, written(intended, "x"), nil))
		o.Store = "backup"
		must(t, b.Commit(ctx, leg, written(b.intended(t, leg, o), "x")))
	}
	return leg
}

// source is a segment of an upload as a worker announces it.
func source(offset int, content string) catalog.Object {
	o := piece(0)
	o.Kind, o.Rendition, o.Offset, o.PlainSize = catalog.KindSource, "", int64(offset), int64(len(content))
	return o
}

// A merged segment counts in the moment in which those that it covers count no more, in
// any store, and only if it covers whole ones, all that there is.
func TestCommitMerged(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), b.segments(t, 6)
		for name, c := range map[string]struct {
			offset  int
			content string
		}{
			"more than there is":  {4, "xxx"},
			"what is not there":   {6, "x"},
			"nothing":             {0, ""},
			"from before it all ": {-1, "xx"},
		} {
			o := written(b.intended(t, leg, source(c.offset, c.content)), c.content)
			refused(t, name, b.CommitMerged(ctx, leg, o), video.Conflict)
		}
		part := piece(0)
		refused(t, "a piece", b.CommitMerged(ctx, leg, written(b.intended(t, leg, part), "x")), video.Conflict)

		merged := written(b.intended(t, leg, source(1, "xxxx")), "xxxx")
		for range 2 { // the answer may have been lost
			must(t, b.CommitMerged(ctx, leg, merged))
		}
		refused(t, "a part of it", b.CommitMerged(ctx, leg, written(b.intended(t, leg, source(1, "xx")), "xx")), video.Conflict)
		states := map[string]map[string]int{"primary": {}, "backup": {}}
		rows, err := b.Objects(ctx, leg.Video, catalog.Filter{Kind: catalog.KindSource})
		must(t, err)
		end := int64(0)
		for _, o := range rows {
			states[o.Store][o.State]++
			if o.Store == "primary" && o.State == catalog.ObjectStored {
				if o.Offset != end {
					t.Errorf("a gap before byte %d", o.Offset)
				}
				end = o.Offset + o.PlainSize
			}
		}
		if end != 6 || states["primary"][catalog.ObjectStored] != 3 || states["primary"][catalog.ObjectDropping] != 4 ||
			states["backup"][catalog.ObjectStored] != 2 || states["backup"][catalog.ObjectDropping] != 4 {
			t.Errorf("%d bytes are stored in %v", end, states)
		}
	})
}
