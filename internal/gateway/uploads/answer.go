package uploads

import (
	"net/http"
	"strings"
)

// answer adds to every response what tusd doesn't know, and makes problems of its refusals.
type answer struct {
	http.ResponseWriter
	call    *call
	status  int
	refused bool // by tusd, in words of its own, which come next and are not sent
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if status < 200 { // 104 announces the answer of a draft's POST
		a.locate()
		a.ResponseWriter.WriteHeader(status)
		return
	}
	if a.status != 0 {
		return
	}
	if status >= http.StatusBadRequest && !isProblem(a.Header()) {
		a.status, a.refused = status, true
		return
	}
	a.send(status)
}

// send sends the head of the answer.
func (a *answer) send(status int) {
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
	if a.refused {
		a.translate(string(p))
		return len(p), nil
	}
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// end sends a refusal that had no body.
func (a *answer) end() {
	if a.refused {
		a.translate("")
	}
}

// translate sends the problem that a refusal of tusd's stands for.
func (a *answer) translate(text string) {
	c, status := a.call, a.status
	a.status, a.refused = 0, false
	key, _, _ := strings.Cut(strings.TrimSpace(text), ": ")
	if status >= http.StatusInternalServerError {
		c.server.log.Error("the tus library failed", "video", c.upload.Video, "status", status, "error", text)
	}
	c.refuse(ofLibrary(status, key))
}

// locate puts the upload's address where tusd has put its own idea of it.
func (a *answer) locate() {
	if h := a.Header(); h.Get("Location") != "" {
		h.Set("Location", a.call.server.host.Base(a.call.r)+Path+a.call.token)
	}
}

func (a *answer) decorate(h http.Header) {
	c := a.call
	a.locate()
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
	woken := c.body != nil && c.body.settle()
	if woken || c.unread() {
		h.Set("Connection", "close") // nobody will read the rest of the body
	}
}
