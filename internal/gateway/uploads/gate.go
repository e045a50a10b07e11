package uploads

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/video"
)

// ServeHTTP answers one request at Path. Whether the caller may make a video is
// the host's decision; everything else needs nothing but the upload's URL, which
// ends in 128 secret bits.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.start(w, r)
	crossOrigin(w.Header(), r)
	if err := c.route(); err != nil {
		s.refuse(c, err)
	}
	c.finish()
}

// route checks what can be checked before tusd sees the request.
func (c *call) route() error {
	if err := c.overrideMethod(); err != nil {
		return err
	}
	path, ok := strings.CutPrefix(c.r.URL.Path, strings.TrimSuffix(Path, "/"))
	if !ok {
		return errUnknown
	}
	c.token = strings.Trim(path, "/")
	url := *c.r.URL // the request's own stays as it was for whoever logs it
	url.Path = c.token
	c.r.URL = &url
	switch {
	case c.r.Method == http.MethodOptions:
		c.tus()
		return nil
	case c.token == "":
		return c.create()
	case !tokenForm.MatchString(c.token):
		return errUnknown
	case c.r.Method == http.MethodDelete:
		return c.cancel()
	}
	return c.visit()
}

// tokenForm is the form of every token; what has another was never given out.
var tokenForm = regexp.MustCompile(`^[a-z2-7]{26}$`)

func tokenHash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// overrideMethod does what tusd would do too late for us: the method is what
// X-HTTP-Method-Override says. https://tus.io/protocols/resumable-upload#x-http-method-override
func (c *call) overrideMethod() error {
	method := strings.ToUpper(strings.TrimSpace(c.r.Header.Get("X-HTTP-Method-Override")))
	if method == "" {
		return nil
	}
	c.r.Header = c.r.Header.Clone()
	c.r.Header.Del("X-HTTP-Method-Override")
	if c.r.Method != http.MethodPost {
		return nil
	}
	switch method {
	case http.MethodPatch, http.MethodDelete, http.MethodPost:
		c.r.Method = method
		return nil
	}
	return video.Errorf(video.Invalid, "X-HTTP-Method-Override can be PATCH or DELETE.")
}

// create lets tusd make an upload. The body, if there is one, is its beginning.
func (c *call) create() error {
	if err := c.fits(); err != nil {
		return err
	}
	if c.r.Header.Get("Upload-Concat") != "" {
		return video.Errorf(video.Invalid, "Uploads can't be concatenated. Send the video as one.")
	}
	if c.r.Method == http.MethodPost && c.server.echoes.answers(originOf(c.r)) {
		return errGone
	}
	return c.send()
}

// visit is HEAD and PATCH, and whatever else tusd refuses.
func (c *call) visit() error {
	if err := c.look(c.r.Context()); err != nil {
		return c.gone(err)
	}
	if over(c.upload) {
		return c.gone(errGone)
	}
	if c.r.Method != http.MethodPatch {
		c.tus()
		return nil
	}
	if err := inTheWay(c.upload); err != nil {
		return err
	}
	if err := c.fits(); err != nil {
		return err
	}
	return c.send()
}

// gone prepares for the client's next step: some begin from zero after a 410.
func (c *call) gone(err error) error {
	if errors.Is(err, errGone) {
		origin, known := c.server.memory.origin(c.token)
		if !known {
			origin = originOf(c.r)
			origin.length, origin.metadata = strconv.FormatInt(c.upload.Length, 10), ""
		}
		c.server.echoes.expect(origin, c.token)
	}
	return err
}

// send lets tusd read the body.
func (c *call) send() error {
	sum, err := parseChecksum(c.r.Header.Get("Upload-Checksum"))
	if err != nil {
		return err
	}
	defer c.open(sum)()
	c.tus()
	return nil
}

func (c *call) tus() { c.server.tus.ServeHTTP(c.answer, c.r) }

// fits refuses a length over the limit before a byte of it flows.
func (c *call) fits() error {
	n, err := strconv.ParseInt(c.r.Header.Get("Upload-Length"), 10, 64)
	if tooBig := err == nil && n > c.server.settings.MaxBytes; tooBig || errors.Is(err, strconv.ErrRange) {
		return c.server.tooLarge()
	}
	return nil
}

// cancel is tus's termination. It needs no lease: the workflow fences whoever has it.
func (c *call) cancel() error {
	if c.r.Header.Get("Tus-Resumable") != "1.0.0" && c.r.Header.Get("Upload-Draft-Interop-Version") == "" {
		return handler.ErrUnsupportedVersion
	}
	err := c.look(c.r.Context())
	if err == nil && !over(c.upload) {
		err = c.server.host.Cancel(c.r.Context(), c.upload.Video)
	}
	if err == nil {
		c.server.slots.end(c.upload.Video, errGone)
	}
	if err != nil && !errors.Is(err, errGone) && video.CodeOf(err) != video.Gone {
		return err
	}
	c.answer.Header().Set("Tus-Resumable", "1.0.0")
	c.answer.WriteHeader(http.StatusNoContent)
	return nil
}

// refuse answers with err: a tus answer as it is, any other as the host has it.
func (s *Server) refuse(c *call, err error) {
	e, ok := errors.AsType[handler.Error](err)
	if !ok {
		e = s.problem(c, err)
	}
	h := c.answer.Header()
	h.Set("Tus-Resumable", "1.0.0")
	h.Set("Cache-Control", "no-store")
	for name, value := range e.HTTPResponse.Header {
		h.Set(name, value)
	}
	if c.r.ContentLength != 0 && c.body == nil {
		h.Set("Connection", "close")
		c.body = newBody(c.r.Body, func() error { return nil }, nil)
	}
	c.answer.WriteHeader(e.HTTPResponse.StatusCode)
	if c.r.Method != http.MethodHead {
		// The client may have gone; there is nobody else to tell.
		_, _ = io.WriteString(c.answer, e.HTTPResponse.Body)
	}
}

// crossOrigin lets pages of any origin upload: they need a token of the user's
// own for it, and cookies are not accepted from elsewhere.
func crossOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		return
	}
	h.Set("Access-Control-Allow-Methods", "POST, HEAD, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", "86400")
}

const (
	exposedHeaders = "Location, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Expires, " +
		"Tus-Version, Tus-Resumable, Tus-Max-Size, Tus-Extension, Tus-Checksum-Algorithm, Retry-After, Reelflow-Video, " +
		"Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version, Upload-Limit"
	allowedHeaders = "Authorization, Content-Type, Idempotency-Key, Origin, X-Requested-With, X-Request-ID, X-HTTP-Method-Override, " +
		"Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Checksum, Upload-Concat, " +
		"Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version"
)
