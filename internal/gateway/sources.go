package gateway

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// source is what http.ServeContent reads from. Before it writes the header,
// prepare finds out whether anything can be read.
type source interface {
	io.ReadSeeker
	io.Closer
	prepare(rangeHeader string) error
}

// stored reads an object as it lies in a store, from wherever it is asked for.
type stored struct {
	ctx    context.Context
	store  objects.Store
	object catalog.Object
	offset int64 // of the next read
	body   io.ReadCloser
	at     int64 // where body stands
}

func (s *stored) prepare(rangeHeader string) error {
	if rangeHeader == "" {
		return s.open()
	}
	// Where the range begins is for ServeContent to say.
	_, err := s.store.Stat(s.ctx, s.object.Key, s.object.Version)
	return err
}

// open makes body stand at offset. ServeContent seeks to the end and back to
// learn the size: what is open stays open meanwhile.
func (s *stored) open() (err error) {
	if s.body != nil && s.at == s.offset {
		return nil
	}
	if err := s.Close(); err != nil {
		return err
	}
	s.body, err = s.store.Get(s.ctx, s.object.Key, s.object.Version, s.offset, -1)
	s.at = s.offset
	return err
}

// Read implements io.Reader.
func (s *stored) Read(p []byte) (int, error) {
	if s.offset >= s.object.Size {
		return 0, io.EOF
	}
	if err := s.open(); err != nil {
		return 0, err
	}
	n, err := s.body.Read(p)
	s.offset += int64(n)
	s.at = s.offset
	return n, err
}

// Seek implements io.Seeker.
func (s *stored) Seek(offset int64, whence int) (int64, error) {
	to, err := seek(s.offset, s.object.Size, offset, whence)
	if err == nil {
		s.offset = to
	}
	return to, err
}

// Close implements io.Closer.
func (s *stored) Close() error {
	if s.body == nil {
		return nil
	}
	body := s.body
	s.body = nil
	return body.Close()
}

func seek(now, size, offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += now
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	return offset, nil
}

// sealedFile reads the plain bytes of an upload through its manifest, one sealed
// segment in memory at a time. Before each it looks whether the video may still
// be read, so a deletion ends the longest download within one segment.
type sealedFile struct {
	ctx      context.Context
	gateway  *Gateway
	id       video.ID
	segments []catalog.Object // in the order of their offsets
	size     int64
	offset   int64
	open     int    // index of the segment that plain holds; -1 for none
	plain    []byte // of that segment
}

func newSealedFile(ctx context.Context, g *Gateway, id video.ID, segments []catalog.Object) *sealedFile {
	sort.Slice(segments, func(i, j int) bool { return segments[i].Offset < segments[j].Offset })
	last := segments[len(segments)-1]
	return &sealedFile{ctx: ctx, gateway: g, id: id, segments: segments, size: last.Offset + last.PlainSize, open: -1}
}

func (f *sealedFile) prepare(string) error { return f.load(0) }

// Read implements io.Reader.
func (f *sealedFile) Read(p []byte) (int, error) {
	if f.offset >= f.size {
		return 0, io.EOF
	}
	i := sort.Search(len(f.segments), func(i int) bool { return f.segments[i].Offset > f.offset }) - 1
	if i < 0 {
		return 0, errors.New("the manifest has a hole at its start")
	}
	if err := f.load(i); err != nil {
		return 0, err
	}
	from := f.offset - f.segments[i].Offset
	if from >= int64(len(f.plain)) {
		return 0, errors.New("the manifest has a hole")
	}
	n := copy(p, f.plain[from:])
	f.offset += int64(n)
	return n, nil
}

func (f *sealedFile) load(i int) error {
	if f.open == i {
		return nil
	}
	row, err := f.gateway.catalog.Video(f.ctx, f.id)
	if err != nil {
		return err
	}
	if err := factsOf(row, insiders.roles()).Access().Watches; err != nil {
		return err
	}
	plain, err := f.gateway.openObject(f.ctx, f.segments[i])
	if err != nil {
		return err
	}
	f.plain, f.open = plain, i
	return nil
}

// Seek implements io.Seeker.
func (f *sealedFile) Seek(offset int64, whence int) (int64, error) {
	to, err := seek(f.offset, f.size, offset, whence)
	if err == nil {
		f.offset = to
	}
	return to, err
}

// Close implements io.Closer.
func (f *sealedFile) Close() error { f.plain = nil; return nil }
