package objectstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// Subject is a Store under test, with what only its own client can do to it.
type Subject struct {
	Store     objects.Store
	Versioned bool

	Hide           func(t testing.TB, key string) // deletes without a version, as any S3 client may
	BeginMultipart func(t testing.TB, key string) // begins a multipart upload and leaves it
}

// Run is the suite that every Store passes. Open is called once a test; what it
// returns may be the same bucket each time, for each test keeps to keys of a
// video of its own.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"describes itself", (*fixture).describesItself},
		{"gives back what was put", (*fixture).givesBackWhatWasPut},
		{"reads ranges", (*fixture).readsRanges},
		{"keeps an empty object", (*fixture).keepsAnEmptyObject},
		{"has not what was never put", (*fixture).hasNotWhatWasNeverPut},
		{"keeps versions apart", (*fixture).keepsVersionsApart},
		{"deletes one version for good", (*fixture).deletesOneVersion},
		{"deletes a delete marker", (*fixture).deletesADeleteMarker},
		{"never hides instead of deleting", (*fixture).neverHides},
		{"lists every form", (*fixture).listsEveryForm},
		{"ends a listing with the visitor's error", (*fixture).endsAListing},
		{"purges every form", (*fixture).purgesEveryForm},
		{"purges nothing beside the prefix", (*fixture).purgesNothingBeside},
		{"purges a large video", (*fixture).purgesALargeVideo},
		{"goes on with a purge that was stopped", (*fixture).goesOnWithAPurge},
		{"purges what is written meanwhile", (*fixture).purgesWhatIsWrittenMeanwhile},
		{"purges side by side", (*fixture).purgesSideBySide},
		{"passes the end of the context on", (*fixture).passesTheContextOn},
		{"lets go of a body", (*fixture).letsGoOfABody},
		{"serves many at once", (*fixture).servesMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&fixture{T: t, Subject: open(t), ctx: t.Context(), prefix: video.NewID().Prefix()})
		})
	}
}

// fixture is one test: a subject, and a prefix that is its alone.
type fixture struct {
	*testing.T
	Subject
	ctx    context.Context
	prefix string
}

func (f *fixture) put(name, content string) string {
	f.Helper()
	version, err := f.Store.Put(f.ctx, f.prefix+name, []byte(content), objects.PutOptions{})
	f.must(err)
	return version
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantCode(err error, want video.Code) {
	f.Helper()
	if err == nil || video.CodeOf(err) != want {
		f.Fatalf("got %v, want code %s", err, want)
	}
	if place := video.PlaceOf(err); place != f.Store.Name() {
		f.Fatalf("%v comes from %q, want %q", err, place, f.Store.Name())
	}
}

func (f *fixture) read(name, version string, off, n int64) string {
	f.Helper()
	body, err := f.Store.Get(f.ctx, f.prefix+name, version, off, n)
	f.must(err)
	content, err := io.ReadAll(body)
	f.must(errors.Join(err, body.Close()))
	return string(content)
}

func (f *fixture) wantContent(name, version, want string) {
	f.Helper()
	if got := f.read(name, version, 0, -1); got != want {
		f.Fatalf("%s version %q holds %q, want %q", name, version, got, want)
	}
}

func (f *fixture) inventory(prefix string) objects.Inventory {
	f.Helper()
	found, err := f.Store.Inventory(f.ctx, prefix, nil)
	f.must(err)
	return found
}

func (f *fixture) wantInventory(prefix string, want objects.Inventory) {
	f.Helper()
	if got := f.inventory(prefix); got != want {
		f.Fatalf("the store holds %+v, want %+v", got, want)
	}
}

func (f *fixture) describesItself() {
	f.must(f.Store.Ready(f.ctx))
	versioned, err := f.Store.Versioned(f.ctx)
	f.must(err)
	if versioned != f.Versioned || f.Store.Name() == "" {
		f.Fatalf("name %q, versioned %v, want %v", f.Store.Name(), versioned, f.Versioned)
	}
}

func (f *fixture) givesBackWhatWasPut() {
	content := noise(300_000)
	version, err := f.Store.Put(f.ctx, f.prefix+"a/b.bin", content, objects.PutOptions{ContentType: "video/mp2t"})
	f.must(err)
	if (version != "") != f.Versioned {
		f.Fatalf("version %q of a store with versioned=%v", version, f.Versioned)
	}
	f.wantContent("a/b.bin", "", string(content))
	f.wantContent("a/b.bin", version, string(content))
	info, err := f.Store.Stat(f.ctx, f.prefix+"a/b.bin", version)
	f.must(err)
	if info.Size != int64(len(content)) || info.ETag == "" || info.Version != version || time.Since(info.Modified).Abs() > time.Minute {
		f.Fatalf("stat says %+v", info)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func (f *fixture) readsRanges() {
	f.put("alphabet", "abcdefghijklmnopqrstuvwxyz")
	for _, r := range []struct {
		off, n int64
		want   string
	}{{0, -1, "abcdefghijklmnopqrstuvwxyz"}, {0, 3, "abc"}, {3, 4, "defg"}, {24, -1, "yz"}, {24, 100, "yz"}, {25, 1, "z"}, {3, 0, ""}, {0, 0, ""}} {
		if got := f.read("alphabet", "", r.off, r.n); got != r.want {
			f.Errorf("%d bytes from %d are %q, want %q", r.n, r.off, got, r.want)
		}
	}
	for _, off := range []int64{-1, 26, 1000} {
		for _, n := range []int64{-1, 0, 1} {
			_, err := f.Store.Get(f.ctx, f.prefix+"alphabet", "", off, n)
			f.wantCode(err, video.Invalid)
		}
	}
}

func (f *fixture) keepsAnEmptyObject() {
	version := f.put("empty", "")
	f.wantContent("empty", version, "")
	if got := f.read("empty", "", 0, 10); got != "" {
		f.Fatalf("read %q from an empty object", got)
	}
	f.wantInventory(f.prefix, objects.Inventory{Objects: 1, Versions: 1})
	if removed := f.purge(); removed.Objects != 1 {
		f.Fatalf("removed %+v", removed)
	}
}

func (f *fixture) hasNotWhatWasNeverPut() {
	_, err := f.Store.Get(f.ctx, f.prefix+"nothing", "", 0, -1)
	f.wantCode(err, video.NotFound)
	_, err = f.Store.Get(f.ctx, f.prefix+"nothing", "", 0, 0)
	f.wantCode(err, video.NotFound)
	_, err = f.Store.Stat(f.ctx, f.prefix+"nothing", "")
	f.wantCode(err, video.NotFound)
	f.must(f.Store.Delete(f.ctx, f.prefix+"nothing", ""))
	f.wantInventory(f.prefix, objects.Inventory{})
	if removed := f.purge(); removed != (objects.Removed{}) {
		f.Fatalf("removed %+v of nothing", removed)
	}
}

func (f *fixture) keepsVersionsApart() {
	first, second := f.put("k", "one"), f.put("k", "second")
	f.wantContent("k", "", "second")
	f.wantContent("k", second, "second")
	if got := f.versions(); got[second] != 1 || got[first] != 1 {
		f.Fatalf("put versions %q and %q, listed %v", first, second, got)
	}
	if !f.Versioned {
		f.wantInventory(f.prefix, objects.Inventory{Objects: 1, Versions: 1, Bytes: 6})
		return
	}
	f.wantContent("k", first, "one")
	f.wantInventory(f.prefix, objects.Inventory{Objects: 1, Versions: 2, Bytes: 9})
	f.Hide(f, f.prefix+"k")
	_, err := f.Store.Get(f.ctx, f.prefix+"k", "", 0, -1)
	f.wantCode(err, video.NotFound)
	_, err = f.Store.Stat(f.ctx, f.prefix+"k", "")
	f.wantCode(err, video.NotFound)
	f.wantContent("k", first, "one")
	f.wantContent("k", second, "second")
}

// versions counts the versions that are listed, by id.
func (f *fixture) versions() map[string]int {
	f.Helper()
	all := map[string]int{}
	_, err := f.Store.Inventory(f.ctx, f.prefix, func(e objects.Entry) error {
		if e.Kind == objects.Version {
			all[e.Version]++
		}
		return nil
	})
	f.must(err)
	return all
}

func (f *fixture) deletesOneVersion() {
	first, second := f.put("k", "one"), f.put("k", "two")
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", second))
	if !f.Versioned {
		f.wantInventory(f.prefix, objects.Inventory{})
		return
	}
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", second)) // gone, while another of the key is there
	f.wantContent("k", "", "one")
	_, err := f.Store.Get(f.ctx, f.prefix+"k", second, 0, -1)
	f.wantCode(err, video.NotFound)
	_, err = f.Store.Stat(f.ctx, f.prefix+"k", second)
	f.wantCode(err, video.NotFound)
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", first))
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", first)) // gone, and its key with it
	f.wantInventory(f.prefix, objects.Inventory{})
}

func (f *fixture) deletesADeleteMarker() {
	f.put("k", "one")
	f.Hide(f, f.prefix+"k")
	var marker string
	_, err := f.Store.Inventory(f.ctx, f.prefix, func(e objects.Entry) error {
		if e.Kind == objects.DeleteMarker {
			marker = e.Version
		}
		return nil
	})
	f.must(err)
	if !f.Versioned {
		f.wantInventory(f.prefix, objects.Inventory{})
		return
	}
	_, err = f.Store.Get(f.ctx, f.prefix+"k", marker, 0, -1)
	f.wantCode(err, video.NotFound)
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", marker))
	f.wantContent("k", "", "one")
}

func (f *fixture) neverHides() {
	f.put("k", "one")
	f.must(f.Store.Delete(f.ctx, f.prefix+"k", ""))
	if f.Versioned { // there is no version of that name, so nothing changes
		f.wantInventory(f.prefix, objects.Inventory{Objects: 1, Versions: 1, Bytes: 3})
	} else {
		f.wantInventory(f.prefix, objects.Inventory{})
	}
}

// everyForm leaves two visible keys, a hidden one and two uploads, and returns
// their count.
func (f *fixture) everyForm() objects.Inventory {
	f.put("plain", "12345")
	f.put("a/twice", "1")
	f.put("a/twice", "12")
	f.put("hidden", "123")
	f.Hide(f, f.prefix+"hidden")
	f.BeginMultipart(f, f.prefix+"a/unfinished")
	f.BeginMultipart(f, f.prefix+"plain")
	if f.Versioned {
		return objects.Inventory{Objects: 2, Versions: 4, DeleteMarkers: 1, Multiparts: 2, Bytes: 11}
	}
	return objects.Inventory{Objects: 2, Versions: 2, Multiparts: 2, Bytes: 7}
}

func (f *fixture) listsEveryForm() {
	want := f.everyForm()
	f.wantInventory(f.prefix, want)
	var visited objects.Inventory
	current := map[string]int{}
	_, err := f.Store.Inventory(f.ctx, f.prefix, func(e objects.Entry) error {
		visited.Add(e)
		if e.Current {
			current[e.Key]++
		}
		if e.Key == "" || time.Since(e.Modified).Abs() > time.Minute || (e.Kind == objects.Multipart && e.Version == "") {
			f.Errorf("entry %+v", e)
		}
		return nil
	})
	f.must(err)
	if visited != want {
		f.Errorf("visited %+v, want %+v", visited, want)
	}
	for key, n := range current {
		if n != 1 {
			f.Errorf("%s has %d current entries", key, n)
		}
	}
	f.wantInventory(f.prefix+"a/", objects.Inventory{
		Objects: 1, Versions: want.Versions / 2, Multiparts: 1, Bytes: map[bool]int64{true: 3, false: 2}[f.Versioned],
	})
}

func (f *fixture) endsAListing() {
	f.everyForm()
	enough := errors.New("enough")
	calls := 0
	_, err := f.Store.Inventory(f.ctx, f.prefix, func(objects.Entry) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		f.Fatalf("%v after %d calls", err, calls)
	}
	_, err = f.Store.Purge(f.ctx, f.prefix, objects.Watch{Found: func(objects.Inventory) error { return enough }})
	if !errors.Is(err, enough) || f.inventory(f.prefix).Empty() {
		f.Fatalf("purge ended with %v", err)
	}
}

func (f *fixture) passesTheContextOn() {
	version := f.put("k", "content")
	ctx, cancel := context.WithCancel(f.ctx)
	body, err := f.Store.Get(ctx, f.prefix+"k", "", 0, -1)
	f.must(err)
	cancel()
	if _, err := io.ReadAll(body); err != nil && !errors.Is(err, context.Canceled) {
		f.Errorf("reading on: %v", err)
	}
	f.must(body.Close())
	for name, call := range map[string]func() error{
		"put":       func() error { _, err := f.Store.Put(ctx, f.prefix+"k", nil, objects.PutOptions{}); return err },
		"get":       func() error { _, err := f.Store.Get(ctx, f.prefix+"k", "", 0, -1); return err },
		"stat":      func() error { _, err := f.Store.Stat(ctx, f.prefix+"k", ""); return err },
		"delete":    func() error { return f.Store.Delete(ctx, f.prefix+"k", version) },
		"inventory": func() error { _, err := f.Store.Inventory(ctx, f.prefix, nil); return err },
		"purge":     func() error { _, err := f.Store.Purge(ctx, f.prefix, objects.Watch{}); return err },
		"ready":     func() error { return f.Store.Ready(ctx) },
		"versioned": func() error { _, err := f.Store.Versioned(ctx); return err },
	} {
		if err := call(); err != context.Canceled {
			f.Errorf("%s returned %v", name, err)
		}
	}
	f.wantContent("k", "", "content")
}

// letsGoOfABody writes over the body of a put that was given up. Whoever still
// reads it is caught by the race detector, or by what the store then holds.
func (f *fixture) letsGoOfABody() {
	content := bytes.Repeat([]byte("a"), 4<<20)
	for i := range 8 {
		ctx, cancel := context.WithTimeout(f.ctx, time.Duration(i)*time.Millisecond)
		_, err := f.Store.Put(ctx, f.prefix+"k", content, objects.PutOptions{})
		cancel()
		if err != nil && err != context.DeadlineExceeded {
			f.Fatal(err)
		}
		for j := range content {
			content[j]++
		}
	}
	_, err := f.Store.Inventory(f.ctx, f.prefix, func(e objects.Entry) error {
		if e.Kind != objects.Version {
			return nil
		}
		body, err := f.Store.Get(f.ctx, e.Key, e.Version, 0, -1)
		if err != nil {
			return err
		}
		stored, err := io.ReadAll(body)
		if len(stored) > 0 && bytes.Count(stored, stored[:1]) != len(stored) {
			return fmt.Errorf("version %s is of two bodies", e.Version)
		}
		return errors.Join(err, body.Close())
	})
	f.must(err)
}

func (f *fixture) servesMany() {
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error {
			for j := range 10 {
				name, content := fmt.Sprintf("%d/%d", i, j), fmt.Sprintf("content %d %d", i, j)
				version, err := f.Store.Put(f.ctx, f.prefix+name, []byte(content), objects.PutOptions{})
				if err != nil {
					return err
				}
				body, err := f.Store.Get(f.ctx, f.prefix+name, version, 0, -1)
				if err != nil {
					return err
				}
				got, err := io.ReadAll(body)
				if string(got) != content {
					return fmt.Errorf("%s holds %q", name, got)
				}
				if err := errors.Join(err, body.Close(), f.Store.Delete(f.ctx, f.prefix+name, version)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	f.must(group.Wait())
	f.wantInventory(f.prefix, objects.Inventory{})
}
