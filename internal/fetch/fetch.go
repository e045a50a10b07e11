// Package fetch reads a file from an address that a stranger gave, without being
// led to where a stranger has no business: no loopback, no private network, no
// cloud's metadata, whatever a name resolves to and wherever a redirect points.
// The address that counts is the one that is dialed, checked in the moment
// between the name's resolution and the connection, so that a name which resolves
// to something else the second time (DNS rebinding) gains nothing.
//
// Sources that allow ranges are read in several connections at once and from any
// offset on; others from their beginning. A source that becomes another one under
// way is noticed by its validators (RFC 9110, section 8.8).
//
// Nothing is kept here but idle connections, which go with Client.Close. Errors
// are video.Errors: Invalid, Forbidden, NotFound, TooLarge and Conflict (the
// source has changed) are final, Unavailable may pass. Neither their details nor
// their causes tell the address, which may hold somebody's token.
package fetch

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Policy is what may be fetched.
type Policy struct {
	// Allow names hosts, as HOST or HOST:PORT, that may be on a private network
	// or on this machine, and on any port. Link-local and metadata addresses
	// stay refused behind these names, too.
	Allow    []string
	MaxBytes int64

	resolver *net.Resolver // nil is the system's
}

// Client fetches by one policy. Its methods may be called from many goroutines.
type Client struct {
	policy  Policy
	http    *http.Client
	idle    time.Duration // without a byte for so long a body is given up
	between time.Duration // before the second try; doubles from there
}

const (
	maxRedirects   = 5
	connectTimeout = 10 * time.Second
	headTimeout    = 15 * time.Second // until an answer begins
	idleTimeout    = 20 * time.Second
	betweenTries   = 500 * time.Millisecond
)

// New makes a client. Proxies that the environment names are not used: they would
// dial in our stead, and unchecked.
func New(p Policy) *Client {
	c := &Client{policy: p, idle: idleTimeout, between: betweenTries}
	c.http = &http.Client{
		CheckRedirect: c.redirect,
		Transport: &http.Transport{
			DialContext:            p.dial,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    connectTimeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ResponseHeaderTimeout:  headTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    parallel,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true, // a range of a compressed file is of no use
		},
	}
	return c
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// redirect looks at each hop as at the first address. What it can't know, where
// the name leads, is looked at when it is dialed.
func (c *Client) redirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return video.Errorf(video.Invalid, "The address redirects more than %d times.", maxRedirects)
	}
	next.Header.Del("Referer") // the address may hold a token, which is not the next host's business
	return c.policy.checkURL(next.URL)
}

// get asks for the bytes from first to last, or for all of them when last is
// negative. Its body is to be closed. The answer's status is 200, 206 or 416.
func (c *Client) get(ctx context.Context, address string, first, last int64, guard string) (*http.Response, error) {
	bounded, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, address, nil)
	if err != nil {
		cancel()
		return nil, unreadable()
	}
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "reelflow")
	if last >= 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(last, 10))
		if guard != "" {
			request.Header.Set("If-Range", guard)
		}
	}
	answer, err := c.http.Do(request)
	if err != nil {
		cancel()
		return nil, fault(ctx, err)
	}
	answer.Body = &patient{body: answer.Body, ctx: ctx, cancel: cancel, idle: c.idle}
	if err := refusalOf(answer); err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer, nil
}
