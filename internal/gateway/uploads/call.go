package uploads

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// call is one request on its way through the gate, tusd and the store.
type call struct {
	server *Server
	r      *http.Request // the one that tusd was given, too
	answer *answer
	body   *body // nil where none is expected

	token   string
	upload  catalog.Upload // as last read
	offline bool           // the catalog could not be asked; upload is from memory
	slot    *slot          // nil when nothing can be added
}

type callKey struct{}

// callOf finds the call that tusd's context belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// start makes the call of a request, whose context then leads to it.
func (s *Server) start(w http.ResponseWriter, r *http.Request) *call {
	c := &call{server: s}
	c.r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.answer = &answer{ResponseWriter: w, call: c}
	return c
}

// halt ends the request with reason, if it has not ended.
func (c *call) halt(reason error) {
	if c.body != nil {
		c.body.halt(reason)
	}
}

// open gives the request a body that can be halted, also by the end of the server.
func (c *call) open(sum *checksum) (closed func() bool) {
	wake := http.NewResponseController(c.answer)
	c.body = newBody(c.r.Body, func() error { return wake.SetReadDeadline(time.Now()) }, sum)
	c.r.Body = c.body
	return context.AfterFunc(c.server.stopping, func() { c.body.halt(errStopping) })
}

// look reads the upload anew. When the catalog is down a HEAD goes on with what
// is remembered, since a client that gets an error for it begins from zero.
func (c *call) look(ctx context.Context) error {
	hash := tokenHash(c.token)
	if c.r.Method == http.MethodHead {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, headPatience)
		defer cancel()
	}
	u, err := c.server.catalog.UploadByToken(ctx, hash[:])
	switch {
	case err == nil:
		c.upload = u
		c.server.memory.keep(c.token, u)
		return nil
	case video.CodeOf(err) == video.Gone:
		return errGone
	case video.CodeOf(err) == video.NotFound:
		return errUnknown
	}
	return c.lookBack(err)
}

// headPatience is how long a HEAD waits for the catalog before it answers from memory.
const headPatience = 2 * time.Second

func (c *call) lookBack(err error) error {
	c.server.log.Warn("an upload could not be looked up", "error", err)
	if c.r.Method != http.MethodHead {
		return errDown
	}
	u, known := c.server.memory.recall(c.token)
	if !known {
		return errNotNow
	}
	c.upload, c.offline = u, true
	return nil
}

// withoutLease decides what a request does that could not have the lease: nil
// lets it go on to what needs none.
func (c *call) withoutLease(ctx context.Context, err error) error {
	code := video.CodeOf(err)
	switch {
	case c.r.Method == http.MethodHead:
		return nil // GetUpload looks whether it is still there
	case code != video.Conflict && code != video.Gone:
		return c.server.answerTo(c, err)
	}
	// Paused, a draft, finished or at its end since we looked.
	if err := c.look(ctx); err != nil {
		return err
	}
	if err := inTheWay(c.upload); err != nil {
		return err
	}
	if complete(c.upload) {
		return nil
	}
	return errBusy
}

func complete(u catalog.Upload) bool { return u.Length >= 0 && u.Offset == u.Length }

// expires reports whether time can still end the upload.
func (c *call) expires() bool {
	return c.r.Method != http.MethodDelete && !over(c.upload) && !complete(c.upload)
}

// finish lets the client read an early answer although it is still sending:
// closing a connection with unread bytes in it resets it, and then the answer may
// be lost. The lease has been given back by now.
func (c *call) finish() {
	if c.body == nil || c.body.ended || c.answer.status < http.StatusBadRequest {
		return
	}
	control, end := http.NewResponseController(c.answer), time.Now().Add(lingerTime)
	if control.Flush() != nil || control.SetReadDeadline(end) != nil {
		return
	}
	_, err := io.CopyN(io.Discard, c.body.source, lingerBytes)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// A chunked body that was woken up by a deadline stays at that error.
		time.Sleep(time.Until(end))
	}
}

const (
	lingerTime  = 300 * time.Millisecond
	lingerBytes = 16 << 20
)

// answer adds to every response what tusd doesn't know.
type answer struct {
	http.ResponseWriter
	call   *call
	status int
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status < 200 || a.status != 0 { // 104 announces the answer of a draft's POST
		a.ResponseWriter.WriteHeader(status)
		return
	}
	c := a.call
	if c.r.Method == http.MethodHead && status >= 500 {
		// Nothing should come here. If it does, it must not make a client begin from zero.
		c.server.log.Error("a HEAD would have failed", "video", c.upload.Video, "status", status)
		status = http.StatusLocked
	}
	a.status = status
	a.decorate(a.Header())
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

func (a *answer) decorate(h http.Header) {
	c := a.call
	if c.r.Method == http.MethodOptions && h.Get("Tus-Extension") != "" {
		h.Set("Tus-Extension", "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum")
		h.Set("Tus-Checksum-Algorithm", checksumAlgorithms)
	}
	if c.upload.Video != "" {
		h.Set("Reelflow-Video", string(c.upload.Video))
		if at := c.upload.ExpiresAt; !at.IsZero() && c.expires() {
			h.Set("Upload-Expires", at.UTC().Format(http.TimeFormat)) // RFC 9110, section 5.6.7
		}
	}
	if c.body != nil && (c.body.settle() || a.status >= http.StatusBadRequest) {
		h.Set("Connection", "close") // nobody will read the rest of the body
	}
}
