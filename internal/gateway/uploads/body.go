package uploads

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/video"
)

// body is the body of a request that can be ended from outside at any moment, and that
// ends by itself when its bytes come too slowly.
type body struct {
	source   io.ReadCloser
	deadline func(time.Time) error // of reads, also of one that waits already
	sum      *checksum             // nil when the client sent none
	silence  time.Duration         // how long it may stay without a byte

	// Only for the goroutine that reads.
	ahead    []byte        // what was read ahead
	after    error         // what came after it; nil where there is more
	count    int64         // bytes read
	ended    bool          // read to its proper end
	patience time.Duration // how long it may stay without a byte from now on

	mu      sync.Mutex
	reason  error
	stopped chan struct{} // closed by the first halt
	woken   bool
	settled bool
}

// leastRate is how many bytes a second let a body go on for ever.
const leastRate = 512

func newBody(source io.ReadCloser, deadline func(time.Time) error, silence time.Duration, sum *checksum) *body {
	return &body{source: source, deadline: deadline, silence: silence, patience: silence, sum: sum, stopped: make(chan struct{})}
}

// halt ends the body: reads fail with reason from now on, also one that waits
// already. The first reason stays.
func (b *body) halt(reason error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason != nil {
		return
	}
	b.reason = reason
	close(b.stopped)
	if b.settled {
		return
	}
	b.woken = true
	// After the reason is set, or the reader could wake up without finding it.
	// It fails only where the connection is gone, and then nobody reads.
	_ = b.deadline(time.Now())
}

// settle makes halt wake nobody from now on, and reports whether it has. When no
// read of the body waits, the server itself reads to notice a client that leaves,
// and being woken it would end the context of every later request on the connection.
func (b *body) settle() (woken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled = true
	return b.woken
}

func (b *body) halted() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason
}

// await lets the next read wait for as long as there is patience, or says what halted the
// body: in one step with halt, whose deadline has to stay.
func (b *body) await() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == nil {
		_ = b.deadline(time.Now().Add(b.patience)) // without deadlines a body takes its time
	}
	return b.reason
}

// readAhead reads until n bytes have come, or the end, into memory, for Read to return them
// later, together with the error that came after them.
func (b *body) readAhead(n int64) {
	for b.after == nil && b.count < n {
		piece := make([]byte, firstRead)
		got, err := b.receive(piece)
		b.ahead, b.after = append(b.ahead, piece[:got]...), err
	}
}

// Read implements io.Reader. Once the body is halted it fails with the reason.
func (b *body) Read(p []byte) (int, error) {
	if len(b.ahead) == 0 && b.after == nil {
		return b.receive(p)
	}
	if reason := b.halted(); reason != nil {
		return 0, reason
	}
	n := copy(p, b.ahead)
	b.ahead = b.ahead[n:]
	if len(b.ahead) == 0 {
		b.ahead = nil
		return n, b.after
	}
	return n, nil
}

// receive returns what halted the body rather than the timeout that woke it, and errSlow
// when patience has come to its end: waiting uses it up, bytes give it back.
func (b *body) receive(p []byte) (int, error) {
	if reason := b.await(); reason != nil {
		return 0, reason
	}
	begun := time.Now()
	n, err := b.source.Read(p)
	b.patience = min(b.silence, b.patience-time.Since(begun)+time.Duration(n)*time.Second/leastRate)
	b.count += int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
		b.settle()
		return n, err
	case err == nil && b.patience > 0:
		return n, nil
	case err == nil:
		return n, errSlow
	}
	return n, b.whyFailed(err)
}

func (b *body) whyFailed(err error) error {
	if reason := b.halted(); reason != nil {
		return reason
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errSlow
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return err // the client has gone
	}
	return errUnreadable
}

func (b *body) Close() error { return b.source.Close() }

// checksum is an Upload-Checksum: https://tus.io/protocols/resumable-upload#checksum
type checksum struct {
	hash.Hash
	want []byte
}

const checksumAlgorithms = "sha1,sha256,md5"

// parseChecksum returns nil for an empty header, and Invalid for one that can't be checked.
func parseChecksum(header string) (*checksum, error) {
	if header == "" {
		return nil, nil
	}
	name, value, _ := strings.Cut(header, " ")
	var h hash.Hash
	switch name {
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	case "md5":
		h = md5.New()
	default:
		return nil, video.Errorf(video.Invalid, "Upload-Checksum can be one of %s.", checksumAlgorithms)
	}
	want, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil || len(want) != h.Size() {
		return nil, video.Errorf(video.Invalid, "Upload-Checksum is not a %s in base64.", name)
	}
	return &checksum{h, want}, nil
}

func (c *checksum) matches() bool { return subtle.ConstantTimeCompare(c.Sum(nil), c.want) == 1 }
