package catalog_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/video"
)

// The test binary run as another process: it opens the catalog and takes so many
// steps of one leg of one video.
const (
	childURL   = "CATALOG_TEST_URL"
	childVideo = "CATALOG_TEST_VIDEO"
	childSteps = 25
)

func beChild(url string) int {
	ctx := context.Background()
	c, err := catalog.Open(ctx, url)
	id := video.ID(os.Getenv(childVideo))
	for i := 0; err == nil && id != "" && i < childSteps; i++ {
		err = c.Project(ctx, catalog.Leg{Video: id, Epoch: 1}, func(v *catalog.Video) { v.Done++ })
	}
	if err == nil {
		err = c.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// inProcesses runs children at once and waits for them.
func inProcesses(t *testing.T, n int, url string, id video.ID) {
	t.Helper()
	var children sync.WaitGroup
	for range n {
		children.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), childURL+"="+url, childVideo+"="+string(id))
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	children.Wait()
}

// Everything starts at once on the first day: several processes find no schema,
// then all write to the same row.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const processes = 4
			url := fresh(t)
			inProcesses(t, processes, url, "")
			b := &bench{Catalog: open(t, url), url: url}
			id := b.upload(t, 1)
			must(t, b.Enter(t.Context(), catalog.Leg{Video: id, Epoch: 1}, nil))
			inProcesses(t, processes, url, id)
			if v := b.video(t, id); v.Done != processes*childSteps || v.Revision != 1+processes*childSteps {
				t.Errorf("%d of %d steps, revision %d", v.Done, processes*childSteps, v.Revision)
			}
		})
	}
}

// Twenty writers on three connections, five to an upload: the offset never jumps,
// and nothing is stored twice.
func TestSegmentsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		const length, size = 40, 5
		handles := []*catalog.Catalog{b.Catalog, open(t, b.url), open(t, b.url)}
		var writers sync.WaitGroup
		var ids []video.ID
		for range 4 {
			id := b.upload(t, length)
			ids = append(ids, id)
			lease := b.lease(t, id, "gateway", time.Minute)
			for i := range 5 {
				writers.Go(func() { fill(t, handles[i%3], lease, size) })
			}
		}
		writers.Wait()
		for _, id := range ids {
			u, err := b.UploadOf(t.Context(), id)
			must(t, err)
			stored, err := b.Objects(t.Context(), id, catalog.Filter{Stored: true})
			must(t, err)
			slices.SortFunc(stored, func(a, b catalog.Object) int { return int(a.Offset - b.Offset) })
			for i, o := range stored {
				if o.Offset != int64(i*size) || o.PlainSize != size {
					t.Errorf("segment %d lies at %d", i, o.Offset)
				}
			}
			if u.Offset != length || len(stored) != length/size {
				t.Errorf("%d bytes in %d segments", u.Offset, len(stored))
			}
		}
	})
}

// fill adds segments where the upload stands until it is full; being overtaken is
// all that may go wrong.
func fill(t *testing.T, c *catalog.Catalog, lease catalog.Lease, size int) {
	for {
		u, err := c.UploadOf(t.Context(), lease.Video)
		if err != nil {
			t.Error(err)
			return
		}
		if u.Offset == u.Length {
			return
		}
		o, err := c.IntendSegment(t.Context(), lease, catalog.Object{Store: "primary", Key: "k", Offset: u.Offset})
		if err == nil {
			o = written(o, strings.Repeat("x", size))
			err = c.CommitSegment(t.Context(), lease, o, nil)
		}
		if err != nil && video.CodeOf(err) != video.Conflict {
			t.Error(err)
			return
		}
	}
}

// One of many gateways gets the lease, each time.
func TestAcquireAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id := b.upload(t, 1)
		handles := []*catalog.Catalog{b.Catalog, open(t, b.url)}
		for round := range 5 {
			var mu sync.Mutex
			var winners []catalog.Lease
			var gateways sync.WaitGroup
			for i := range 8 {
				gateways.Go(func() {
					holder := fmt.Sprint("gateway ", i)
					epoch, ok, err := handles[i%2].Acquire(t.Context(), id, holder, time.Minute)
					if err != nil {
						t.Error(err)
					}
					if ok {
						mu.Lock()
						winners = append(winners, catalog.Lease{Video: id, Holder: holder, Epoch: epoch})
						mu.Unlock()
					}
				})
			}
			gateways.Wait()
			if len(winners) != 1 || winners[0].Epoch != int64(round+1) {
				t.Fatalf("round %d: %+v", round, winners)
			}
			must(t, b.Unlease(t.Context(), id, winners[0].Holder, winners[0].Epoch))
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for url, code := range map[string]video.Code{
		"":                                  video.Invalid,
		"mysql://me:hunter2@db/x":           video.Invalid,
		"catalog.db":                        video.Invalid,
		"sqlite://":                         video.Invalid,
		"sqlite://:memory:":                 video.Invalid,
		"sqlite://x.db?mode=hunter2":        video.Invalid,
		"postgres://me:hunter2@[bad/x":      video.Invalid,
		"postgres://me:hunter2@h:port/x":    video.Invalid,
		"postgres://me:hunter2@127.0.0.1:1": video.Unavailable,
		"sqlite:///dev/null/catalog.db":     video.Unavailable,
	} {
		c, err := catalog.Open(t.Context(), url)
		refused(t, url, err, code)
		if c != nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
			t.Errorf("%s: %v, %v", url, c, err)
		}
	}
}

// A path is a path, whatever its letters.
func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ü %41&b", "c d.db")
	open(t, "sqlite://"+path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// The database goes away and comes back: the same catalog goes on, and what was
// answered before is still there.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	var own postgrestest.Cluster
	t.Cleanup(func() { must(t, own.Stop()) })
	b := &bench{url: own.Database(t)}
	b.Catalog = open(t, b.url)
	id := b.upload(t, 1)
	leg := catalog.Leg{Video: id, Epoch: 1}
	must(t, b.Enter(t.Context(), leg, nil))

	own.Restart(t)
	must(t, b.Ready(t.Context()))
	must(t, b.Project(t.Context(), leg, func(v *catalog.Video) { v.Done = 1 }))

	own.Interrupt(t)
	refused(t, "ready", b.Ready(t.Context()), video.Unavailable)
	refused(t, "a write", b.Project(t.Context(), leg, nil), video.Unavailable)
	_, err := b.Video(t.Context(), id)
	refused(t, "a read", err, video.Unavailable)

	own.Resume(t)
	if v := b.video(t, id); v.Done != 1 {
		t.Errorf("got %+v", v)
	}
}

// A caller that gives up hears why.
func TestCanceled(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Video(ctx, video.NewID())
		refused(t, "read", err, video.Unavailable)
		refused(t, "write", b.MarkStalled(ctx, video.NewID(), true), video.Unavailable)
	})
}
