package gateway

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reelflow/reelflow/video"
)

const (
	operatorName = "admin" // in dev mode
)

// person is somebody who sends requests; the zero person is not signed in.
type person struct {
	name     string
	operator bool
	until    time.Time // when what they have shown of themselves expires; zero for never
}

func (p person) anonymous() bool { return p.name == "" }

// secrets are what is derived from the vault's pepper, each for one purpose.
type secrets struct {
	owner, upload, session, playback, idempotency []byte

	// issuer is who vouches for names, empty in development mode: the same name
	// from another issuer is another person, and a session from another one is void.
	issuer string
}

func deriveSecrets(pepper []byte, issuer string) (s secrets, err error) {
	s.issuer = issuer
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
	if s.issuer == "" {
		return hex.EncodeToString(hmacOf(s.owner, []byte(name)))
	}
	return hex.EncodeToString(mac(s.owner, s.issuer, name))
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

// identity finds out who a request comes from, or why that can't be told.
type identity func() (person, error)

type identityKey struct{}

// identified lets all layers below ask who sends a request. It refuses nobody and
// asks nobody by itself: what needs no credentials must not fail because of wrong
// ones, or because an issuer is down.
func (g *Gateway) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := identity(sync.OnceValues(func() (person, error) { return g.identify(r) }))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
	})
}

// caller returns who sent the request: nobody, or Unauthenticated for
// credentials that don't hold (any more), or Forbidden for a request made by
// another site, or Unavailable when nobody can tell.
func caller(ctx context.Context) (person, error) {
	identify, ok := ctx.Value(identityKey{}).(identity)
	if !ok {
		return person{}, nil
	}
	who, err := identify()
	if err == nil && !who.until.IsZero() && time.Now().After(who.until) {
		return person{}, video.Errorf(video.Unauthenticated, "Your sign-in has expired. Sign in again.")
	}
	return who, err
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
		if g.issuer != nil {
			return g.bearer(r.Context(), header)
		}
		return devBearer(header)
	}
	who, ok := g.secrets.sessionOf(r, time.Now())
	if !ok {
		return person{}, nil // an old cookie is no reason to refuse what anybody may see
	}
	if err := checkSameSite(r); err != nil {
		return person{}, err
	}
	return who, nil
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
