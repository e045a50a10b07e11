package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// fileRoots is a rootHome in a file that all processes of one machine share. Each root
// lies in two blocks, which are overwritten where they are; what root.go says of file
// systems holds here, too. Reading takes no lock.
type fileRoots struct {
	path string
	tree treeID
	turn turn
	disk *disk
}

// rootBlocks is how many blocks there are: two for the root in use, two for the next, and as
// many again for what somebody who died has left.
const rootBlocks = 8

var blockMagic = []byte("RFroot2\n")

// rootBlock is a block: magic, tree, id, key, SHA-256 of these.
type rootBlock struct {
	tree treeID
	id   rootID
	key  [32]byte
}

func (b rootBlock) encode() []byte {
	block := make([]byte, 0, slotSize)
	block = append(block, blockMagic...)
	block = append(block, b.tree[:]...)
	block = append(block, b.id[:]...)
	block = append(block, b.key[:]...)
	sum := sha256.Sum256(block)
	return append(block, sum[:]...)[:slotSize]
}

// decodeBlock reads a block; not ok if it is free, or was only partly written.
func decodeBlock(block []byte) (b rootBlock, ok bool) {
	const body = 8 + len(b.tree) + len(b.id) + len(b.key)
	if len(block) < body+sha256.Size || !bytes.HasPrefix(block, blockMagic) {
		return b, false
	}
	if sum := sha256.Sum256(block[:body]); !bytes.HasPrefix(block[body:], sum[:]) {
		return b, false
	}
	rest := block[len(blockMagic):]
	rest = rest[copy(b.tree[:], rest):]
	rest = rest[copy(b.id[:], rest):]
	copy(b.key[:], rest)
	return b, true
}

func openFileRoots(path string, tree treeID) (*fileRoots, error) {
	r := &fileRoots{path: path, tree: tree, turn: turn{path: path + ".lock", here: make(chan struct{}, 1)}, disk: &disk{}}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fault(err)
	}
	for _, name := range []string{path, r.turn.path} {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			return nil, fault(err)
		}
		f.Close() // nothing was written
	}
	return r, fault(r.disk.syncDir(filepath.Dir(path)))
}

// blocks reads all blocks, the free ones as zero.
func (r *fileRoots) blocks() (blocks [rootBlocks]rootBlock, err error) {
	data, err := os.ReadFile(r.path)
	if err != nil {
		return blocks, unavailable(err)
	}
	defer clear(data)
	for i := range blocks {
		if from := i * slotSize; from < len(data) {
			if b, ok := decodeBlock(data[from:min(from+slotSize, len(data))]); ok {
				blocks[i] = b
			}
		}
	}
	for _, b := range blocks {
		if b.tree != r.tree && b.tree != (treeID{}) {
			return blocks, damaged(fmt.Errorf("%s holds the root of another tree", r.path))
		}
	}
	return blocks, nil
}

func (r *fileRoots) load(_ context.Context, id rootID) (key [32]byte, found bool, err error) {
	blocks, err := r.blocks()
	for _, b := range blocks {
		if b.id == id && id != (rootID{}) {
			return b.key, true, err
		}
	}
	return key, false, err
}

func (r *fileRoots) roots(context.Context) (ids []rootID, err error) {
	blocks, err := r.blocks()
	for _, b := range blocks {
		if b.id != (rootID{}) && !slices.Contains(ids, b.id) {
			ids = append(ids, b.id)
		}
	}
	return ids, err
}

func (r *fileRoots) add(ctx context.Context, id rootID, key [32]byte) error {
	return r.writing(ctx, func(blocks [rootBlocks]rootBlock) error {
		var own, free []int
		for i, b := range blocks {
			switch b.id {
			case id:
				own = append(own, i)
			case rootID{}:
				free = append(free, i)
			}
		}
		if len(own)+len(free) < 2 {
			return errRootHomeFull
		}
		block := rootBlock{r.tree, id, key}.encode()
		defer clear(block)
		for _, i := range append(own, free...)[:2] {
			if err := r.disk.overwrite(r.path, block, int64(i)*slotSize); err != nil {
				return err
			}
		}
		return nil
	})
}

// drop clears every block that isn't of another root: one that was only partly written
// may be of a root that is dropped.
func (r *fileRoots) drop(ctx context.Context, ids ...rootID) error {
	return r.writing(ctx, func(blocks [rootBlocks]rootBlock) error {
		for i, b := range blocks {
			if b.id == (rootID{}) || slices.Contains(ids, b.id) {
				if err := r.disk.overwrite(r.path, make([]byte, slotSize), int64(i)*slotSize); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (r *fileRoots) writing(ctx context.Context, change func(blocks [rootBlocks]rootBlock) error) error {
	giveBack, err := r.turn.take(ctx)
	if err != nil {
		return fault(err)
	}
	defer giveBack()
	blocks, err := r.blocks()
	if err != nil {
		return err
	}
	return fault(change(blocks))
}

// Nothing is owed: what is dropped is overwritten at once.
func (r *fileRoots) forgetsIn() time.Duration                     { return 0 }
func (r *fileRoots) forget(context.Context) error                 { return nil }
func (r *fileRoots) keepForgetting(context.Context, *slog.Logger) {}
func (r *fileRoots) overdue(context.Context) (time.Time, error)   { return time.Time{}, nil }
func (r *fileRoots) close()                                       {}
