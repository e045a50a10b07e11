// Package issuer tells who people are by the word of an OpenID Connect issuer:
// from the bearer tokens that programs send, and from the sign-in of a browser.
//
// What exists where, and when it goes:
//
//   - the issuer's addresses and public keys, in memory, fetched when they are
//     first needed: until the process ends. They are asked for again when they are
//     too old, and when a signature fits none of them; while the issuer is down the
//     old ones serve
//   - a sign-in under way (Attempt), in the browser that began it: minutes
//
// Nothing is written down here, and no token is kept.
package issuer

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/reelflow/reelflow/video"
)

// Settings say whom to believe, and what.
type Settings struct {
	URL      string // as the issuer writes it in its tokens, to the letter
	Audience string // whom bearer tokens are made for; the client when empty

	ClientID   string   // of the pages; empty: browsers can't sign in
	SecretFile string   // holds the client's secret; empty for a public client
	Scopes     []string // asked for beside openid

	NameClaim     string // holds the name of a person: sub when empty
	OperatorClaim string // see parseRule; empty: nobody is an operator
}

// Person is somebody whom the issuer vouches for.
type Person struct {
	Name     string    // unique and lasting, as far as the claim is
	Operator bool      // by the operator claim
	Until    time.Time // when the token expires
}

// Issuer checks what an OpenID Connect issuer has signed.
type Issuer struct {
	settings Settings
	operator rule
	ring     *keyring
	client   *http.Client
}

// SubjectClaim is the one claim that an issuer promises to be unique and never
// given to anybody else (OpenID Connect Core 1.0, section 5.7).
const SubjectClaim = "sub"

// New fails with Invalid for settings that don't fit together. It asks the issuer
// for nothing yet, so that a gateway starts while the issuer is down.
func New(s Settings) (*Issuer, error) {
	if s.Audience == "" {
		s.Audience = s.ClientID
	}
	if s.Audience == "" {
		return nil, video.Errorf(video.Invalid, "An issuer needs the audience that its tokens are made for, or a client id.")
	}
	if s.NameClaim == "" {
		s.NameClaim = SubjectClaim
	}
	operator, err := parseRule(s.OperatorClaim)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: fetchTimeout}
	i := &Issuer{settings: s, operator: operator, ring: newKeyring(s.URL, client), client: client}
	if _, err := i.secret(); err != nil {
		return nil, video.Errorf(video.Invalid, "The file with the client secret can't be read.").Because(err)
	}
	return i, nil
}

// leeway is how far the issuer's clock and ours may be apart.
const leeway = time.Minute

const largestToken = 16 << 10 // bytes

// algorithms are the signatures that are believed. Those with a shared secret
// (HS256 and its like) and "none" never are: with them a public key would be all
// that it takes to sign (RFC 8725, sections 2.1 and 3.1).
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}
}

// Identify returns who sends a bearer token. It fails with Unauthenticated for
// one that doesn't hold and Unavailable when that can't be told, because the
// issuer could not be reached since the start.
func (i *Issuer) Identify(ctx context.Context, token string) (Person, error) {
	t, err := i.verify(ctx, token, i.settings.Audience)
	if err != nil {
		return Person{}, err
	}
	return i.person(t)
}

// verify checks the signature, who made the token for whom, and when.
func (i *Issuer) verify(ctx context.Context, raw, audience string) (*oidc.IDToken, error) {
	if len(raw) > largestToken {
		return nil, refused("it is too long", nil)
	}
	signed, err := jose.ParseSignedCompact(raw, algorithms())
	if err != nil {
		return nil, refused("it is not a JSON Web Token signed by RS256, PS256, ES256 or EdDSA", err)
	}
	if !isForAccess(signed) {
		return nil, refused("it is a token of another kind", nil)
	}
	known, err := i.ring.signing(ctx, signed)
	if err != nil {
		return nil, err
	}
	config := &oidc.Config{ClientID: audience, SkipExpiryCheck: true} // see inTime
	for _, a := range algorithms() {
		config.SupportedSigningAlgs = append(config.SupportedSigningAlgs, string(a))
	}
	t, err := oidc.NewVerifier(i.settings.URL, known, config).Verify(ctx, raw)
	if err != nil {
		return nil, refused("its signature, its issuer or its audience is not the one expected here", err)
	}
	return t, inTime(t, time.Now())
}

// isForAccess tells from the type of a token whether it was made to say who
// somebody is: an issuer signs others by the same keys, such as logout tokens.
func isForAccess(signed *jose.JSONWebSignature) bool {
	typ, _ := signed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return slices.Contains([]string{"", "jwt", "at+jwt"}, typ) // RFC 9068, section 2.1
}

// inTime is stricter than go-oidc, which lets a token without an end live for
// ever if it is asked to be lenient at all.
func inTime(t *oidc.IDToken, now time.Time) error {
	var claims struct {
		NotBefore json.Number `json:"nbf"`
	}
	if err := t.Claims(&claims); err != nil {
		return refused("its times make no sense", err)
	}
	if t.Expiry.IsZero() {
		return refused("it has no end", nil)
	}
	if now.After(t.Expiry.Add(leeway)) {
		return refused("it has expired", nil)
	}
	if claims.NotBefore == "" {
		return nil
	}
	seconds, err := claims.NotBefore.Float64()
	if err != nil {
		return refused("its times make no sense", err)
	}
	if float64(now.Add(leeway).Unix()) < seconds {
		return refused("it is not good yet", nil)
	}
	return nil
}

func refused(why string, cause error) error {
	return video.Errorf(video.Unauthenticated, "The token is not valid: %s. Sign in again.", why).Because(cause)
}
