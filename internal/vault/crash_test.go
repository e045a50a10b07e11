package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

var errDied = errors.New("died here")

// dying is a disk that dies before the n-th step, counted from 0.
type dying struct {
	disk
	n     int
	died  string // the step that it died before
	roots int    // how often it has written a slot of the root
}

func dieAt(n int) *dying {
	d := &dying{n: n}
	d.before = func(step string) error {
		if d.died != "" {
			return errDied
		}
		if d.n--; d.n < 0 {
			d.died = step
			return errDied
		}
		if step == "write root" {
			d.roots++
		}
		return nil
	}
	return d
}

// everyDeath runs op again and again, each time on a vault of its own, until it
// has died before each of its steps; after each death it calls check, both when
// the vault was opened anew and with one that was open all along. A death
// before a write of the root also comes with the slot half written.
func everyDeath(t *testing.T, prepare func(v *FileVault), op func(v *FileVault) error, check func(t *testing.T, v *FileVault)) {
	for n := 0; ; n++ {
		died := ""
		for _, torn := range []bool{false, true} {
			if torn && died != "write root" {
				continue
			}
			for _, reopen := range []bool{false, true} {
				d := dieAt(1 << 30)
				dir := t.TempDir()
				v := must(open(dir, &d.disk))(t)
				other := must(Open(dir))(t)
				prepare(other)
				d.n = n
				err := op(v)
				if died = d.died; died == "" {
					if err != nil || n == 0 {
						t.Fatalf("after %d steps: %v", n, err)
					}
					return
				}
				wantCode(t, err, video.Unavailable)
				if torn {
					tear(t, d, dir)
				}
				t.Run(fmt.Sprintf("%d before %s, torn %v, reopened %v", n, died, torn, reopen), func(t *testing.T) {
					if reopen {
						other = must(Open(dir))(t)
					}
					check(t, other)
				})
			}
		}
	}
}

// tear leaves the slot that was to be written next half written.
func tear(t *testing.T, d *dying, dir string) {
	f := must(os.OpenFile(filepath.Join(dir, "root"), os.O_RDWR, 0))(t)
	defer f.Close()
	must(f.WriteAt(bytes.Repeat([]byte{0xee}, 25), int64(d.roots%2)*slotSize+10))(t)
}

func TestDyingWhileMaking(t *testing.T) {
	t.Parallel()
	for name, neighbours := range map[string]int{"the first key of a bucket": 0, "a further key of a bucket": 1} {
		t.Run(name, func(t *testing.T) {
			id := video.NewID()
			beside := inBucketOf(id)
			var sealed []byte
			everyDeath(t, func(v *FileVault) {
				for range neighbours {
					must(0, v.Make(t.Context(), beside))(t)
					sealed = sealUnder(t, v, beside)
				}
			}, func(v *FileVault) error {
				return v.Make(t.Context(), id)
			}, func(t *testing.T, v *FileVault) {
				l, err := v.Lend(t.Context(), id)
				if err != nil {
					wantCode(t, err, video.NotFound)
				} else {
					l.Release()
					if noted := must(v.new.has(hashOf(id)))(t); !noted {
						t.Error("the key is there, and nobody would find it")
					}
				}
				must(0, v.Make(t.Context(), id))(t)
				openUnder(t, v, id, sealUnder(t, v, id))
				if neighbours > 0 {
					openUnder(t, v, beside, sealed)
				}
			})
		})
	}
}

func TestDyingWhileDestroying(t *testing.T) {
	t.Parallel()
	id := video.NewID()
	beside, elsewhere := inBucketOf(id), video.NewID()
	sealed := map[video.ID][]byte{}
	intent := Intent{ID: id, Reason: "deleted", HiddenAt: time.Now().Add(-time.Hour)}
	var key [32]byte
	var old root
	everyDeath(t, func(v *FileVault) {
		for _, id := range []video.ID{id, beside, elsewhere} {
			must(0, v.Make(t.Context(), id))(t)
			sealed[id] = sealUnder(t, v, id)
		}
		must(v.tree.find(hashOf(id), &key))(t)
		old, _, _ = v.tree.readRoot()
	}, func(v *FileVault) error {
		_, err := v.Destroy(t.Context(), intent)
		return err
	}, func(t *testing.T, v *FileVault) {
		record, intended := must2(v.Ledger(t.Context(), id.Hash()))(t)
		if intended {
			_, err := v.Lend(t.Context(), id)
			wantCode(t, err, video.Gone)
			if record.HiddenAt != inLedger(intent.HiddenAt) {
				t.Errorf("record = %+v", record)
			}
		} else {
			openUnder(t, v, id, sealed[id])
		}
		final := must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
		if intended && final.HiddenAt != record.HiddenAt {
			t.Errorf("the record was %+v and became %+v", record, final)
		}
		if !record.KeyDestroyedAt.IsZero() && final != record {
			t.Errorf("the complete record %+v became %+v", record, final)
		}
		openUnder(t, v, beside, sealed[beside])
		openUnder(t, v, elsewhere, sealed[elsewhere])
		lookFor(t, v.dir, "the old root", old.key[:])
		lookFor(t, v.dir, "the key", key[:])
		if pending := must(os.ReadDir(filepath.Join(v.ledger.dir, "pending")))(t); !onlyTemporary(pending) {
			// Left by whoever died after completing it: the next start's work.
			must(Open(v.dir))(t)
			if pending := must(os.ReadDir(filepath.Join(v.ledger.dir, "pending")))(t); !onlyTemporary(pending) {
				t.Errorf("still pending: %v", pending)
			}
		}
	})
}

// Whoever dies while taking a key back leaves it as it was or gone, and a note of
// it as long as it is there.
func TestDyingWhileDiscarding(t *testing.T) {
	t.Parallel()
	id := video.NewID()
	beside := inBucketOf(id)
	var sealed []byte
	unused := func(context.Context) error { return nil }
	everyDeath(t, func(v *FileVault) {
		for _, id := range []video.ID{id, beside} {
			must(0, v.Make(t.Context(), id))(t)
		}
		sealed = sealUnder(t, v, beside)
	}, func(v *FileVault) error {
		return v.Discard(t.Context(), id, unused)
	}, func(t *testing.T, v *FileVault) {
		openUnder(t, v, beside, sealed)
		if l, err := v.Lend(t.Context(), id); err == nil {
			l.Release()
			if noted := must(v.new.has(hashOf(id)))(t); !noted {
				t.Error("the key is there, and nobody would find it")
			}
		}
		must(0, v.Discard(t.Context(), id, unused))(t)
		_, err := v.Lend(t.Context(), id)
		wantCode(t, err, video.NotFound)
		must(0, v.Make(t.Context(), id))(t)
		openUnder(t, v, id, sealUnder(t, v, id))
	})
}

func onlyTemporary(entries []fs.DirEntry) bool {
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tmp") {
			return false
		}
	}
	return true
}

// An intent that nobody comes back to is completed by the next start.
func TestOpenCompletesIntents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := must(Open(dir))(t)
	var ids []video.ID
	for range 3 {
		id := video.NewID()
		must(0, v.Make(t.Context(), id))(t)
		must(v.intend(t.Context(), Intent{ID: id, Reason: "expired"}))(t)
		ids = append(ids, id)
	}
	v = must(Open(dir))(t)
	for _, id := range ids {
		record, found := must2(v.Ledger(t.Context(), id.Hash()))(t)
		if !found || record.KeyDestroyedAt.IsZero() {
			t.Errorf("record = %+v", record)
		}
		var key [32]byte
		if must(v.tree.find(hashOf(id), &key))(t) {
			t.Error("the key is still there")
		}
	}
}

// The end of an intent is not made durable: a power cut may bring it back,
// beside the record that was promised.
func TestAnIntentThatCameBack(t *testing.T) {
	t.Parallel()
	v := must(Open(t.TempDir()))(t)
	id := video.NewID()
	promised := must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	must(0, v.ledger.begin(Record{VideoSHA256: id.Hash(), Reason: "deleted", HiddenAt: promised.HiddenAt}))(t)

	for _, v := range []*FileVault{v, must(Open(v.dir))(t)} {
		if record, _ := must2(v.Ledger(t.Context(), id.Hash()))(t); record != promised {
			t.Errorf("promised %+v, stands %+v", promised, record)
		}
		var records int
		for range v.Records(t.Context()) {
			records++
		}
		if records != 1 {
			t.Errorf("%d records", records)
		}
	}
}

func TestDyingWhileInitialising(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		d := dieAt(n)
		dir := t.TempDir()
		if _, err := open(dir, &d.disk); d.died == "" {
			must(0, err)(t)
			return
		}
		for _, torn := range []bool{false, true} {
			if torn {
				if d.died != "write root" {
					continue
				}
				tear(t, d, dir)
			}
			v := must(Open(dir))(t)
			id := video.NewID()
			must(0, v.Make(t.Context(), id))(t)
			sealed := sealUnder(t, v, id)
			pepper := must(v.Pepper(t.Context()))(t)
			v = must(Open(dir))(t)
			openUnder(t, v, id, sealed)
			if !bytes.Equal(must(v.Pepper(t.Context()))(t), pepper) {
				t.Error("another pepper")
			}
			dir = t.TempDir() // the torn one begins afresh
			d = dieAt(n)
			open(dir, &d.disk)
		}
	}
}

// The heart of the matter: with everything that is there today, whoever holds
// yesterday's copy learns nothing of a key that was destroyed since.
func TestOlderCopiesAreUseless(t *testing.T) {
	t.Parallel()
	dir, yesterday := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	v := must(Open(dir))(t)
	id := video.NewID()
	beside := inBucketOf(id)
	for _, id := range []video.ID{id, beside, video.NewID()} {
		must(0, v.Make(t.Context(), id))(t)
	}
	var key [32]byte
	must(v.tree.find(hashOf(id), &key))(t)
	must(0, os.CopyFS(yesterday, os.DirFS(dir)))(t)
	before := must(v.tree.load())(t)
	if !reveals(t, before, yesterday, key[:]) {
		t.Fatal("yesterday's root doesn't reveal the key: this test shows nothing")
	}

	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if reveals(t, must(v.tree.load())(t), yesterday, key[:]) {
		t.Error("today's root reveals the key in yesterday's copy")
	}
	lookFor(t, dir, "the old root", before.root.key[:])
	lookFor(t, dir, "the old bucket key", before.bucketKey(hashOf(id).bucket()))
	lookFor(t, dir, "the key", key[:])
	lookFor(t, dir, "the id", []byte(id))
	if names := fmt.Sprint(must(os.ReadDir(v.tree.dir))(t)); strings.Contains(names, before.tableName()) {
		t.Errorf("the old table is still there: %s", names)
	}
}

// reveals tries every key that the view holds, and those that these open, on
// every file of a tree.
func reveals(t *testing.T, v *view, dir string, secret []byte) bool {
	keys := [][]byte{v.root.key[:]}
	for i := range buckets {
		keys = append(keys, v.bucketKey(i))
	}
	names := must(os.ReadDir(filepath.Join(dir, "tree")))(t)
	for ; len(keys) > 0; keys = keys[1:] {
		for _, e := range names {
			sealed := must(os.ReadFile(filepath.Join(dir, "tree", e.Name())))(t)
			plain, err := treeCipher(keys[0]).Open(nil, nil, sealed, []byte(e.Name()))
			if err != nil {
				continue
			}
			if bytes.Contains(plain, secret) {
				return true
			}
			if old := (view{table: plain}); len(plain) == tableSize && &keys[0][0] == &v.root.key[0] {
				for i := range buckets {
					keys = append(keys, old.bucketKey(i))
				}
			}
		}
	}
	return false
}

func TestDamageOfTheVault(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"root", "table", "bucket"} {
		for name, spoil := range map[string]func(path string) error{
			"changed": func(path string) error { return os.WriteFile(path, noise(2*slotSize), 0o600) },
			"lost":    os.Remove,
		} {
			t.Run(file+" "+name, func(t *testing.T) {
				v := must(Open(t.TempDir()))(t)
				id := video.NewID()
				must(0, v.Make(t.Context(), id))(t)
				for _, path := range append(must(filepath.Glob(v.tree.dir+"/"+file+".*"))(t), v.dir+"/"+file) {
					if _, err := os.Stat(path); err == nil {
						must(0, spoil(path))(t)
					}
				}
				_, err := v.Lend(t.Context(), id)
				wantCode(t, err, video.Internal)
				wantCode(t, v.Make(t.Context(), id), video.Internal)
				_, err = v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"})
				wantCode(t, err, video.Internal)
				_, err = Open(v.dir)
				wantCode(t, err, video.Internal)
			})
		}
	}
}

func TestAVaultThatCantBeReached(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "vault")
	v := must(Open(dir))(t)
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	must(0, os.Rename(dir, dir+".away"))(t)
	_, err := v.Lend(t.Context(), id)
	wantCode(t, err, video.Unavailable)
	wantCode(t, v.Make(t.Context(), video.NewID()), video.Unavailable)
	must(0, os.Rename(dir+".away", dir))(t)
	sealUnder(t, v, id)
}

// lookFor fails if a file under dir holds the bytes.
func lookFor(t *testing.T, dir, what string, secret []byte) {
	t.Helper()
	must(0, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, secret) || strings.Contains(path, string(secret)) {
			t.Errorf("%s holds %s", path, what)
		}
		return err
	}))(t)
}

// inBucketOf makes an id whose key lies beside another's.
func inBucketOf(id video.ID) video.ID {
	for {
		if other := video.NewID(); hashOf(other).bucket() == hashOf(id).bucket() {
			return other
		}
	}
}

func sealUnder(t fataler, v Vault, id video.ID) []byte {
	l := must(v.Lend(context.Background(), id))(t)
	defer l.Release()
	return must(l.Key().Seal("x", nil, []byte("secret")))(t)
}

func openUnder(t fataler, v Vault, id video.ID, sealed []byte) {
	l := must(v.Lend(context.Background(), id))(t)
	defer l.Release()
	if plain := must(l.Key().Open("x", sealed))(t); string(plain) != "secret" {
		t.Errorf("opened %q", plain)
	}
}

func must2[T any](value T, found bool, err error) func(fataler) (T, bool) {
	return func(t fataler) (T, bool) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value, found
	}
}
