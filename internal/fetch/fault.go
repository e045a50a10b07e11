package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/video"
)

// fault says what a failure to get an answer means.
func fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return video.Errorf(video.Unavailable, "The import was interrupted.").Because(ctx.Err())
	}
	if known, ok := errors.AsType[*video.Error](err); ok {
		return known
	}
	cause := bare(err)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return video.Errorf(video.Invalid, "There is no host of the name in the address to import from.").Because(cause)
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if certificate || record {
		return video.Errorf(video.Invalid, "The host to import from has no valid certificate.").Because(cause)
	}
	return broken(cause)
}

func broken(cause error) *video.Error {
	return video.Errorf(video.Unavailable, "The host to import from gives no answer.").Because(cause)
}

func changed() *video.Error {
	return video.Errorf(video.Conflict, "The file at the address has changed since the import began. Start a new import.")
}

// bare is a cause without any address: what errors of the net packages quote
// would end up in logs.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("lookup: not found %t, timeout %t", dns.IsNotFound, dns.IsTimeout)
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	for _, plain := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded, net.ErrClosed} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return errors.New("timeout")
	}
	return fmt.Errorf("%T", err)
}

// refusalOf is what an answer says that holds no bytes for us, or nil.
func refusalOf(answer *http.Response) error {
	status := answer.StatusCode
	encoding := answer.Header.Get("Content-Encoding")
	switch {
	case status == http.StatusRequestedRangeNotSatisfiable:
		return nil
	case (status == http.StatusOK || status == http.StatusPartialContent) && (encoding == "" || encoding == "identity"):
		return nil
	case encoding != "" && status < 300:
		return video.Errorf(video.Invalid, "The host to import from sends compressed data, which was not asked for.")
	case status == http.StatusNotFound || status == http.StatusGone:
		return video.Errorf(video.NotFound, "There is nothing at the address to import from (HTTP %d). Check the address.", status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusPaymentRequired || status == http.StatusUnavailableForLegalReasons:
		return video.Errorf(video.Forbidden, "The host to import from gives this file only to some (HTTP %d). Make it accessible, or upload it.", status)
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests || status >= 500:
		return video.Errorf(video.Unavailable, "The host to import from can't answer at the moment (HTTP %d).", status)
	}
	return video.Errorf(video.Invalid, "The host to import from gives no file at this address (HTTP %d).", status)
}

// patient is a body that is given up when nothing comes for a while. Only the
// time in Read counts: a reader may take its time.
type patient struct {
	body   io.ReadCloser
	ctx    context.Context // the caller's
	cancel context.CancelFunc
	idle   time.Duration
	once   sync.Once
}

// Read returns io.EOF or a video.Error.
func (p *patient) Read(b []byte) (int, error) {
	timer := time.AfterFunc(p.idle, p.cancel)
	defer timer.Stop()
	n, err := p.body.Read(b)
	if err != nil && err != io.EOF {
		err = fault(p.ctx, err)
	}
	return n, err
}

// Close may be called while another goroutine reads.
func (p *patient) Close() (err error) {
	p.once.Do(func() {
		p.cancel()
		err = p.body.Close()
	})
	return err
}
