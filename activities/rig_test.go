package activities

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// rig is the activities on a real catalog, vault and ffmpeg, with stores in
// memory that pass the suite of the real ones.
type rig struct {
	*Activities
	t   *testing.T
	ctx context.Context
	id  video.ID
}

func newRig(t *testing.T) *rig {
	t.Helper()
	ctx := t.Context()
	rows := catalogtest.New(t)
	tools, err := media.Find()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ctx: ctx, id: video.NewID(), Activities: &Activities{
		Catalog: rows, Vault: vaulttest.New(t), Media: tools, Log: slog.New(slog.DiscardHandler),
		Stores: objects.Set{
			Primary: objectstest.NewMemory("primary"),
			Backups: []objects.Store{objectstest.NewMemory("backup-a"), objectstest.NewMemory("backup-b")},
		},
	}}
	r.must(r.Vault.Make(ctx, r.id))
	token := sha256.Sum256([]byte(r.id))
	r.must(rows.CreateVideo(ctx, catalog.Video{ID: r.id, Owner: "owner", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: r.id, TokenHash: token[:], Length: -1, Idle: time.Hour}))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) leg(epoch int64) workflows.Leg { return workflows.Leg{ID: r.id, Epoch: epoch} }

// uploaded stores a file as a gateway would, in segments of so many bytes.
func (r *rig) uploaded(data []byte, size int) {
	r.t.Helper()
	var sizes []int64
	for left := len(data); left > 0; left -= size {
		sizes = append(sizes, int64(min(left, size)))
	}
	r.uploadedIn(data, sizes)
}

// uploadedIn stores a file in segments of these sizes, in bytes.
func (r *rig) uploadedIn(data []byte, sizes []int64) {
	r.t.Helper()
	epoch, ok, err := r.Catalog.Acquire(r.ctx, r.id, "gateway", time.Minute)
	if err != nil || !ok {
		r.t.Fatal("no lease", err)
	}
	lease := catalog.Lease{Video: r.id, Holder: "gateway", Epoch: epoch}
	r.must(r.Catalog.DeclareLength(r.ctx, lease, int64(len(data))))
	at := int64(0)
	for _, size := range sizes {
		part := data[at : at+size]
		key := manifest.NewKey(r.id, fmt.Sprintf("source/%012d", at), "")
		var sealed []byte
		r.must(r.withKey(r.ctx, r.id, func(k vault.Key) (err error) {
			sealed, err = k.Seal(key, nil, part)
			return err
		}))
		sum := sha256.Sum256(sealed)
		o, err := r.Catalog.IntendSegment(r.ctx, lease, catalog.Object{
			Store: "primary", Key: key, Offset: at, PlainSize: int64(len(part)), Size: int64(len(sealed)), SHA256: sum[:],
		})
		r.must(err)
		o.Version, err = r.Stores.Primary.Put(r.ctx, key, sealed, objects.PutOptions{})
		r.must(err)
		r.must(r.Catalog.CommitSegment(r.ctx, lease, o, nil))
		at += size
	}
	sum := sha256.Sum256(data)
	r.must(manifest.FinishUpload(r.ctx, r.Catalog, r.Vault, r.id, sum[:]))
	r.must(r.Catalog.Unlease(r.ctx, r.id, "gateway", epoch))
}

// processed takes a clip through all media work, in legs from 1 on.
func (r *rig) processed() {
	r.t.Helper()
	r.uploaded(clip(r.t), 100_000)
	_, err := r.SealUpload(r.ctx, r.leg(1))
	r.must(err)
	probed, err := r.Probe(r.ctx, r.leg(2))
	r.must(err)
	for n := range probed.Plan.Pieces {
		_, err := r.EncodePiece(r.ctx, workflows.PieceInput{Leg: r.leg(3), Piece: n})
		r.must(err)
	}
	_, err = r.EncodeAudio(r.ctx, r.leg(3))
	r.must(err)
	_, err = r.Package(r.ctx, r.leg(4))
	r.must(err)
}

// publish publishes in a leg, with all backups.
func (r *rig) publish(epoch int64) error {
	return r.Publish(r.ctx, workflows.PublishInput{Leg: r.leg(epoch), Backups: r.backups()})
}

func (r *rig) backups() (names []string) {
	for _, store := range r.Stores.Backups {
		names = append(names, store.Name())
	}
	return names
}

// inventory lists everything of the video in a store.
func (r *rig) inventory(store objects.Store) objects.Inventory {
	r.t.Helper()
	found, err := store.Inventory(r.ctx, r.id.Prefix(), nil)
	r.must(err)
	return found
}

// clip is three seconds of picture and sound.
func clip(t *testing.T) []byte { return generated(t, "180x320", 30, 3) }

// smallClip is cheap to encode, and long enough for several pieces and segments.
func smallClip(t *testing.T) []byte { return generated(t, "64x96", 10, 9) }

var clips struct {
	mu  sync.Mutex
	all map[string][]byte
}

// generated makes a clip once for all tests, which must not change it.
func generated(t *testing.T, size string, rate, seconds int) []byte {
	t.Helper()
	picture := fmt.Sprintf("testsrc2=size=%s:rate=%d:duration=%d", size, rate, seconds)
	clips.mu.Lock()
	defer clips.mu.Unlock()
	if data, made := clips.all[picture]; made {
		return data
	}
	path := filepath.Join(t.TempDir(), "clip.mp4")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", fmt.Sprint("sine=duration=", seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", path).CombinedOutput()
	if err != nil {
		t.Fatalf("generate a clip: %v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if clips.all == nil {
		clips.all = map[string][]byte{}
	}
	clips.all[picture] = data
	return data
}
