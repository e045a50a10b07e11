package people

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/origin"
)

const (
	// SessionCookie is the name of the cookie that browsers are signed in by, after
	// SecurePrefix where people reach the gateway by TLS.
	SessionCookie = "reelflow_session"

	developmentSession = 30 * 24 * time.Hour

	// An issuer can't call a session back, nor the rights that it began with: so
	// it is asked again every day, which takes no more than a redirect.
	issuedSession = 12 * time.Hour
)

// A session cookie is stamped text: rights, end as a Unix time, name.
const (
	sessionHead     = 1 + 8
	operatorSession = 1
)

func (p *People) newSession(who Person, until time.Time) string {
	body := []byte{0}
	if who.Operator {
		body[0] = operatorSession
	}
	body = binary.BigEndian.AppendUint64(body, uint64(until.Unix()))
	return p.stamp("session", append(body, who.Name...))
}

// sessionOf returns whose session cookie a request has, if it holds.
func (p *People) sessionOf(r *http.Request, now time.Time) (Person, bool) {
	cookie, err := r.Cookie(cookieName(r, SessionCookie))
	if err != nil {
		return Person{}, false
	}
	body, ok := p.openStamp("session", cookie.Value)
	if !ok || len(body) <= sessionHead {
		return Person{}, false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(body[1:])), 0)
	who := Person{Name: string(body[sessionHead:]), Operator: body[0] == operatorSession, Until: until}
	return who, now.Before(until) && CheckName(who.Name) == nil
}

// stamp makes text that only this gateway, and those beside it, can have made
// for this purpose while the issuer is the same.
func (p *People) stamp(purpose string, body []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(p.sessions.MAC(purpose, p.vouches, string(body)), body...))
}

func (p *People) openStamp(purpose, text string) (body []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < sha256.Size {
		return nil, false
	}
	body = raw[sha256.Size:]
	return body, hmac.Equal(raw[:sha256.Size], p.sessions.MAC(purpose, p.vouches, string(body)))
}

// beginSession puts somebody's session into their browser.
func (p *People) beginSession(w http.ResponseWriter, r *http.Request, who Person, length time.Duration) {
	until := time.Now().Add(length)
	http.SetCookie(w, cookie(r, SessionCookie, p.newSession(who, until), until))
}

// signOut ends the session in this browser; the one at an issuer is its own affair.
func (p *People) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := checkSameSite(r); err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, SessionCookie, "", time.Unix(1, 0)))
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// SecurePrefix keeps other hosts of the same domain from planting a cookie: browsers take
// one of this name only from this very host, by TLS and for all of its paths
// (RFC 6265bis, section 4.1.3.2).
const SecurePrefix = "__Host-"

func cookieName(r *http.Request, name string) string {
	if origin.From(r.Context()).Secure() {
		return SecurePrefix + name
	}
	return name
}

// cookie is one that no script can read and no other site can have sent along,
// but for a link that leads here.
func cookie(r *http.Request, name, value string, until time.Time) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/", Expires: until, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: origin.From(r.Context()).Secure(),
	}
}
