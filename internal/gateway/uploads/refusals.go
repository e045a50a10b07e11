package uploads

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// Statuses of tus 1.0 that HTTP itself gives no name.
const statusChecksumMismatch = 460

// What stands in the way of a request that could succeed later or elsewhere has
// status 423: tus clients then ask for the offset and try again, as they do after a 5xx,
// while any other 4xx makes them give up, and at a HEAD begin from zero.
var (
	errPaused     = refusal(http.StatusLocked, video.Conflict, "paused", "This upload is paused. Resume it, then send on from the stored offset.", 10)
	errDraft      = refusal(http.StatusLocked, video.Conflict, "draft", "This video is kept as a draft. Resume it, then send on from the stored offset.", 60)
	errSuperseded = refusal(http.StatusLocked, video.Conflict, "superseded", "Another request took this upload up. Ask for the offset and go on from there.", 1)
	errBusy       = refusal(http.StatusLocked, video.Conflict, "busy", "Another request is still using this upload. Please try again in a moment.", 1)
	errNotNow     = refusal(http.StatusLocked, video.Unavailable, "", "How far this upload is can't be said right now. Please try again in a moment.", 3)
	errSlow       = refusal(http.StatusServiceUnavailable, video.Unavailable, "slow", "The bytes came too slowly. What has come is stored: ask for the offset and go on from there.", 1)
	errCrowded    = refusal(http.StatusServiceUnavailable, video.Unavailable, "slow", "Many small pieces are waiting to be stored. Send pieces of at least 64 KiB, or try again in a moment.", 3)
	errStopping   = refusal(http.StatusServiceUnavailable, video.Unavailable, "", "The server is being restarted. What has come is stored; please go on in a moment.", 1)
	errDown       = refusal(http.StatusServiceUnavailable, video.Unavailable, "", "The upload can't be stored right now. Please try again in a moment.", 3)
	errGone       = refusal(http.StatusGone, video.Gone, "", "This upload was canceled or has expired.", 0)
	errUnknown    = refusal(http.StatusNotFound, video.NotFound, "", "There is no such upload.", 0)
	errChecksum   = refusal(statusChecksumMismatch, video.Invalid, "checksum", "The bytes don't match their Upload-Checksum. None of them was kept; please send them again.", 0)
	errUnreadable = refusal(http.StatusBadRequest, video.Invalid, "", "The body can't be read to its end. What has come is stored: ask for the offset and go on from there.", 0)
	errTooShort   = refusal(http.StatusBadRequest, video.Invalid, "piece_too_small", "This upload has come in very many small pieces. Send at least 64 KiB a piece; only the last may be shorter.", 0)
	errTooLong    = refusal(http.StatusRequestEntityTooLarge, video.TooLarge, "", "The body is longer than the upload has bytes left. Its end was not kept.", 0)
)

// libraryRefusals are tusd's own, by the key that their text begins with, with what can be done about them.
var libraryRefusals = map[string]struct{ reason, detail string }{
	"ERR_UNSUPPORTED_VERSION":         {"tus_version", "Send the header Tus-Resumable: 1.0.0. This is tus 1.0: https://tus.io/protocols/resumable-upload"},
	"ERR_MISMATCHED_OFFSET":           {"offset", "Upload-Offset is not where the upload stands. Ask for the offset by HEAD and go on from there."},
	"ERR_INVALID_OFFSET":              {"", "Upload-Offset must say how many bytes are stored."},
	"ERR_INVALID_CONTENT_TYPE":        {"", "Send the bytes with Content-Type: application/offset+octet-stream."},
	"ERR_INVALID_UPLOAD_LENGTH":       {"", "Upload-Length must be the bytes of the whole file, as a number, and can't be changed."},
	"ERR_AMBIGUOUS_UPLOAD_LENGTH":     {"", "Send either Upload-Length or Upload-Defer-Length, not both."},
	"ERR_INVALID_UPLOAD_LENGTH_DEFER": {"", "Upload-Defer-Length can only be 1."},
	"ERR_UNEXPECTED_EOF":              {"", "The body ended too soon. What has come is stored: ask for the offset and go on from there."},
	"ERR_UPLOAD_SIZE_EXCEEDED":        {"", "The body is longer than the upload has bytes left."},
	"ERR_MAX_SIZE_EXCEEDED":           {"", "The upload is larger than this server takes."},
}

// ofLibrary is the problem that a refusal of tusd's stands for. The status stays, but
// for that of another Content-Type (https://tus.io/protocols/resumable-upload#patch).
func ofLibrary(status int, key string) error {
	said := libraryRefusals[key]
	if said.detail == "" {
		said.detail = "The request can't be understood: " + strings.ToLower(http.StatusText(status)) + "."
	}
	if key == "ERR_INVALID_CONTENT_TYPE" {
		status = http.StatusUnsupportedMediaType // as the protocol has it, where the library says 400
	}
	p := problem.OfStatus(status, said.detail)
	p.Status, p.Title, p.Reason = status, http.StatusText(status), said.reason
	return asAnswer(p)
}

// refusal makes an answer that tusd sends as it is. retryAfter is in seconds.
func refusal(status int, code video.Code, reason, detail string, retryAfter int) handler.Error {
	p := problem.New(code, detail)
	p.Status, p.Title, p.Reason = status, http.StatusText(status), reason
	if status == statusChecksumMismatch {
		p.Title = "Checksum Mismatch"
	}
	e := asAnswer(p)
	if retryAfter > 0 {
		e.HTTPResponse.Header["Retry-After"] = strconv.Itoa(retryAfter)
	}
	return e
}

// asAnswer is a problem in the form that tusd sends.
func asAnswer(p *problem.Problem) handler.Error {
	// A struct of strings and numbers can't fail to be marshalled.
	text, _ := json.Marshal(p)
	e := handler.NewError("ERR_"+string(p.Code)+"_"+p.Reason, p.Detail, p.Status)
	e.HTTPResponse.Body = string(text) + "\n"
	e.HTTPResponse.Header = handler.HTTPHeader{"Content-Type": problem.MediaType}
	for name := range p.GetHeaders() {
		e.HTTPResponse.Header[name] = p.GetHeaders().Get(name)
	}
	return e
}

func isProblem(h http.Header) bool { return h.Get("Content-Type") == problem.MediaType }

// notAllowed is the answer to a method that an address doesn't take (RFC 9110, section 15.5.6).
func notAllowed(method, allow string) error {
	e := refusal(http.StatusMethodNotAllowed, video.Invalid, "", "This address does not take "+method+"; it takes "+allow+".", 0)
	e.HTTPResponse.Header["Allow"] = allow
	return e
}

func (s *Server) tooLarge() error {
	return video.Errorf(video.TooLarge, "An upload can have at most %d bytes (%.1f MB).",
		s.settings.MaxBytes, float64(s.settings.MaxBytes)/1e6)
}

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
			return refusal(http.StatusLocked, video.Conflict, e.Reason, e.Detail, 1)
		}
	case video.Unavailable:
		return errDown
	}
	return s.problem(c, err)
}

// problem is the host's answer to err, in the form that tusd sends.
func (s *Server) problem(c *call, err error) handler.Error {
	return asAnswer(s.host.Problem(c.r.Context(), err))
}

// refuse answers with err: one of tusd's form as it is, any other as the host has it.
func (c *call) refuse(err error) {
	e, ok := errors.AsType[handler.Error](err)
	if !ok {
		e = c.server.problem(c, err)
	} else if e.HTTPResponse.Header["Content-Type"] != problem.MediaType {
		e, _ = errors.AsType[handler.Error](ofLibrary(e.HTTPResponse.StatusCode, e.ErrorCode))
	}
	h := c.answer.Header()
	h.Del("Content-Length")
	h.Set("Tus-Resumable", "1.0.0")
	h.Set("Cache-Control", "no-store")
	for name, value := range e.HTTPResponse.Header {
		h.Set(name, value)
	}
	c.answer.WriteHeader(e.HTTPResponse.StatusCode)
	if c.r.Method != http.MethodHead {
		// The client may have gone; there is nobody else to tell.
		_, _ = io.WriteString(c.answer, e.HTTPResponse.Body)
	}
}

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
