package manifest_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
)

// fromPut is a store in which something happens when an object has been put.
type fromPut struct {
	objects.Store
	then func() error
}

func (s fromPut) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	version, err := s.Store.Put(ctx, key, body, o)
	return version, errors.Join(err, s.then())
}

// control begins another leg of the bench's video.
func (b *bench) control(row catalog.Control) {
	b.t.Helper()
	row.Video = b.id
	_, err := b.rows.Control(b.t.Context(), row, nil)
	must(b.t, err)
}

func (b *bench) sound() catalog.Object {
	return catalog.Object{Key: manifest.NewKey(b.id, "audio/whole", ".mp4"), Kind: catalog.KindAudio}
}

// What lies in a store at the end of a write, and what the manifest says of it, whatever
// happens between put and commit.
func TestWhatIsLeftOfAPut(t *testing.T) {
	down := video.Errorf(video.Unavailable, "down")
	for name, c := range map[string]struct {
		then          func(b *bench, leg catalog.Leg, stop func()) error
		code          video.Code // of the failure
		there, stored int
	}{
		"nothing happens":               {func(*bench, catalog.Leg, func()) error { return nil }, "", 1, 1},
		"the answer of the put is lost": {func(*bench, catalog.Leg, func()) error { return down }, video.Unavailable, 1, 0},
		"a later leg has begun": {func(b *bench, leg catalog.Leg, _ func()) error {
			b.control(catalog.Control{Epoch: 2})
			return nil
		}, video.Conflict, 0, 0},
		"the life is ending": {func(b *bench, leg catalog.Leg, _ func()) error {
			b.control(catalog.Control{Epoch: 2, Ending: video.ByDeletion})
			return nil
		}, video.Gone, 0, 0},
		"a twin was faster": {func(b *bench, leg catalog.Leg, _ func()) error {
			twin := b.writer()
			twin.Primary = objectstest.NewMemory("primary") // of which only the row is of interest
			return twin.Put(b.t.Context(), leg, b.sound(), []byte("twin"))
		}, "", 0, 1},
		"the work is told to stop": {func(_ *bench, _ catalog.Leg, stop func()) error {
			stop()
			return nil
		}, "", 1, 1},
		"the catalog is closed": {func(b *bench, _ catalog.Leg, _ func()) error { return b.rows.Close() }, video.Internal, 1, -1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, objectstest.NewMemory("primary"))
			leg := catalog.Leg{Video: b.id, Epoch: 1}
			must(t, b.rows.Enter(t.Context(), leg, nil))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			w := b.writer()
			w.Primary = fromPut{b.store, func() error { return c.then(b, leg, stop) }}
			if err := w.Put(ctx, leg, b.sound(), []byte("sealed")); (err == nil) != (c.code == "") || err != nil && video.CodeOf(err) != c.code {
				t.Errorf("put: %v", err)
			}
			found, err := b.store.Inventory(t.Context(), b.id.Prefix(), nil)
			if err != nil || found.Versions != c.there || found.DeleteMarkers != 0 {
				t.Errorf("the store has %+v, %v", found, err)
			}
			if c.stored < 0 {
				return
			}
			if stored, err := b.rows.Objects(t.Context(), b.id, catalog.Filter{Stored: true}); err != nil || len(stored) != c.stored {
				t.Errorf("the manifest has %+v, %v", stored, err)
			}
		})
	}
}

// A copy that came too late can't be told from that of a later leg where the store
// keeps no versions: it stays, until the video is on its way out.
func TestWhatIsLeftOfALateCopy(t *testing.T) {
	for _, c := range []struct {
		backup *objectstest.Memory
		ending video.Ending
		there  int
	}{
		{objectstest.NewMemory("backup"), "", 0},
		{objectstest.NewMemory("backup"), video.ByDeletion, 0},
		{objectstest.NewMemoryUnversioned("backup"), "", 1},
		{objectstest.NewMemoryUnversioned("backup"), video.ByDeletion, 0},
	} {
		b := newBench(t, objectstest.NewMemory("primary"))
		leg := catalog.Leg{Video: b.id, Epoch: 1}
		must(t, b.rows.Enter(t.Context(), leg, nil))
		must(t, b.writer().Put(t.Context(), leg, b.sound(), []byte("sealed")))
		stored, err := b.rows.Objects(t.Context(), b.id, catalog.Filter{Stored: true})
		must(t, err)
		late := fromPut{c.backup, func() error {
			b.control(catalog.Control{Epoch: 2, Ending: c.ending})
			return nil
		}}
		if err := b.writer().Copy(t.Context(), leg, late, stored[0], []byte("sealed")); err == nil {
			t.Error("a late copy counts")
		}
		if found, err := c.backup.Inventory(t.Context(), b.id.Prefix(), nil); err != nil || found.Objects != c.there {
			t.Errorf("%+v: the backup has %+v, %v", c, found, err)
		}
	}
}

// What was held back for a checksum counts when it is said to, and is gone otherwise.
func TestSettle(t *testing.T) {
	for _, keep := range []bool{true, false} {
		b := newBench(t, objectstest.NewMemory("primary"))
		a := b.appender(b.hold())
		var cleanup sync.WaitGroup
		a.AwaitChecksum, a.Cleanup, a.Failed = true, &cleanup, func(err error) { t.Error(err) }
		a.Start(t.Context(), nil)
		for range 3 {
			a.Digest.Write([]byte("12345"))
			a.Add(append(make([]byte, 0, 200), "12345"...), func() {})
		}
		a.Close()
		if offset := b.upload().Offset; offset != 0 {
			t.Errorf("%d bytes count before the checksum is known", offset)
		}
		must(t, a.Settle(keep))
		a.Cancel()
		cleanup.Wait()
		want := map[bool]int{true: 3}[keep]
		found, err := b.store.Inventory(t.Context(), b.id.Prefix(), nil)
		must(t, err)
		if b.upload().Offset != int64(5*want) || a.Stored() != int64(5*want) || found.Objects != want {
			t.Errorf("keep %t: %d bytes, said to be %d, in %d objects", keep, b.upload().Offset, a.Stored(), found.Objects)
		}
	}
}
