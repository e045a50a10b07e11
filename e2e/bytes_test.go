package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// insider has the catalog and the keys as well: it opens what rests in the stores.
type insider struct {
	*rig
	catalog *catalog.Catalog
	vault   vault.Vault
}

func (r *rig) insider() *insider {
	r.t.Helper()
	rows, err := catalog.Open(r.ctx, r.database)
	r.must(err)
	keys, err := vault.Open(filepath.Join(r.dir, "vault"))
	r.must(err)
	r.t.Cleanup(func() {
		r.must(rows.Close())
		r.must(keys.Close())
	})
	return &insider{r, rows, keys}
}

// in is the same insider for a part of its test.
func (i *insider) in(t *testing.T) *insider {
	part := *i.rig
	part.t, part.ctx = t, t.Context()
	return &insider{&part, i.catalog, i.vault}
}

// file is something to be sent.
type file struct {
	path   string
	size   int64
	sha256 string
}

// randomFile makes a file of so many bytes that begins as an MP4 does. No two are alike.
func randomFile(t *testing.T, name string, size int64) file {
	t.Helper()
	begin := append([]byte("\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom"), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(begin[20:], uint32(max(size-20, 0)))
	begin = append(begin, "mdat"...)
	if len(begin) > int(size) {
		begin = begin[:size]
	}
	rest := io.LimitReader(mathrand.NewChaCha8(seed()), size-int64(len(begin)))
	return writeFile(t, name, io.MultiReader(bytes.NewReader(begin), rest))
}

func seed() (s [32]byte) {
	rand.Read(s[:])
	return s
}

// paddedClip makes a real video of a second, cheap to encode, that is so many
// bytes large: what follows it is free space (ISO/IEC 14496-12, section 8.1.2) of
// random content.
func paddedClip(t *testing.T, name string, size int64) file {
	t.Helper()
	short, err := os.ReadFile(clip(t, 1, 64, false))
	if err != nil {
		t.Fatal(err)
	}
	padding := size - int64(len(short)) - 8
	if padding < 0 {
		t.Fatalf("a clip has %d bytes at least", len(short)+8)
	}
	free := binary.BigEndian.AppendUint32(nil, uint32(padding+8))
	free = append(free, "free"...)
	return writeFile(t, name, io.MultiReader(bytes.NewReader(short), bytes.NewReader(free), io.LimitReader(mathrand.NewChaCha8(seed()), padding)))
}

func writeFile(t *testing.T, name string, content io.Reader) file {
	t.Helper()
	to, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(to, sum), content)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return file{to.Name(), size, hex.EncodeToString(sum.Sum(nil))}
}

// rests checks that an upload, opened, is the file byte for byte, once, in each of
// these stores; in the primary if none is named.
func (i *insider) rests(id video.ID, f file, stores ...objects.Store) {
	i.t.Helper()
	if len(stores) == 0 {
		stores = i.stores[:1]
	}
	for _, store := range stores {
		sum, size, err := i.opened(id, store)
		switch {
		case err != nil:
			i.t.Errorf("%s in %s: %v", id, store.Name(), err)
		case size != f.size || sum != f.sha256:
			i.t.Errorf("%s in %s has %d bytes with SHA-256 %s; the file has %d with %s", id, store.Name(), size, sum, f.size, f.sha256)
		}
	}
}

// opened returns the SHA-256 and the length of what rests of an upload in a store.
func (i *insider) opened(id video.ID, store objects.Store) (sum string, size int64, err error) {
	stretches, err := i.catalog.Objects(i.ctx, id, catalog.Filter{Store: store.Name(), Kind: catalog.KindSource, Stored: true})
	if err != nil {
		return "", 0, err
	}
	slices.SortFunc(stretches, func(a, b catalog.Object) int { return int(a.Offset - b.Offset) })
	hash := sha256.New()
	for _, o := range stretches {
		if o.Offset != size {
			return "", 0, fmt.Errorf("a stretch begins at %d, and the one before it ends at %d", o.Offset, size)
		}
		plain, err := i.open(store, o)
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", o.Key, err)
		}
		hash.Write(plain)
		size += int64(len(plain))
	}
	return hex.EncodeToString(hash.Sum(nil)), size, nil
}

func (i *insider) open(store objects.Store, o catalog.Object) ([]byte, error) {
	body, err := store.Get(i.ctx, o.Key, o.Version, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sealed, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	loan, err := i.vault.Lend(i.ctx, o.Video)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	return loan.Key().Open(o.Key, sealed)
}

// gone ends a video, if it has not ended, and checks that nothing of it is left.
func (i *insider) gone(user string, id video.ID, atMost time.Duration) {
	i.t.Helper()
	i.until("the deletion of "+string(id)+" is accepted", atMost, func() bool {
		err := i.as(user).Delete(i.ctx, id)
		return err == nil || video.CodeOf(err) == video.Gone
	})
	i.erased(id, atMost)
}

// idOf finds the video of an upload's URL.
func (i *insider) idOf(url string) video.ID {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.ctx, 20*time.Second)
	defer cancel()
	hash := sha256.Sum256([]byte(url[strings.LastIndex(url, "/")+1:]))
	u, err := i.catalog.UploadByToken(ctx, hash[:])
	if err != nil {
		i.t.Fatalf("the upload at %s: %v", url, err)
	}
	return u.Video
}
