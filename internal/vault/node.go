package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
)

// The tree of a PostgresVault grows with its keys, so that using one costs the same
// among ten thousand and ten million. A node is named by the first hex digits of the
// hashes below it. A leaf holds the keys of up to leafMax videos; one that is full
// becomes an inner node, which holds the keys of up to sixteen nodes, one a digit. The
// node without a prefix is sealed by the root.
//
// Adding a key seals one node again. Removing one gives new keys to all nodes on the way
// to it, hence to the root: with the old root go all older versions of them.
const (
	leafNode  = 'L'
	innerNode = 'I'

	fanOut  = 16
	leafMax = 24
	// maxDepth is far deeper than the hashes of any number of keys make a tree.
	maxDepth = 16
)

// node is an opened node: its kind, and then entries of videos, as in the tree of
// files, or fanOut keys, of which one that is all zero is none.
type node struct {
	prefix string
	key    [32]byte
	plain  []byte
}

func newLeaf(prefix string, entries []byte) *node {
	n := &node{prefix: prefix, plain: append([]byte{leafNode}, entries...)}
	rand.Read(n.key[:])
	return n
}

func (n *node) isLeaf() bool    { return n.plain[0] == leafNode }
func (n *node) entries() []byte { return n.plain[1:] }

// childKey is where the key of the node below is kept, by the next digit of a hash.
func (n *node) childKey(digit int) []byte { return n.plain[1+digit*32:][:32] }

func (n *node) sealed() []byte { return seal(n.key[:], n.plain, n.title()) }
func (n *node) title() string  { return "node " + n.prefix }

func (n *node) forget() {
	clear(n.key[:])
	clear(n.plain)
}

func openNode(prefix string, key, sealed []byte) (*node, error) {
	n := &node{prefix: prefix, key: [32]byte(key)}
	plain, err := treeCipher(key).Open(nil, nil, sealed, []byte(n.title()))
	if err != nil {
		return nil, damaged(fmt.Errorf("%s: %w", n.title(), err))
	}
	n.plain = plain
	switch {
	case len(plain) > 0 && plain[0] == leafNode && (len(plain)-1)%entrySize == 0:
	case len(plain) == 1+fanOut*32 && plain[0] == innerNode:
	default:
		return nil, damaged(fmt.Errorf("%s: %d bytes of no known kind", n.title(), len(plain)))
	}
	return n, nil
}

// digit is the i-th hex digit of a hash.
func (h idHash) digit(i int) int { return int(h[i/2]>>(4*(1-i%2))) & 0xf }

// prefixes are the names of all nodes that could be on the way to a hash.
func (h idHash) prefixes() []string {
	all := make([]string, maxDepth+1)
	for i := range all {
		all[i] = h.String()[:i]
	}
	return all
}

// nodePath is the way from the top of the tree to where the key of a video is, or would be.
type nodePath []*node

// errNodesMissing is of a path that was read while another writer made it longer.
var errNodesMissing = errors.New("the nodes below are missing")

// openPath opens the nodes on the way to h, which are given from the top down.
// errNodesMissing if one that should be the next is not among them.
func openPath(h idHash, root [32]byte, sealed [][]byte) (path nodePath, err error) {
	defer func() {
		if err != nil {
			path.forget()
			path = nil
		}
	}()
	key := root[:]
	for depth := 0; ; depth++ {
		if depth == len(sealed) {
			return path, damaged(errNodesMissing)
		}
		n, err := openNode(h.String()[:depth], key, sealed[depth])
		if err != nil {
			return path, err
		}
		path = append(path, n)
		if n.isLeaf() {
			return path, nil
		}
		key = n.childKey(h.digit(depth))
		if isZero(key) {
			return path, nil
		}
	}
}

func isZero(key []byte) bool { return bytes.Equal(key, make([]byte, len(key))) }

func (p nodePath) forget() {
	for _, n := range p {
		n.forget()
	}
}

func (p nodePath) bottom() *node { return p[len(p)-1] }

// find reads the key of a video into key.
func (p nodePath) find(h idHash, key *[32]byte) bool {
	if !p.bottom().isLeaf() {
		return false
	}
	entries := p.bottom().entries()
	at := position(entries, h)
	if at >= 0 {
		copy(key[:], entries[at+len(h):])
	}
	return at >= 0
}

// add adds a fresh key for a video that has none. It changes the bottom of the path, and
// returns the nodes that are new below it.
func (p nodePath) add(h idHash) (added []*node) {
	entry := make([]byte, entrySize)
	defer clear(entry)
	copy(entry, h[:])
	rand.Read(entry[len(h):])
	bottom := p.bottom()
	if bottom.isLeaf() && len(bottom.entries()) >= leafMax*entrySize {
		added = bottom.split()
	}
	if bottom.isLeaf() {
		bottom.append(entry)
		return nil
	}
	digit := h.digit(len(bottom.prefix))
	for _, n := range added {
		if n.prefix == h.String()[:len(n.prefix)] {
			n.append(entry)
			return added
		}
	}
	leaf := newLeaf(h.String()[:len(bottom.prefix)+1], entry)
	copy(bottom.childKey(digit), leaf.key[:])
	return append(added, leaf)
}

func (n *node) append(entry []byte) {
	grown := make([]byte, len(n.plain)+len(entry))
	copy(grown, n.plain)
	copy(grown[len(n.plain):], entry)
	clear(n.plain)
	n.plain = grown
}

// split makes a leaf an inner node, under the same key, and returns the leaves that hold
// its entries now.
func (n *node) split() (leaves []*node) {
	inner := &node{plain: make([]byte, 1+fanOut*32)}
	inner.plain[0] = innerNode
	below := [fanOut][]byte{}
	for rest := n.entries(); len(rest) > 0; rest = rest[entrySize:] {
		digit := idHash(rest).digit(len(n.prefix))
		below[digit] = append(below[digit], rest[:entrySize]...)
	}
	for digit, entries := range below {
		if len(entries) > 0 {
			leaf := newLeaf(n.prefix+strconv.FormatInt(int64(digit), 16), entries)
			copy(inner.childKey(digit), leaf.key[:])
			leaves = append(leaves, leaf)
			clear(entries)
		}
	}
	clear(n.plain)
	n.plain = inner.plain
	return leaves
}

// remove removes the key of a video from the leaf, and reports whether it was there.
func (p nodePath) remove(h idHash) bool {
	bottom := p.bottom()
	if !bottom.isLeaf() {
		return false
	}
	at := position(bottom.entries(), h)
	if at < 0 {
		return false
	}
	rest := append(bottom.entries()[:at], bottom.entries()[at+entrySize:]...)
	bottom.plain = bottom.plain[:1+len(rest)]
	return true
}

// rekey gives every node on the path a new key. The first one's is the new root.
func (p nodePath) rekey() {
	for i := len(p) - 1; i >= 0; i-- {
		rand.Read(p[i].key[:])
		if i > 0 {
			above := p[i-1]
			digit, _ := strconv.ParseUint(p[i].prefix[len(above.prefix):], 16, 8) // of our own making
			copy(above.childKey(int(digit)), p[i].key[:])
		}
	}
}
