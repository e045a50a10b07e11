package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"
)

const (
	sessionCookie = "reelflow_session"
	devSession    = 30 * 24 * time.Hour

	// An issuer can't call a session back, nor the rights that it began with: so
	// it is asked again every day, which takes no more than a redirect.
	issuedSession = 12 * time.Hour
)

// A session cookie is stamped text: rights, end as a Unix time, name. Nothing is
// kept of it here.
const (
	sessionHead     = 1 + 8
	operatorSession = 1
)

func (s secrets) newSession(who person, until time.Time) string {
	body := []byte{0}
	if who.operator {
		body[0] = operatorSession
	}
	body = binary.BigEndian.AppendUint64(body, uint64(until.Unix()))
	return s.stamped("session", append(body, who.name...))
}

// sessionOf returns whose session cookie a request has, if it holds.
func (s secrets) sessionOf(r *http.Request, now time.Time) (person, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return person{}, false
	}
	body, ok := s.unstamped("session", cookie.Value)
	if !ok || len(body) <= sessionHead {
		return person{}, false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(body[1:])), 0)
	who := person{name: string(body[sessionHead:]), operator: body[0] == operatorSession, until: until}
	return who, now.Before(until) && checkName(who.name) == nil
}

// stamped makes text that only this gateway, and those beside it, can have made
// for this purpose while the issuer is the same.
func (s secrets) stamped(purpose string, body []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(mac(s.session, purpose, s.issuer, string(body)), body...))
}

func (s secrets) unstamped(purpose, text string) (body []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < sha256.Size {
		return nil, false
	}
	body = raw[sha256.Size:]
	return body, hmac.Equal(raw[:sha256.Size], mac(s.session, purpose, s.issuer, string(body)))
}

// beginSession puts somebody's session into their browser.
func (g *Gateway) beginSession(w http.ResponseWriter, r *http.Request, who person, length time.Duration) {
	until := time.Now().Add(length)
	http.SetCookie(w, g.cookie(r, sessionCookie, "/", g.secrets.newSession(who, until), until))
}

// signOut ends the session in this browser; the one at an issuer is its own affair.
func (g *Gateway) signOut(w http.ResponseWriter, r *http.Request) {
	if err := checkSameSite(r); err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	http.SetCookie(w, g.cookie(r, sessionCookie, "/", "", time.Unix(1, 0)))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// cookie is one that no script can read and no other site can have sent along,
// but for a link that leads here.
func (g *Gateway) cookie(r *http.Request, name, path, value string, until time.Time) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: path, Expires: until, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(g.baseOf(r.Host, r.TLS != nil), "https://"),
	}
}
