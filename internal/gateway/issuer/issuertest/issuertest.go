// Package issuertest is an OpenID Connect issuer for tests, on real HTTP: its
// discovery, its keys, and a sign-in that asks nobody anything. It lives as long
// as the test.
package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The client that the issuer knows.
const (
	ClientID = "pages"
	Secret   = "the client's secret"
)

// Claims are what a token says.
type Claims map[string]any

// Key signs tokens.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm
	Private   crypto.Signer
}

// NewKey makes a key for one of the algorithms RS256, PS256, ES256 and EdDSA.
func NewKey(t *testing.T, id string, algorithm jose.SignatureAlgorithm) Key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Key{id, algorithm, private}
}

// Public is the key as issuers publish it.
func (k Key) Public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"}
}

// Issuer is one that can be told how to behave. Change it only by its methods.
type Issuer struct {
	URL string

	t      *testing.T
	mu     sync.Mutex
	down   bool
	keys   []any // as published
	signer Key
	maxAge string
	asked  int // for its keys
	who    Claims
	codes  map[string]grant
	broken func(Claims) // what is wrong with the next ID tokens
}

type grant struct {
	who                        Claims
	nonce, challenge, redirect string
}

// New starts an issuer with one RSA key.
func New(t *testing.T) *Issuer {
	t.Helper()
	key := NewKey(t, "first", jose.RS256)
	i := &Issuer{t: t, keys: []any{key.Public()}, signer: key, codes: map[string]grant{}, broken: func(Claims) {}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.published)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.isDown() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

func (i *Issuer) isDown() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.down
}

// SetDown makes it answer nothing but errors, or well again.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Rotate makes key the one that it signs by, and publishes these and no others:
// jose.JSONWebKeys, or whatever else somebody might publish.
func (i *Issuer) Rotate(key Key, published ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer, i.keys = key, published
}

// SetCacheControl says how its keys are to be cached.
func (i *Issuer) SetCacheControl(header string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.maxAge = header
}

// Asked is how often somebody asked for its keys.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// SignedIn makes somebody the one in the browser; nil is somebody who refuses.
func (i *Issuer) SignedIn(who Claims) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.who = who
}

// Break changes the claims of the ID tokens to come before they are signed.
func (i *Issuer) Break(change func(Claims)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = change
}

// Token is a bearer token of the issuer's for an audience, good for an hour. The
// claims are added to what every token says, and replace it; nil takes one away.
func (i *Issuer) Token(audience string, claims Claims) string {
	i.mu.Lock()
	key := i.signer
	i.mu.Unlock()
	return i.Signed(key, audience, claims)
}

// Signed is Token by another key.
func (i *Issuer) Signed(key Key, audience string, claims Claims) string {
	i.t.Helper()
	now := time.Now()
	all := Claims{"iss": i.URL, "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	options := new(jose.SignerOptions).WithType("JWT")
	if key.ID != "" {
		options = options.WithHeader("kid", key.ID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.Algorithm, Key: key.Private}, options)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := json.Marshal(all)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	i.answer(w, map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	})
}

func (i *Issuer) published(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if i.maxAge != "" {
		w.Header().Set("Cache-Control", i.maxAge)
	}
	i.answer(w, map[string]any{"keys": i.keys})
}

func (i *Issuer) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		i.t.Error(err)
	}
}

// authorize is the address that browsers are sent to.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" {
		http.Error(w, "not a sign-in: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {i.URL}}
	i.mu.Lock()
	if i.who == nil {
		answer.Set("error", "access_denied")
	} else {
		code := rand.Text()
		i.codes[code] = grant{i.who, q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
		answer.Set("code", code)
	}
	i.mu.Unlock()
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token gives an ID token for a code, once, to whoever began the sign-in.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	code, challenge := r.PostFormValue("code"), sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	i.mu.Lock()
	g, ok := i.codes[code]
	delete(i.codes, code)
	broken := i.broken
	i.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret) // RFC 6749, section 2.3.1
	if !ok || id != ClientID || secret != Secret || r.PostFormValue("redirect_uri") != g.redirect ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != g.challenge {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	claims := Claims{"nonce": g.nonce}
	maps.Copy(claims, g.who)
	broken(claims)
	i.answer(w, map[string]any{
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": i.Token(ClientID, claims),
	})
}
