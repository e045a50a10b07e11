package playback

import (
	"container/list"
	"context"
	"io"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/video"
)

const (
	// ciphertextSize bounds the memory for objects as they lie in the store, in bytes.
	ciphertextSize = 256 << 20
	// blockSize is the unit of that memory; half of one is lost for each object, on
	// average.
	blockSize = 256 << 10
	// arenaSize is how much of it is taken from the system at once.
	arenaSize = 4 << 20
	// fillTime bounds how long the store may take for an object.
	fillTime = time.Minute
)

// ciphertext keeps objects as they lie in the store: segments, which are encrypted, and
// sealed pictures. Its memory lies outside of Go's heap, which would grow to twice as
// much; it is taken when it is first needed, used again, and given back with the
// ciphertext itself. What somebody reads at the moment stays: when all is in
// use, there is no room.
type ciphertext struct {
	mu     sync.Mutex
	unused int      // bytes that were not taken from the system yet
	free   [][]byte // blocks
	known  map[string]*cached
	recent *list.List // of *cached, the latest first
}

// cached is an object in memory. Its fields but ready, err and blocks are under ciphertext.mu.
type cached struct {
	home   *ciphertext
	id     video.ID
	key    string
	size   int64
	blocks [][]byte
	ready  chan struct{} // closed once the blocks are filled, or err says why not
	err    error
	users  int
	place  *list.Element // nil once nobody else may find it: freed with its last user
}

func newCiphertext(limit int) *ciphertext {
	return &ciphertext{unused: limit, known: map[string]*cached{}, recent: list.New()}
}

// get returns an object in memory, filling it from the store if nobody has yet. It
// returns nil when there is no room. The caller must release it. Errors are those of
// fill, which is called once for all that wait, and of ctx.
func (c *ciphertext) get(ctx context.Context, id video.ID, o object, fill func(ctx context.Context) (io.ReadCloser, error)) (*cached, error) {
	e, isNew := c.enter(id, o)
	if e == nil {
		return nil, nil
	}
	if isNew {
		e.err = e.fill(ctx, fill)
		if e.err != nil {
			c.drop(e)
		}
		close(e.ready)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		e.release()
		return nil, context.Cause(ctx)
	}
	if e.err != nil {
		e.release()
		return nil, e.err
	}
	return e, nil
}

// enter makes the caller a user of an object, and says whether it is to be filled.
func (c *ciphertext) enter(id video.ID, o object) (e *cached, isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := o.key + " " + o.version
	if e := c.known[name]; e != nil {
		e.users++
		c.recent.MoveToFront(e.place)
		return e, false
	}
	blocks := c.take(int((o.size + blockSize - 1) / blockSize))
	if blocks == nil {
		return nil, false
	}
	e = &cached{home: c, id: id, key: name, size: o.size, blocks: blocks, ready: make(chan struct{}), users: 1}
	e.place = c.recent.PushFront(e)
	c.known[name] = e
	return e, true
}

// take returns n blocks, or nil when there is no room for them.
func (c *ciphertext) take(n int) [][]byte {
	for len(c.free) < n && c.grow() {
	}
	for e := c.recent.Back(); len(c.free) < n && e != nil; {
		older := e
		e = e.Prev()
		if older.Value.(*cached).users == 0 {
			c.evict(older.Value.(*cached))
		}
	}
	if len(c.free) < n {
		return nil
	}
	kept := len(c.free) - n
	blocks := slices.Clone(c.free[kept:])
	c.free = c.free[:kept]
	return blocks
}

// grow takes more memory from the system, and says whether there was any to be had.
func (c *ciphertext) grow() bool {
	if c.unused < arenaSize {
		return false
	}
	arena, err := syscall.Mmap(-1, 0, arenaSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return false // whoever asks reads from the store
	}
	runtime.AddCleanup(c, func(arena []byte) { _ = syscall.Munmap(arena) }, arena)
	c.unused -= arenaSize
	for block := range slices.Chunk(arena, blockSize) {
		c.free = append(c.free, block)
	}
	return true
}

// evict lets nobody find an object any more, and frees it if nobody uses it.
func (c *ciphertext) evict(e *cached) {
	if e.place == nil {
		return
	}
	c.recent.Remove(e.place)
	delete(c.known, e.key)
	e.place = nil
	if e.users == 0 {
		c.recycle(e)
	}
}

func (c *ciphertext) recycle(e *cached) {
	c.free = append(c.free, e.blocks...)
	e.blocks = nil
}

func (c *ciphertext) drop(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(e)
}

// forget drops all objects of a video.
func (c *ciphertext) forget(id video.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.known {
		if e.id == id {
			c.evict(e)
		}
	}
}

// ids returns the videos of which something is kept.
func (c *ciphertext) ids() map[video.ID]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[video.ID]bool{}
	for _, e := range c.known {
		all[e.id] = true
	}
	return all
}

// release ends one use.
func (e *cached) release() {
	e.home.mu.Lock()
	defer e.home.mu.Unlock()
	e.users--
	if e.users == 0 && e.place == nil {
		e.home.recycle(e)
	}
}

// fill goes on when the one who asked first leaves: others may wait.
func (e *cached) fill(ctx context.Context, open func(ctx context.Context) (io.ReadCloser, error)) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), fillTime)
	defer done()
	body, err := open(ctx)
	if err != nil {
		return err
	}
	defer body.Close() // read to its end or given up
	left := e.size
	for _, block := range e.blocks {
		n, err := io.ReadFull(body, block[:min(left, blockSize)])
		if err != nil {
			return video.Errorf(video.Unavailable, "This can't be read at the moment. Please try again.").Because(err)
		}
		left -= int64(n)
	}
	return nil
}

// at returns what follows an offset, to the end of its block.
func (e *cached) at(offset int64) []byte {
	block := e.blocks[offset/blockSize]
	return block[offset%blockSize : min(blockSize, e.size-offset/blockSize*blockSize)]
}

// read is content of a part of it.
func (e *cached) read(offset, length int64) content { return &cachedPart{e, offset, length} }

type cachedPart struct {
	*cached
	offset, left int64
}

func (p *cachedPart) next() ([]byte, error) {
	if p.left == 0 {
		return nil, io.EOF
	}
	piece := p.at(p.offset)
	piece = piece[:min(int64(len(piece)), p.left)]
	p.offset += int64(len(piece))
	p.left -= int64(len(piece))
	return piece, nil
}

func (p *cachedPart) close() { p.release() }
