package playback

import (
	"context"
	"errors"
	"io"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// sealedChunkSize is the most that a chunk takes.
const sealedChunkSize = vault.ChunkSize + vault.TagSize

// sealed is content that is opened from its seal, a chunk at a time: no more plain
// bytes than a chunk are ever held.
type sealed struct {
	server *Server
	ctx    context.Context
	id     video.ID
	object object
	source func(ctx context.Context, offset, length int64) (io.ReadCloser, error) // of the object as it is stored

	chunk      vault.Chunk // the next one
	skip, left int64       // plain bytes before what is wanted, and of what is wanted
	header     [vault.HeaderSize]byte
	hasHeader  bool
	body       io.ReadCloser // stands at the next chunk; nil when it is to be opened
	room       *[sealedChunkSize]byte
}

// openSealed reads length plain bytes of a sealed object from offset.
func (s *Server) openSealed(ctx context.Context, id video.ID, o object, offset, length int64) (*sealed, error) {
	chunk, err := vault.ChunkAt(offset, o.size)
	if err != nil {
		return nil, err
	}
	source := func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		return s.primary.Get(ctx, o.key, o.version, offset, length)
	}
	return &sealed{
		server: s, ctx: ctx, id: id, object: o, source: source,
		chunk: chunk, skip: offset % vault.ChunkSize, left: length, room: buffers.Get().(*[sealedChunkSize]byte),
	}, nil
}

// readTries is how often a chunk is asked for: a store may hang up on a reader who is
// slow because the viewer is.
const readTries = 3

func (c *sealed) next() ([]byte, error) {
	if c.left == 0 {
		return nil, io.EOF
	}
	var stored []byte
	var err error
	for range readTries {
		if stored, err = c.read(); err == nil || c.ctx.Err() != nil || video.CodeOf(err) != video.Unavailable {
			break
		}
		c.hangUp()
	}
	if err != nil {
		return nil, err
	}
	var plain []byte
	err = c.server.keys.with(c.ctx, c.id, func(k vault.Key) (err error) {
		plain, err = k.OpenChunk(c.object.key, c.header[:], c.object.size, c.chunk, stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.chunk = c.chunk.Next(c.object.size)
	plain = plain[min(c.skip, int64(len(plain))):]
	plain = plain[:min(c.left, int64(len(plain)))]
	c.skip = 0
	c.left -= int64(len(plain))
	return plain, nil
}

// read reads the next chunk as it is stored, and before the first one the header.
func (c *sealed) read() ([]byte, error) {
	if c.body == nil {
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	stored := c.room[:c.chunk.Length]
	_, err := io.ReadFull(c.body, stored)
	return stored, c.fault(err)
}

// connect opens the stored bytes at the next chunk. The header lies before the first
// one; for any other it is asked for by itself.
func (c *sealed) connect() error {
	from := c.chunk.Offset
	if !c.hasHeader {
		from = 0
		if c.chunk.Number > 0 {
			if err := c.readHeader(c.source(c.ctx, 0, vault.HeaderSize)); err != nil {
				return err
			}
			c.hangUp()
			from = c.chunk.Offset
		}
	}
	last, err := vault.ChunkAt(c.chunk.Number*vault.ChunkSize+c.skip+c.left-1, c.object.size)
	if err != nil {
		return err
	}
	body, err := c.source(c.ctx, from, last.Offset+last.Length-from)
	if err == nil && !c.hasHeader {
		return c.readHeader(body, err)
	}
	c.body = body
	return err
}

// readHeader takes over a body that begins with the header.
func (c *sealed) readHeader(body io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	c.body = body
	_, err = io.ReadFull(body, c.header[:])
	c.hasHeader = err == nil
	return c.fault(err)
}

// fault says of a body that ended too soon that it broke off.
func (c *sealed) fault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return video.Errorf(video.Unavailable, "This can't be read at the moment. Please try again.").Because(err)
	}
	return err
}

func (c *sealed) hangUp() {
	if c.body != nil {
		c.body.Close() // read to its end or given up
		c.body = nil
	}
}

func (c *sealed) close() {
	c.hangUp()
	buffers.Put(c.room)
}
