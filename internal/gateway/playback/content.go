package playback

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/reelflow/reelflow/video"
)

// representation is what an address holds, and how to read it.
type representation struct {
	etag string // strong, quoted
	size int64
	open func(ctx context.Context, offset, length int64) (content, error)
}

// content yields bytes in pieces, of a store or a seal of at most a chunk.
type content interface {
	// next returns a piece, which is good until the next call, or io.EOF after the last.
	next() ([]byte, error)
	close()
}

// serve answers with what of the representation is asked for. Nothing is opened for
// what needs no bytes. What can't be read at all is an error; an answer that has begun
// and can't go on is cut off, so that nobody takes it for whole.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, it representation) error {
	w.Header().Set("ETag", it.etag)
	p := partFor(r, it.etag, it.size)
	if err := p.refused(w, it.size); err != nil {
		return err
	}
	if r.Method == http.MethodHead || p.length == 0 {
		p.writeHead(w, it.size)
		return nil
	}
	bytes, err := it.open(r.Context(), p.offset, p.length)
	if err != nil {
		return retriable(err)
	}
	defer bytes.close()
	piece, err := bytes.next()
	if err != nil {
		return retriable(err)
	}
	p.writeHead(w, it.size)
	for ; err == nil; piece, err = bytes.next() {
		if _, err := w.Write(piece); err != nil {
			return s.cutOff(err)
		}
	}
	if !errors.Is(err, io.EOF) {
		return s.cutOff(err)
	}
	return nil
}

// retriable turns NotFound into Unavailable: the manifest has the object, so that the
// store lacks it for now, and whoever asks again may find it.
func retriable(err error) error {
	if video.CodeOf(err) == video.NotFound {
		return video.Errorf(video.Unavailable, "This can't be read at the moment. Please try again.").Because(err)
	}
	return err
}

// cutOff ends an answer in the middle, with its connection.
func (s *Server) cutOff(err error) error {
	s.log.Debug("answer cut off", "error", err)
	panic(http.ErrAbortHandler)
}

// buffers hold a piece of a stream: as much as one chunk of a seal.
var buffers = sync.Pool{New: func() any { return new([sealedChunkSize]byte) }}

// stream is content that comes from a store as it is.
type stream struct {
	body io.ReadCloser
	left int64
	room *[sealedChunkSize]byte
}

func (s *Server) stream(ctx context.Context, o object, offset, length int64) (content, error) {
	body, err := s.primary.Get(ctx, o.key, o.version, offset, length)
	if err != nil {
		return nil, err
	}
	return &stream{body, length, buffers.Get().(*[sealedChunkSize]byte)}, nil
}

func (s *stream) next() ([]byte, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	n, err := io.ReadFull(s.body, s.room[:min(s.left, sealedChunkSize)])
	s.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return s.room[:n], err
}

func (s *stream) close() {
	s.body.Close() // read to its end or given up
	buffers.Put(s.room)
}
