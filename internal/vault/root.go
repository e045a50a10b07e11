package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
)

// root is the key of the whole tree, and how often it has changed.
type root struct {
	generation uint64
	key        [32]byte
}

// The root lies twice in one file, in two blocks that are overwritten where
// they are, one after the other with a sync in between: one is always whole,
// and when both are done the old root is nowhere in the file.
//
// This is as good as the file system's word that overwriting means overwriting.
// ext4 and XFS keep it in their default modes; copy-on-write file systems
// (btrfs, ZFS), data journalling, snapshots below and the spare blocks of a
// flash drive do not: there an old root may be dug up by whoever holds the raw
// device. A laptop can live with that. Production keeps the root where
// forgetting is promised.
const slotSize = 4096

var slotMagic = []byte("RFroot1\n")

// encode fills one slot: magic, generation, key, SHA-256 of these.
func (r root) encode() []byte {
	slot := make([]byte, 0, slotSize)
	slot = append(slot, slotMagic...)
	slot = binary.BigEndian.AppendUint64(slot, r.generation)
	slot = append(slot, r.key[:]...)
	sum := sha256.Sum256(slot)
	slot = append(slot, sum[:]...)
	return slot[:slotSize]
}

// decodeRoot reads a slot; not ok if it was never or only partly written.
func decodeRoot(slot []byte) (r root, ok bool) {
	key := len(slotMagic) + 8
	end := key + len(r.key)
	if len(slot) < slotSize || !bytes.HasPrefix(slot, slotMagic) {
		return r, false
	}
	if sum := sha256.Sum256(slot[:end]); !bytes.HasPrefix(slot[end:], sum[:]) {
		return r, false
	}
	r.generation = binary.BigEndian.Uint64(slot[len(slotMagic):])
	copy(r.key[:], slot[key:end])
	return r, true
}

// readRoot returns the newest whole root and how many of the two slots hold
// it: 0 if there is none, 1 if a change of root was not finished.
func (t tree) readRoot() (newest root, slots int, err error) {
	data, err := os.ReadFile(t.rootPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return root{}, 0, err
	}
	defer clear(data)
	for len(data) > 0 {
		n := min(slotSize, len(data))
		r, ok := decodeRoot(data[:n])
		data = data[n:]
		switch {
		case !ok:
		case slots > 0 && r == newest:
			slots++
		case slots == 0 || r.generation > newest.generation:
			newest, slots = r, 1
		}
	}
	return newest, slots, nil
}

// writeRoot makes r the root. It is so from the moment the first slot is
// whole; the old one is forgotten when the second is.
func (t tree) writeRoot(r root) error {
	slot := r.encode()
	defer clear(slot)
	for n := range int64(2) {
		if err := t.disk.overwrite(t.rootPath, slot, n*slotSize); err != nil {
			return err
		}
	}
	return nil
}
