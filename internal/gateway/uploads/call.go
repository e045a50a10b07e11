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
	source io.ReadCloser // the request's body as it came; nil when it has none
	body   *body         // nil as long as nobody is to read it

	token    string
	metadata map[string]string // of a POST
	upload   catalog.Upload    // as last read
	offline  bool              // the catalog could not be asked; upload is from memory
	crowded  bool              // its turn didn't come: it asks for no lease
	slot     *slot             // nil when nothing can be added
}

type callKey struct{}

// callOf finds the call that tusd's context belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// start makes the call of a request, whose context then leads to it.
func (s *Server) start(w http.ResponseWriter, r *http.Request) *call {
	c := &call{server: s, token: r.PathValue("token")}
	if r.ContentLength != 0 {
		c.source = r.Body
	}
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
	connection := http.NewResponseController(c.answer)
	c.body = newBody(c.r.Body, connection.SetReadDeadline, c.server.settings.Silence, sum)
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

// unread reports whether some of the request's body was not read: then the connection is
// closed after the answer, for net/http would read on, and wait for a body that never comes.
func (c *call) unread() bool { return c.source != nil && (c.body == nil || !c.body.ended) }

// finish lets the client read an early answer although it is still sending:
// closing a connection with unread bytes in it resets it, and then the answer may
// be lost. The lease has been given back by now.
func (c *call) finish() {
	if !c.unread() {
		return
	}
	control, end := http.NewResponseController(c.answer), time.Now().Add(lingerTime)
	if control.Flush() != nil || control.SetReadDeadline(end) != nil {
		return
	}
	_, err := io.CopyN(io.Discard, c.source, lingerBytes)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// A chunked body that was woken up by a deadline stays at that error.
		time.Sleep(time.Until(end))
	}
}

const (
	lingerTime  = 300 * time.Millisecond
	lingerBytes = 256 << 10
)
