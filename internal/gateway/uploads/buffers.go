package uploads

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/reelflow/reelflow/internal/vault"
)

// firstRooms are the rooms, in bytes, that a segment has before it gets a whole one. Slow
// clients never need more than the first before their bytes are stored, so thousands of
// them fit.
var firstRooms = []int{leastPiece, 512 << 10}

// buffers lends the memory in which segments are gathered and sealed, to all
// requests together no more than its budget. Nobody waits for room while
// holding some, so waiting always ends.
type buffers struct {
	budget *semaphore.Weighted // bytes
	rooms  []int               // bytes of plaintext, from small to large
	free   map[int]*sync.Pool
}

// buffer gathers up to room plain bytes and can be sealed in place.
type buffer struct {
	data []byte
	room int
}

func newBuffers(segment, count int) *buffers {
	b := &buffers{budget: semaphore.NewWeighted(int64(segment) * int64(count)), free: map[int]*sync.Pool{}}
	for _, room := range append(slices.Clone(firstRooms), segment) {
		if room <= segment && b.free[room] == nil {
			b.rooms, b.free[room] = append(b.rooms, room), &sync.Pool{}
		}
	}
	return b
}

// get lends a small buffer, waiting for room until ctx ends.
func (b *buffers) get(ctx context.Context) (*buffer, error) {
	if err := b.budget.Acquire(ctx, int64(b.rooms[0])); err != nil {
		return nil, err
	}
	return b.take(b.rooms[0]), nil
}

func (b *buffers) take(room int) *buffer {
	if old, ok := b.free[room].Get().(*buffer); ok {
		return old
	}
	return &buffer{data: make([]byte, 0, vault.SealedSize(int64(room))), room: room}
}

// grow returns a larger buffer with the content of old, or old itself when there is no room.
func (b *buffers) grow(old *buffer) *buffer {
	next := slices.Index(b.rooms, old.room) + 1
	if next == len(b.rooms) || !b.budget.TryAcquire(int64(b.rooms[next]-old.room)) {
		return old
	}
	larger := b.take(b.rooms[next])
	larger.data = append(larger.data[:0], old.data...)
	b.shelve(old)
	return larger
}

// put takes a buffer back.
func (b *buffers) put(x *buffer) {
	b.budget.Release(int64(x.room))
	b.shelve(x)
}

func (b *buffers) shelve(x *buffer) {
	x.data = x.data[:0]
	b.free[x.room].Put(x)
}

func (x *buffer) full() bool { return len(x.data) == x.room }

// fill takes as much of p as there is room for.
func (x *buffer) fill(p []byte) int {
	n := min(len(p), x.room-len(x.data))
	x.data = append(x.data, p[:n]...)
	return n
}
