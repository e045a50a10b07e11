package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	buckets    = 1024               // fixed for the life of a vault
	entrySize  = len(idHash{}) + 32 // a video's hash and key
	tableEntry = 32 + 8             // a bucket's key and the generation of its file
	tableSize  = buckets * tableEntry
)

// idHash is the SHA-256 of a video's id: ids themselves are not in the tree.
type idHash [32]byte

func (h idHash) bucket() int { return int(binary.BigEndian.Uint16(h[:])) % buckets }

// tree is a key tree of three levels: a root key seals the table of bucket
// keys, a bucket key seals the keys of the videos in one bucket. Adding a key
// seals its bucket again. Removing one gives the bucket a new key, hence the
// table new content and a new root key, and the old root key is overwritten
// where it lies: with it go all older copies of table and bucket.
//
// Files carry in their names the generation of the root that they were made
// for. They are written before the root changes and the old ones removed after
// it, so whatever root is found, its table and buckets are there. That is also
// why readers need no lock: they go by one root, and begin again if its files
// are replaced under them.
type tree struct {
	rootPath string
	dir      string
	disk     *disk
}

// view is an opened table with the root that opened it.
type view struct {
	root  root
	table []byte
}

func (v *view) forget() {
	clear(v.root.key[:])
	clear(v.table)
}

func (v *view) bucketKey(i int) []byte { return v.table[i*tableEntry:][:32] }

// generation of a bucket's file; 0 as long as it has none.
func (v *view) generation(i int) uint64 {
	return binary.BigEndian.Uint64(v.table[i*tableEntry+32:])
}

func (v *view) tableName() string        { return tableName(v.root.generation) }
func (v *view) bucketName(i int) string  { return bucketName(i, v.generation(i)) }
func tableName(generation uint64) string { return fmt.Sprintf("table.%d", generation) }
func bucketName(i int, generation uint64) string {
	return fmt.Sprintf("bucket.%04d.%d", i, generation)
}

// plant makes an empty tree.
func (t tree) plant() error {
	v := view{table: make([]byte, tableSize)}
	defer v.forget()
	if err := t.commit(&v); err != nil {
		return err
	}
	return t.disk.syncDir(filepath.Dir(t.rootPath))
}

// find reads the key of a video into key. When another process is writing at
// the same time it may fail; under the lock a failure is what it says.
func (t tree) find(h idHash, key *[32]byte) (found bool, err error) {
	v, err := t.load()
	if err != nil {
		return false, err
	}
	defer v.forget()
	entries, err := t.readBucket(v, h.bucket())
	defer clear(entries)
	if at := position(entries, h); at >= 0 {
		copy(key[:], entries[at+len(h):])
		return true, nil
	}
	return false, err
}

// add adds a fresh key for a video that may have one. The caller holds the lock.
func (t tree) add(h idHash) error {
	v, err := t.load()
	if err != nil {
		return err
	}
	defer v.forget()
	i := h.bucket()
	entries, err := t.readBucket(v, i)
	if err != nil {
		return err
	}
	defer clear(entries)
	if position(entries, h) >= 0 {
		// Whoever made it may have died before it was durable.
		return t.disk.syncDir(t.dir)
	}
	grown := make([]byte, len(entries)+entrySize)
	defer clear(grown)
	copy(grown, entries)
	copy(grown[len(entries):], h[:])
	rand.Read(grown[len(entries)+len(h):])
	if v.generation(i) == 0 {
		return t.rekey(v, i, grown)
	}
	name := v.bucketName(i)
	return t.disk.replace(filepath.Join(t.dir, name), seal(v.bucketKey(i), grown, name))
}

// remove destroys the key of a video that may have none. The caller holds the lock.
func (t tree) remove(h idHash) error {
	v, err := t.load()
	if err != nil {
		return err
	}
	defer v.forget()
	entries, err := t.readBucket(v, h.bucket())
	if err != nil {
		return err
	}
	defer clear(entries)
	at := position(entries, h)
	if at < 0 {
		return nil
	}
	rest := append(entries[:at], entries[at+entrySize:]...)
	return t.rekey(v, h.bucket(), rest)
}

// rekey gives a bucket new content under a new key, and the tree a new root.
func (t tree) rekey(v *view, i int, entries []byte) error {
	oldTable, oldBucket, hadBucket := v.tableName(), v.bucketName(i), v.generation(i) > 0
	rand.Read(v.bucketKey(i))
	binary.BigEndian.PutUint64(v.table[i*tableEntry+32:], v.root.generation+1)
	name := v.bucketName(i)
	if err := t.disk.create(filepath.Join(t.dir, name), seal(v.bucketKey(i), entries, name)); err != nil {
		return err
	}
	if err := t.commit(v); err != nil {
		return err
	}
	// What is left behind here is noise by now; the next start sweeps it.
	if hadBucket {
		if err := t.disk.remove(filepath.Join(t.dir, oldBucket)); err != nil {
			return err
		}
	}
	return t.disk.remove(filepath.Join(t.dir, oldTable))
}

// commit puts the tree under a new root. The new bucket is written already.
func (t tree) commit(v *view) error {
	v.root.generation++
	rand.Read(v.root.key[:])
	name := v.tableName()
	if err := t.disk.create(filepath.Join(t.dir, name), seal(v.root.key[:], v.table, name)); err != nil {
		return err
	}
	if err := t.disk.syncDir(t.dir); err != nil {
		return err
	}
	return t.writeRoot(v.root)
}

func (t tree) load() (*view, error) {
	r, slots, err := t.readRoot()
	if err != nil {
		return nil, err
	}
	if slots == 0 {
		return nil, damaged(errors.New("no valid root"))
	}
	v := &view{root: r}
	v.table, err = t.read(r.key[:], v.tableName())
	if err == nil && len(v.table) != tableSize {
		err = damaged(fmt.Errorf("table of %d bytes", len(v.table)))
	}
	if err != nil {
		v.forget()
		return nil, err
	}
	return v, nil
}

func (t tree) readBucket(v *view, i int) ([]byte, error) {
	if v.generation(i) == 0 {
		return nil, nil
	}
	return t.read(v.bucketKey(i), v.bucketName(i))
}

func (t tree) read(key []byte, name string) ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(t.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, damaged(err)
	}
	if err != nil {
		return nil, err
	}
	plain, err := treeCipher(key).Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, damaged(fmt.Errorf("%s: %w", name, err))
	}
	return plain, nil
}

// heal finishes or takes back a change of root that its writer did not live to
// finish. The caller holds the lock.
func (t tree) heal() error {
	r, slots, err := t.readRoot()
	if err != nil || slots == 2 {
		return err
	}
	if slots == 0 {
		return damaged(errors.New("no valid root"))
	}
	// The newest root may not have reached the disk yet, and must before the
	// other slot changes.
	if err := t.disk.sync(t.rootPath); err != nil {
		return err
	}
	return t.writeRoot(r)
}

// sweep removes the files of other generations than the present one. The
// caller holds the lock.
func (t tree) sweep() error {
	v, err := t.load()
	if err != nil {
		return err
	}
	defer v.forget()
	present := map[string]bool{v.tableName(): true}
	for i := range buckets {
		present[v.bucketName(i)] = true
	}
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if present[e.Name()] {
			continue
		}
		if err := t.disk.remove(filepath.Join(t.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// holdsKeys reports whether there is a bucket, of any generation.
func (t tree) holdsKeys() (bool, error) {
	entries, err := os.ReadDir(t.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "bucket.") {
			return true, err
		}
	}
	return false, err
}

// position of a video's entry, or -1.
func position(entries []byte, h idHash) int {
	for at := 0; at+entrySize <= len(entries); at += entrySize {
		if bytes.Equal(entries[at:at+len(h)], h[:]) {
			return at
		}
	}
	return -1
}

func seal(key, plain []byte, name string) []byte {
	return treeCipher(key).Seal(nil, nil, plain, []byte(name))
}

// treeCipher is AES-256-GCM with a random nonce. A bucket key lasts until the
// next destruction in its bucket, far below the 2^32 messages that are safe.
func treeCipher(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a cipher of the wrong block size
	}
	return aead
}
