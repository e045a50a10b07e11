package objects

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	dialTimeout  = 5 * time.Second
	stallTimeout = 20 * time.Second // without a byte in either direction while we wait for one
	writeStep    = 128 << 10        // bytes; what has to get through within stallTimeout
)

// newHTTPClient makes a client for many requests of a few MiB to one host. It
// bounds silence, not duration: a slow reader of a body or a slow line may
// take as long as it needs.
func newHTTPClient() *awshttp.BuildableClient {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return awshttp.NewBuildableClient().WithReadTimeout(0).WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{conn, stallTimeout}, nil
		}
		t.TLSHandshakeTimeout = dialTimeout
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 64
		// Shorter than stallTimeout, or the deadline of an idle connection could
		// strike just when it is taken into use again.
		t.IdleConnTimeout = stallTimeout / 2
		t.WriteBufferSize, t.ReadBufferSize = 128<<10, 128<<10
		t.DisableCompression = true
		// Parallel transfers are faster on connections of their own, and
		// stallConn can tell them apart.
		t.ForceAttemptHTTP2 = false
	})
}

// newRetryer bridges a hiccup; whoever waits for longer, waits in a workflow.
// It has no quota: the third attempt is the last in any case, and a used-up
// quota would hide the cause.
func newRetryer() aws.RetryerV2 {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 400 * time.Millisecond
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.RetryableErrorCode{Codes: map[string]struct{}{parentPruned: {}}},
		}, o.Retryables...)
	})
}

// stallConn fails when its peer falls silent. Reads are bounded from when they
// begin, and from each write on: the answer to a long upload may be waited for
// since before it.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:min(len(p), written+writeStep)])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
