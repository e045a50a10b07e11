package vault

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"io"

	"github.com/reelflow/reelflow/video"
)

// NewWriter returns a writer that seals what is written to it as the object
// called identity, and writes it to w, a chunk at a time. Close writes the last
// chunk, without which nothing opens; it doesn't close w. Unavailable once the
// loan has ended; errors of w come through as they are, and stay.
func (k Key) NewWriter(identity string, w io.Writer) io.WriteCloser {
	s := &writer{key: k, dst: w}
	header := newHeader()
	if s.cipher, s.err = k.chunks(objectDomain, identity, header); s.err == nil {
		s.chunk = append(make([]byte, 0, HeaderSize+sealedChunk), header...)
		s.start = HeaderSize
	}
	return s
}

type writer struct {
	key    Key
	cipher cipher.AEAD
	dst    io.Writer
	chunk  []byte // what is to be written next: plaintext from start on
	start  int    // HeaderSize as long as the header is to go out before it
	next   int64
	closed bool
	err    error
}

func (w *writer) Write(p []byte) (n int, err error) {
	if w.closed {
		return 0, errors.New("write to a sealing writer that is closed")
	}
	for w.err == nil && n < len(p) {
		// A full chunk waits for the next byte: it might be the last.
		if len(w.chunk)-w.start == ChunkSize {
			w.flush(false)
			continue
		}
		m := min(len(p)-n, ChunkSize-(len(w.chunk)-w.start))
		w.chunk = append(w.chunk, p[n:n+m]...)
		n += m
	}
	return n, w.err
}

// Close implements io.Closer. Closing again returns the same.
func (w *writer) Close() error {
	if !w.closed && w.err == nil {
		w.flush(true)
	}
	w.closed = true
	return w.err
}

func (w *writer) flush(last bool) {
	if w.err = w.key.usable(); w.err != nil {
		return
	}
	out := w.cipher.Seal(w.chunk[:w.start], nonce(w.next, last), w.chunk[w.start:], nil)
	_, w.err = w.dst.Write(out)
	w.chunk, w.start, w.next = w.chunk[:0], 0, w.next+1
}

// NewReader returns a reader of the plaintext of a sealed object, which ends
// where r does. Only bytes that were sealed under this identity come out of it,
// in order; the first chunk that isn't whole ends it with Internal. Unavailable
// once the loan has ended; errors of r come through as they are. All errors stay.
func (k Key) NewReader(identity string, r io.Reader) io.Reader {
	return &reader{key: k, identity: identity, src: r}
}

type reader struct {
	key      Key
	identity string
	src      io.Reader
	part     *Span       // what src is of the object; nil if it is all of it
	cipher   cipher.AEAD // nil until the header has been read
	buf      [sealedChunk + 1]byte
	ahead    bool   // the last byte of buf is the first of the next chunk
	plain    []byte // opened and not read yet; lies in buf
	next     int64  // number of the next chunk
	started  bool
	err      error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && r.err == nil {
		r.err = r.advance()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// advance opens the next chunk; io.EOF after the last.
func (r *reader) advance() error {
	if r.cipher == nil {
		if err := r.readHeader(); err != nil {
			return err
		}
	}
	have := 0
	if r.started {
		if !r.ahead {
			return io.EOF
		}
		r.buf[0], have = r.buf[sealedChunk], 1
	}
	// Only the byte after a chunk tells whether it is the last.
	n, err := fill(r.src, r.buf[have:])
	if err != nil {
		return err
	}
	r.started, r.ahead = true, have+n > sealedChunk
	return r.open(r.buf[:min(have+n, sealedChunk)])
}

func (r *reader) open(chunk []byte) error {
	last, err := r.isLast()
	if err == nil {
		err = r.key.usable()
	}
	if err != nil {
		return err
	}
	plain, err := r.cipher.Open(chunk[:0], nonce(r.next, last), chunk, nil)
	if err != nil {
		return damagedData(err)
	}
	if last && r.next > 0 && len(plain) == 0 {
		return damagedData(errors.New("an empty chunk too many"))
	}
	if r.part != nil && r.next == r.part.first {
		plain = plain[min(r.part.skip, len(plain)):]
	}
	r.plain = plain
	r.next++
	return nil
}

// isLast tells whether the chunk in buf is the object's last.
func (r *reader) isLast() (bool, error) {
	if r.part == nil {
		return !r.ahead, nil
	}
	if !r.ahead && r.next != r.part.end-1 {
		return false, damagedData(io.ErrUnexpectedEOF)
	}
	return r.next == r.part.total-1, nil
}

func (r *reader) readHeader() error {
	header := r.buf[:HeaderSize]
	n, err := fill(r.src, header)
	if err != nil {
		return err
	}
	r.cipher, err = r.key.chunks(objectDomain, r.identity, header[:n])
	return err
}

// fill reads until buf is full or src ends. Unlike io.ReadFull it keeps the end
// of src, which is for the seal to judge, apart from src's own
// io.ErrUnexpectedEOF: a connection that broke.
func fill(src io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := src.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Span is the part of a sealed object that holds a range of its plaintext: the
// whole chunks that the range touches, without the header.
type Span struct {
	Offset, Length int64 // in the sealed object, in bytes: what to ask the store for

	first, end, total int64 // chunks: first of the span, one after its last, all of the object
	skip              int   // bytes of the first chunk's plaintext before the range
	size              int64 // bytes of the range
}

// Locate finds the Span of the n bytes of plaintext at off, in an object whose
// sealed size is known. Invalid if there is no such range, or if it is empty.
func Locate(off, n, sealedSize int64) (Span, error) {
	size, err := PlainSize(sealedSize)
	if err != nil {
		return Span{}, err
	}
	if off < 0 || n <= 0 || off >= size || n > size-off {
		return Span{}, video.Errorf(video.Invalid, "There is no such range.")
	}
	s := Span{
		first: off / ChunkSize, end: (off+n-1)/ChunkSize + 1, total: chunkCount(size),
		skip: int(off % ChunkSize), size: n,
	}
	s.Offset = HeaderSize + s.first*sealedChunk
	s.Length = min(HeaderSize+s.end*sealedChunk, sealedSize) - s.Offset
	return s, nil
}

// NewSpanReader returns a reader of the range that span was located for, given
// the object's first HeaderSize bytes and a reader of the span's sealed bytes.
// Errors as of NewReader.
func (k Key) NewSpanReader(identity string, header []byte, span Span, r io.Reader) (io.Reader, error) {
	c, err := k.chunks(objectDomain, identity, header)
	if err != nil {
		return nil, err
	}
	return io.LimitReader(k.spanReader(c, span, r), span.size), nil
}

func (k Key) spanReader(c cipher.AEAD, span Span, r io.Reader) *reader {
	return &reader{key: k, cipher: c, part: &span, next: span.first, src: io.LimitReader(r, span.Length)}
}

// ReaderAt reads the plaintext of a sealed object anywhere. It keeps no
// plaintext, so several goroutines may use it; each ReadAt is one of the
// source, of the whole chunks around it: read in large pieces.
type ReaderAt struct {
	key    Key
	cipher cipher.AEAD
	src    io.ReaderAt
	sealed int64
	size   int64
}

// NewReaderAt reads the header of the sealed object in src. The sealed size
// should come from where the object was recorded: who cuts off an object's end
// can also say that it is shorter, and only the last chunk would show it.
// Errors as of NewReader.
func (k Key) NewReaderAt(identity string, src io.ReaderAt, sealedSize int64) (*ReaderAt, error) {
	size, err := PlainSize(sealedSize)
	if err != nil {
		return nil, err
	}
	header := make([]byte, HeaderSize)
	if err := readAt(src, header, 0); err != nil {
		return nil, err
	}
	c, err := k.chunks(objectDomain, identity, header)
	if err != nil {
		return nil, err
	}
	r := &ReaderAt{key: k, cipher: c, src: src, sealed: sealedSize, size: size}
	if size == 0 {
		// Nothing will be read, so nothing else would notice if all were cut off.
		return r, r.readSpan(Span{Offset: HeaderSize, Length: TagSize, end: 1, total: 1}, nil)
	}
	return r, nil
}

// Size is the size of the plaintext, in bytes.
func (r *ReaderAt) Size() int64 { return r.size }

// ReadAt implements io.ReaderAt. Errors as of NewReader.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= 0 && off >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	wanted := p[:min(int64(len(p)), r.size-max(off, 0))]
	span, err := Locate(off, int64(len(wanted)), r.sealed)
	if err != nil {
		return 0, err
	}
	if err := r.readSpan(span, wanted); err != nil {
		return 0, err
	}
	if len(wanted) < len(p) {
		return len(wanted), io.EOF
	}
	return len(wanted), nil
}

// readSpan opens a span and fills p with the range that it holds.
func (r *ReaderAt) readSpan(span Span, p []byte) error {
	sealed := make([]byte, span.Length)
	if err := readAt(r.src, sealed, span.Offset); err != nil {
		return err
	}
	opened := r.key.spanReader(r.cipher, span, bytes.NewReader(sealed))
	if err := opened.advance(); err != nil {
		return err
	}
	_, err := io.ReadFull(opened, p)
	return err
}

// readAt fills buf. A source may say io.EOF with the last of its bytes; with
// fewer it was cut short.
func readAt(src io.ReaderAt, buf []byte, off int64) error {
	n, err := src.ReadAt(buf, off)
	if n == len(buf) {
		return nil
	}
	if err == io.EOF {
		return damagedData(io.ErrUnexpectedEOF)
	}
	return err
}
