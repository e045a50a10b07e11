package facts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// mostBytes bounds what is read as facts: those of the longest video take some hundred KiB.
const mostBytes = 64 << 20

// newest returns the facts of the highest generation, and the manifest's row of their object,
// without a store. Objects that don't open are noted; a copy in another store serves as well.
// Older facts serve only beside a run that goes on, for what they don't know - that the
// video was deleted - it does. It fails with Internal when nothing serves.
func (r *Rebuilder) newest(ctx context.Context, id video.ID, found []copyOf, run Run, result *Result) (Facts, catalog.Object, error) {
	slices.SortStableFunc(found, func(a, b copyOf) int { return cmp.Compare(b.generation, a.generation) })
	for _, c := range found {
		if c.generation < found[0].generation && !run.Open {
			break
		}
		sealed, err := read(ctx, c)
		if err == nil {
			var f Facts
			if f, err = r.open(ctx, id, c, sealed); err == nil {
				sum := sha256.Sum256(sealed)
				return f, catalog.Object{
					Key: c.key, Kind: catalog.KindFacts, Index: int(c.generation), Size: int64(len(sealed)), SHA256: sum[:],
					PlainSize: plainSize(sealed), Epoch: f.Epoch, CreatedAt: time.Now(),
				}, nil
			}
		}
		if video.CodeOf(err) != video.Internal || ctx.Err() != nil {
			return Facts{}, catalog.Object{}, err
		}
		result.Notes = append(result.Notes, fmt.Sprintf("the store %q has facts that can't be used: %s", c.store.Name(), detailOf(err)))
	}
	return Facts{}, catalog.Object{}, video.Errorf(video.Internal, "The newest facts can't be read in any store, and no workflow tells whether older ones still hold.")
}

func plainSize(sealed []byte) int64 {
	size, err := vault.PlainSize(int64(len(sealed)))
	if err != nil {
		return 0 // it was opened, so this can't be
	}
	return size
}

// read fails with Internal when the store has the object no more, or one that can't be
// facts.
func read(ctx context.Context, c copyOf) ([]byte, error) {
	body, err := c.store.Get(ctx, c.key, "", 0, mostBytes+1)
	if video.CodeOf(err) == video.NotFound && err != nil {
		return nil, video.Errorf(video.Internal, "The object is not there any more.").Because(err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sealed, err := io.ReadAll(body)
	if err == nil && len(sealed) > mostBytes {
		err = video.Errorf(video.Internal, "The object is too large.")
	}
	return sealed, err
}

// open fails with Internal when it isn't facts of this video, or when the vault lacks the key.
func (r *Rebuilder) open(ctx context.Context, id video.ID, c copyOf, sealed []byte) (Facts, error) {
	loan, err := r.Vault.Lend(ctx, id)
	if code := video.CodeOf(err); err != nil && (code == video.NotFound || code == video.Gone) {
		return Facts{}, video.Errorf(video.Internal, "The key vault has no key of the video.").Because(err)
	}
	if err != nil {
		return Facts{}, err
	}
	plain, err := loan.Key().Open(c.key, sealed)
	loan.Release()
	if err != nil {
		return Facts{}, err
	}
	return decode(plain, id, c.generation)
}

// locate looks for the objects of a video, and for its facts, in every store, and gives each
// that is there a row. A key is never used for other bytes, so key and size tell it; what
// lies under it is compared whenever it is read.
func (r *Rebuilder) locate(ctx context.Context, rows *catalog.Rebuilt, from catalog.Object, result *Result) error {
	want := append(rows.Objects, from)
	rows.Objects = nil
	for _, store := range r.Stores.All() {
		at := time.Now()
		versions, err := listed(ctx, store, rows.Video.ID)
		if err != nil {
			return err
		}
		replica := catalog.Replica{Store: store.Name(), State: catalog.ReplicaComplete, VerifiedAt: at}
		for _, o := range want {
			version, there := versions[place{o.Key, o.Size}]
			if !there {
				continue
			}
			o.Store, o.Version = store.Name(), version
			rows.Objects = append(rows.Objects, o)
			replica.Objects++
			replica.Bytes += o.Size
		}
		if lacks := len(want) - replica.Objects; lacks > 0 {
			replica.State = catalog.ReplicaBehind
			result.Notes = append(result.Notes, fmt.Sprintf("the store %q lacks %d of %d objects of it", store.Name(), lacks, len(want)))
		}
		rows.Replicas = append(rows.Replicas, replica)
	}
	return nil
}

// place is under which key and in which size something is stored.
type place struct {
	key  string
	size int64
}

// listed returns the versions of what a store has of a video that a reader sees: the newest
// of each key.
func listed(ctx context.Context, store objects.Store, id video.ID) (map[place]string, error) {
	shown, versions := map[place]bool{}, map[place]string{}
	_, err := store.Inventory(ctx, id.Prefix(), func(e objects.Entry) error {
		at := place{e.Key, e.Size}
		switch {
		case e.Kind == objects.Object:
			shown[at] = true
		case e.Kind == objects.Version && e.Current:
			versions[at] = e.Version
		}
		return nil
	})
	for at := range versions {
		if !shown[at] {
			delete(versions, at)
		}
	}
	for at := range shown {
		if _, versioned := versions[at]; !versioned {
			versions[at] = "" // a store without versions
		}
	}
	return versions, err
}
