// Package client talks to the gateway as a program outside would: the API, the
// resumable upload, the events. It keeps nothing and changes nothing here; what
// it makes exists at the gateway, by the rules of the HTTP contract.
//
// Every error that the gateway explained is a *video.Error with the code and the
// detail of its problem (RFC 9457); a gateway that can't be reached is
// video.Unavailable, and so is one in whose place something else answers: the sign-in
// page of a network, or of a company's proxy.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Client is somebody at a gateway. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client of the gateway at address for whoever the bearer token is.
// An empty token is nobody. It fails with Invalid for an address that is none.
func New(address, token string) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || base.Host == "" {
		return nil, video.Errorf(video.Invalid, "%q is not the address of a gateway.", address)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ExpectContinueTimeout = 2 * time.Second
	return &Client{base: base, token: token, http: &http.Client{Transport: transport}}, nil
}

// Through has every request sent by what wrap makes of the client's transport, such as
// one that looks at the answers. It must be called before the first request.
func (c *Client) Through(wrap func(http.RoundTripper) http.RoundTripper) *Client {
	c.http.Transport = wrap(c.http.Transport)
	return c
}

// answerTimeout bounds a call without a long body. A command is answered once it
// has taken hold, which may take as long as a frozen worker is believed in.
const answerTimeout = time.Minute

// Call sends in, if any, as JSON and reads the answer into out, if any.
func (c *Client) Call(ctx context.Context, method, path string, in, out any, headers ...string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
		headers = append(headers, "Content-Type", "application/json")
	}
	answer, err := c.send(ctx, method, path, body, headers...)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		return nil
	}
	if err := checkType(answer, "application/json"); err != nil {
		return err
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return video.Errorf(video.Unavailable, "The gateway's answer could not be read.").Because(err)
	}
	return nil
}

// Fetch gets an address of any kind, such as those of playback.
func (c *Client) Fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := c.send(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// send returns any answer below 400 but a page for people, which no address of the API
// gives; whoever calls closes its body.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Response, error) {
	request, err := c.request(ctx, method, path, body, headers...)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if answer.StatusCode >= 400 {
		defer answer.Body.Close()
		return nil, problem(answer)
	}
	if isPage(answer) {
		answer.Body.Close()
		return nil, notTheGateway(answer)
	}
	return answer, nil
}

// checkType refuses an answer of another media type than the gateway gives here: it is
// not the gateway's, however well it went.
func checkType(answer *http.Response, want string) error {
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || kind != want {
		return notTheGateway(answer)
	}
	return nil
}

func isPage(answer *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // one that can't be read is none
	return kind == "text/html"
}

func notTheGateway(answer *http.Response) error {
	return video.Errorf(video.Unavailable, "Something on the way to the gateway answers in its place, such as the sign-in page of a network.").
		Because(fmt.Errorf("%s with the content type %q", answer.Status, answer.Header.Get("Content-Type")))
}

func (c *Client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return video.Errorf(video.Unavailable, "The gateway at %s can't be reached.", c.base).Because(err)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Request, error) {
	target, err := c.base.Parse(path)
	if err != nil {
		return nil, video.Errorf(video.Invalid, "%q is not an address.", path).Because(err)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	// The token is for the gateway, not for wherever an answer points.
	if c.token != "" && target.Host == c.base.Host {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request, nil
}

// codes are for answers without a problem document, as proxies and tus give them.
var codes = map[int]video.Code{
	http.StatusBadRequest:            video.Invalid,
	http.StatusUnauthorized:          video.Unauthenticated,
	http.StatusForbidden:             video.Forbidden,
	http.StatusNotFound:              video.NotFound,
	http.StatusConflict:              video.Conflict,
	http.StatusGone:                  video.Gone,
	http.StatusRequestEntityTooLarge: video.TooLarge,
	http.StatusUnsupportedMediaType:  video.UnsupportedMedia,
	http.StatusTooManyRequests:       video.RateLimited,
	http.StatusInternalServerError:   video.Internal,
}

const problemLimit = 64 << 10

// problem is the error that a refusal stands for. A page that says 'sign in' comes from
// something in between: the gateway speaks of that to programs as a problem.
func problem(answer *http.Response) error {
	var said struct {
		Code   video.Code `json:"code"`
		Detail string     `json:"detail"`
		Reason string     `json:"reason"`
	}
	body, readErr := io.ReadAll(io.LimitReader(answer.Body, problemLimit))
	from := refusal{status: answer.StatusCode, wait: retryAfter(answer.Header)}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") &&
		json.Unmarshal(body, &said) == nil && said.Detail != "" {
		from.explained = true
		return video.Errorf(said.Code, "%s", said.Detail).For(said.Reason).Because(from)
	}
	code, known := codes[answer.StatusCode]
	switch {
	case isPage(answer) && asksToSignIn(answer.StatusCode):
		return notTheGateway(answer)
	case known:
	case answer.StatusCode < 500:
		code = video.Invalid
	default:
		code = video.Unavailable
	}
	failure := video.Errorf(code, "The gateway answered %s.", answer.Status)
	return failure.Because(errors.Join(from, readErr))
}

func asksToSignIn(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusNetworkAuthenticationRequired:
		return true
	}
	return false
}

// refusal is the answer behind an error.
type refusal struct {
	status    int
	wait      time.Duration // until it makes sense to ask again, as the answer said; 0 if it did not
	explained bool          // by a problem document: it is the gateway's, not that of something in between
}

func (r refusal) Error() string { return fmt.Sprintf("HTTP status %d", r.status) }

// StatusOf returns the HTTP status that err came from, or 0.
func StatusOf(err error) int { return refusalOf(err).status }

func refusalOf(err error) refusal {
	r, _ := errors.AsType[refusal](err)
	return r
}

// retryAfter reads a Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// longestWait bounds what an answer may ask for: whoever waits looks again by then.
const longestWait = 5 * time.Minute

// pauseBefore is how long to wait before trying again for the attempt-th time in vain:
// it doubles from a quarter of a second to ten seconds, and is longer where the answer
// asked for that.
func pauseBefore(attempt int, why error) time.Duration {
	grown := min(250*time.Millisecond<<min(attempt, 10), 10*time.Second)
	return max(grown, min(refusalOf(why).wait, longestWait))
}
