package vault

import (
	"errors"

	"github.com/reelflow/reelflow/video"
)

// Chunk is where one chunk of a sealed object lies.
type Chunk struct {
	Number         int64
	Offset, Length int64 // in the sealed object, in bytes; the header is before chunk 0
}

// ChunkAt finds the chunk that holds the plain byte at off, of an object whose sealed
// size is known. Invalid if there is no such byte.
func ChunkAt(off, sealedSize int64) (Chunk, error) {
	size, err := PlainSize(sealedSize)
	if err != nil {
		return Chunk{}, err
	}
	if off < 0 || off >= size {
		return Chunk{}, video.Errorf(video.Invalid, "There is no such range.")
	}
	return chunk(off/ChunkSize, sealedSize), nil
}

// Next is the chunk after c, whose Length is 0 after the last.
func (c Chunk) Next(sealedSize int64) Chunk { return chunk(c.Number+1, sealedSize) }

func chunk(n, sealedSize int64) Chunk {
	from := HeaderSize + n*sealedChunk
	return Chunk{Number: n, Offset: from, Length: max(0, min(sealedChunk, sealedSize-from))}
}

// OpenChunk opens one chunk of a sealed object by itself, in place: what it returns lies
// in sealed, which is overwritten also by a failure. Header is the object's first HeaderSize
// bytes. The sealed size should come from where the object was recorded: who cuts off
// an object's end can also say that it is shorter, and only the last chunk would show
// it. Internal if the chunk was changed, moved, or never was ours; Unavailable if the
// loan has ended.
func (k Key) OpenChunk(identity string, header []byte, sealedSize int64, c Chunk, sealed []byte) ([]byte, error) {
	if c != chunk(c.Number, sealedSize) || int64(len(sealed)) != c.Length || c.Length < TagSize {
		return nil, damagedData(errors.New("not a chunk of an object of this size"))
	}
	cipher, err := k.chunks(objectDomain, identity, header)
	if err != nil {
		return nil, err
	}
	plain, err := cipher.Open(sealed[:0], nonce(c.Number, c.Offset+c.Length == sealedSize), sealed, nil)
	if err != nil {
		return nil, damagedData(err)
	}
	return plain, nil
}
