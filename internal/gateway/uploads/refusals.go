package uploads

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Statuses of tus 1.0 that HTTP itself gives no name.
const statusChecksumMismatch = 460

// What stands in the way of a request that could succeed later or elsewhere has
// status 423: tus clients then ask for the offset and try again, while any other
// 4xx makes them give up, and at a HEAD begin from zero.
var (
	errPaused     = refusal(http.StatusLocked, video.Conflict, "This upload is paused. Resume it, then send on from the stored offset.", 10)
	errDraft      = refusal(http.StatusLocked, video.Conflict, "This video is kept as a draft. Resume it, then send on from the stored offset.", 60)
	errSuperseded = refusal(http.StatusLocked, video.Conflict, "Another request took this upload up. Ask for the offset and go on from there.", 1)
	errBusy       = refusal(http.StatusLocked, video.Conflict, "Another request is still using this upload. Please try again in a moment.", 1)
	errSilent     = refusal(http.StatusLocked, video.Conflict, "No byte has come for too long. Ask for the offset and go on from there.", 1)
	errNotNow     = refusal(http.StatusLocked, video.Unavailable, "How far this upload is can't be said right now. Please try again in a moment.", 3)
	errStopping   = refusal(http.StatusServiceUnavailable, video.Unavailable, "The server is being restarted. What has come is stored; please go on in a moment.", 1)
	errDown       = refusal(http.StatusServiceUnavailable, video.Unavailable, "The upload can't be stored right now. Please try again in a moment.", 3)
	errGone       = refusal(http.StatusGone, video.Gone, "This upload was canceled or has expired.", 0)
	errUnknown    = refusal(http.StatusNotFound, video.NotFound, "There is no such upload.", 0)
	errChecksum   = refusal(statusChecksumMismatch, video.Invalid, "The bytes don't match their Upload-Checksum. None of them was kept; please send them again.", 0)
)

// problem is an RFC 9457 body, for the statuses of tus that video's codes don't have.
type problem struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Code   video.Code `json:"code"`
	Detail string     `json:"detail"`
}

// refusal makes an answer that tusd sends as it is. retryAfter is in seconds.
func refusal(status int, code video.Code, detail string, retryAfter int) handler.Error {
	title := http.StatusText(status)
	if status == statusChecksumMismatch {
		title = "Checksum Mismatch"
	}
	// A struct of strings and numbers can't fail to be marshalled.
	text, _ := json.Marshal(problem{"about:blank", title, status, code, detail})
	e := handler.NewError(fmt.Sprintf("ERR_%d", status), detail, status)
	e.HTTPResponse.Body = string(text)
	e.HTTPResponse.Header = handler.HTTPHeader{"Content-Type": "application/problem+json"}
	if retryAfter > 0 {
		e.HTTPResponse.Header["Retry-After"] = strconv.Itoa(retryAfter)
	}
	return e
}

func (s *Server) tooLarge() error {
	return video.Errorf(video.TooLarge, "An upload can have at most %d bytes (%.1f MB).",
		s.settings.MaxBytes, float64(s.settings.MaxBytes)/1e6)
}

var errTooLong = refusal(http.StatusRequestEntityTooLarge, video.TooLarge,
	"The body is longer than the upload has bytes left. Its end was not kept.", 0)

// answerTo turns any error into the answer that tusd sends: our own as they are,
// a fence as 423, since whoever was fenced off may ask for the offset and go on.
func (s *Server) answerTo(c *call, err error) error {
	if ready, ok := errors.AsType[handler.Error](err); ok {
		return ready
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errDown // it took too long; see manifest.Appender
	}
	switch video.CodeOf(err) {
	case video.Gone:
		return errGone
	case video.Conflict:
		if e, ok := errors.AsType[*video.Error](err); ok {
			return refusal(http.StatusLocked, video.Conflict, e.Detail, 1)
		}
	case video.Unavailable:
		return errDown
	}
	return s.problem(c, err)
}

// problem is the host's answer to err, in the form that tusd sends.
func (s *Server) problem(c *call, err error) handler.Error {
	p := capture{header: http.Header{}, status: http.StatusInternalServerError}
	s.host.Problem(&p, c.r, err)
	e := handler.NewError("ERR_"+string(video.CodeOf(err)), "refused", p.status)
	e.HTTPResponse.Body = p.body.String()
	e.HTTPResponse.Header = handler.HTTPHeader{}
	for name := range p.header {
		e.HTTPResponse.Header[name] = p.header.Get(name)
	}
	return e
}

// capture is a ResponseWriter that keeps a short answer.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(status int)      { c.status = status }
func (c *capture) Write(p []byte) (int, error) { return c.body.Write(p) }

// over reports whether the upload has come to its end, so that nothing of it can be asked any more.
func over(u catalog.Upload) bool {
	switch u.Stage {
	case video.PendingDeletion, video.Purging, video.Purged, video.Rejected, video.Canceled:
		return true
	}
	return u.Ending != "" && !u.Draft
}

// inTheWay is why nothing can be added to the upload now; nil when something can.
func inTheWay(u catalog.Upload) error {
	switch {
	case over(u):
		return errGone
	case u.Draft:
		return errDraft
	case u.Paused:
		return errPaused
	}
	return nil
}
