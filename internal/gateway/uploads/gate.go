package uploads

import (
	"crypto/sha256"
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/video"
)

// Register puts the routes of the server on a mux, each method with a pattern of its
// own, so that the mux refuses every other method. Whether the caller may make a video
// is the host's decision; everything else needs nothing but the upload's URL, which
// ends in 128 secret bits.
func (s *Server) Register(mux interface {
	Handle(pattern string, h http.Handler)
}) {
	const upload = Path + "{token}"
	for _, all := range []string{strings.TrimSuffix(Path, "/"), Path + "{$}"} {
		mux.Handle("POST "+all, s.handle((*call).create))
		mux.Handle("OPTIONS "+all, s.handle((*call).options))
	}
	mux.Handle("OPTIONS "+upload, s.handle((*call).options))
	mux.Handle("HEAD "+upload, s.handle((*call).head))
	mux.Handle("PATCH "+upload, s.handle((*call).patch))
	mux.Handle("DELETE "+upload, s.handle((*call).terminate))
	mux.Handle("POST "+upload, s.handle((*call).override))
}

// handle answers one request by do, whose error is the answer when there is one.
func (s *Server) handle(do func(*call) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.start(w, r)
		crossOrigin(w.Header(), r)
		if err := do(c); err != nil {
			c.refuse(err)
		}
		c.answer.end()
		c.finish()
	})
}

// tokenForm is the form of every token; what has another was never given out.
var tokenForm = regexp.MustCompile(`^[a-z2-7]{26}$`)

func tokenHash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// options says what the server can: https://tus.io/protocols/resumable-upload#options
func (c *call) options() error {
	c.server.tus.options.ServeHTTP(c.answer, c.r)
	return nil
}

// create lets tusd make an upload. The body, if there is one, is its beginning.
func (c *call) create() error {
	if method := overridden(c.r); method != "" && method != http.MethodPost {
		return notAllowed(method, "OPTIONS, POST")
	}
	c.r.Header.Del(overrideHeader) // tusd would take it for the method, in whatever case
	if err := c.checkLength(); err != nil {
		return err
	}
	if err := checkDraft(c.r.Header); err != nil {
		return err
	}
	if c.r.Header.Get("Upload-Concat") != "" {
		return video.Errorf(video.Invalid, "Uploads can't be concatenated. Send the video as one.")
	}
	var err error
	if c.metadata, err = parseMetadata(c.r.Header.Values("Upload-Metadata")); err != nil {
		return err
	}
	if c.server.echoes.answers(originOf(c.r)) {
		return errGone
	}
	return c.send(c.server.tus.post)
}

// override is a POST that stands for another method, for clients that can't send that.
// https://tus.io/protocols/resumable-upload#x-http-method-override
func (c *call) override() error {
	switch method := overridden(c.r); method {
	case http.MethodPatch:
		c.r.Method = method
		return c.patch()
	case http.MethodDelete:
		c.r.Method = method
		return c.terminate()
	case "", http.MethodPost:
		return notAllowed(http.MethodPost, "DELETE, HEAD, OPTIONS, PATCH")
	}
	return video.Errorf(video.Invalid, "X-HTTP-Method-Override can be PATCH or DELETE.")
}

const overrideHeader = "X-HTTP-Method-Override"

func overridden(r *http.Request) string {
	return strings.ToUpper(strings.TrimSpace(r.Header.Get(overrideHeader)))
}

// head says how far the upload is. It is never refused for the number of others: when its
// turn doesn't come soon it goes on without a lease.
func (c *call) head() error {
	done, err := c.takeTurn(c.r.Context(), c.server.heads)
	if err == nil {
		defer done()
	}
	c.crowded = err != nil
	if err := c.find(); err != nil {
		return c.awaitEcho(err)
	}
	c.server.tus.head.ServeHTTP(c.answer, c.r)
	return nil
}

// patch adds bytes to the upload.
func (c *call) patch() error {
	if err := c.findInTurn(); err != nil {
		return err
	}
	if err := inTheWay(c.upload); err != nil {
		return err
	}
	if err := c.checkLength(); err != nil {
		return err
	}
	return c.send(c.server.tus.patch)
}

// find reads the upload that the URL leads to. It fails with errGone when that has ended.
func (c *call) find() error {
	if !tokenForm.MatchString(c.token) {
		return errUnknown
	}
	if err := c.look(c.r.Context()); err != nil {
		return err
	}
	if over(c.upload) {
		return errGone
	}
	if c.r.Method != http.MethodDelete {
		c.server.absences.end(c.upload.Video)
	}
	return nil
}

// findInTurn is find, for which a request that says that it brings little waits.
func (c *call) findInTurn() error {
	if !c.saysSmall() {
		return c.find()
	}
	done, err := c.takeTurn(c.r.Context(), c.server.heads)
	if err != nil {
		return err
	}
	defer done()
	return c.find()
}

// send lets tusd read the body.
func (c *call) send(tus http.Handler) error {
	sum, err := parseChecksum(c.r.Header.Get("Upload-Checksum"))
	if err != nil {
		return err
	}
	defer c.open(sum)()
	tus.ServeHTTP(c.answer, c.r)
	return nil
}

// checkLength refuses a length over the limit before a byte of it flows.
func (c *call) checkLength() error {
	n, err := strconv.ParseInt(c.r.Header.Get("Upload-Length"), 10, 64)
	if tooBig := err == nil && n > c.server.settings.MaxBytes; tooBig || errors.Is(err, strconv.ErrRange) {
		return c.server.tooLarge()
	}
	return nil
}

// checkDraft refuses what tusd can't read of an IETF draft's POST, and would take for a fault of its own.
func checkDraft(h http.Header) error {
	if h.Get(draftHeader) == "" {
		return nil
	}
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		if value := h.Get(name); value != "" {
			if _, _, err := mime.ParseMediaType(value); err != nil {
				return video.Errorf(video.Invalid, "The header %s can't be read.", name).Because(err)
			}
		}
	}
	return nil
}

const draftHeader = "Upload-Draft-Interop-Version"

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
		"Tus-Version, Tus-Resumable, Tus-Max-Size, Tus-Extension, Tus-Checksum-Algorithm, Retry-After, Reelflow-Video, X-Request-Id, " +
		"Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version, Upload-Limit"
	allowedHeaders = "Authorization, Content-Type, Idempotency-Key, Origin, X-Requested-With, X-Request-ID, X-HTTP-Method-Override, " +
		"Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Checksum, Upload-Concat, " +
		"Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version"
)

// protocol is tusd's part, a handler for each method.
type protocol struct{ options, post, head, patch http.Handler }

func newProtocol(config handler.Config) (protocol, error) {
	tus, err := handler.NewUnroutedHandler(config)
	if err != nil {
		return protocol{}, err
	}
	of := func(serve http.HandlerFunc) http.Handler { return tus.Middleware(serve) }
	return protocol{options: of(http.NotFound), post: of(tus.PostFile), head: of(tus.HeadFile), patch: of(tus.PatchFile)}, nil
}
