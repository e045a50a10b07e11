package gateway

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reelflow/reelflow/video"
)

const (
	sessionCookie = "reelflow_session"
	sessionLength = 30 * 24 * time.Hour
	operatorName  = "admin" // in dev mode
)

// person is somebody who sends requests; the zero person is not signed in.
type person struct {
	name     string
	operator bool
}

func (p person) anonymous() bool { return p.name == "" }

// secrets are what is derived from the vault's pepper, each for one purpose.
type secrets struct{ owner, upload, session, playback, idempotency []byte }

func deriveSecrets(pepper []byte) (s secrets, err error) {
	for info, key := range map[string]*[]byte{
		"owner": &s.owner, "upload token": &s.upload, "session": &s.session,
		"playback": &s.playback, "idempotency": &s.idempotency,
	} {
		if *key, err = hkdf.Key(sha256.New, pepper, nil, info, sha256.Size); err != nil {
			return secrets{}, err
		}
	}
	return s, nil
}

// mac authenticates parts of a message under a key.
func mac(key []byte, parts ...string) []byte {
	var message []byte
	for _, p := range parts {
		// The length keeps ("ab", "c") and ("a", "bc") apart.
		message = binary.AppendUvarint(message, uint64(len(p)))
		message = append(message, p...)
	}
	return hmacOf(key, message)
}

// ownerID is what stands for a person wherever their name must not: in the
// catalog's columns, in Temporal and in logs.
func (s secrets) ownerID(name string) string {
	return hex.EncodeToString(hmacOf(s.owner, []byte(name)))
}

func hmacOf(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// checkName refuses what can't be a person's name: it stands in addresses and headers.
func checkName(name string) error {
	odd := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`/\?#%"<>`, r)
	}
	if !utf8.ValidString(name) || strings.Trim(name, ".") == "" || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, odd) {
		return video.Errorf(video.Invalid, "A name has 1 to 64 characters, no spaces and none of / \\ ? # %% \" < >.")
	}
	return nil
}

// identity is who a request comes from, or why that can't be told.
type identity struct {
	person
	err error
}

type identityKey struct{}

// identified notes who sends a request. It refuses nobody: what needs no
// credentials must not fail because of wrong ones.
func (g *Gateway) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.identify(r)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, identity{who, err})))
	})
}

// caller returns who sent the request: nobody, or Unauthenticated for
// credentials that don't hold, or Forbidden for a request made by another site.
func caller(ctx context.Context) (person, error) {
	i, _ := ctx.Value(identityKey{}).(identity)
	return i.person, i.err
}

// signedIn is caller for what nobody may do anonymously.
func signedIn(ctx context.Context) (person, error) {
	who, err := caller(ctx)
	if err == nil && who.anonymous() {
		err = signInFirst()
	}
	return who, err
}

func signInFirst() error {
	return video.Errorf(video.Unauthenticated, "Sign in first, or send a token (Authorization: Bearer …).")
}

func (g *Gateway) identify(r *http.Request) (person, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		return devBearer(header)
	}
	name, ok := g.secrets.sessionOf(r, time.Now())
	if !ok {
		return person{}, nil // an old cookie is no reason to refuse what anybody may see
	}
	if err := checkSameSite(r); err != nil {
		return person{}, err
	}
	return devPerson(name), nil
}

func devPerson(name string) person { return person{name: name, operator: name == operatorName} }

// devBearer takes anybody at their word.
func devBearer(header string) (person, error) {
	scheme, token, _ := strings.Cut(header, " ")
	name, dev := strings.CutPrefix(strings.TrimSpace(token), "dev:")
	if !strings.EqualFold(scheme, "Bearer") || !dev || checkName(name) != nil {
		return person{}, video.Errorf(video.Unauthenticated, "The token is not valid. This server is in development mode: send Authorization: Bearer dev:<name>.")
	}
	return devPerson(name), nil
}

// checkSameSite lets a session cookie change something only when the request
// was made by a page of ours: browsers say so in Sec-Fetch-Site, older ones in
// Origin (https://www.w3.org/TR/fetch-metadata/).
func checkSameSite(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site == "same-origin" {
			return nil
		}
	} else if origin, err := url.Parse(r.Header.Get("Origin")); err == nil && origin.Host != "" && origin.Host == r.Host {
		return nil
	}
	return video.Errorf(video.Forbidden, "This request was made by another site. Programs send a token instead of a cookie.")
}

// newSession makes the value of a session cookie: name and end, authenticated.
func (s secrets) newSession(name string, until time.Time) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	body = append(body, name...)
	return base64.RawURLEncoding.EncodeToString(append(mac(s.session, string(body)), body...))
}

// sessionOf returns the name in the session cookie of a request, if it holds.
func (s secrets) sessionOf(r *http.Request, now time.Time) (string, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cookie.Value)
	if err != nil || len(raw) <= sha256.Size+8 {
		return "", false
	}
	body := raw[sha256.Size:]
	until := time.Unix(int64(binary.BigEndian.Uint64(body)), 0)
	name := string(body[8:])
	return name, hmac.Equal(raw[:sha256.Size], mac(s.session, string(body))) && now.Before(until) && checkName(name) == nil
}
