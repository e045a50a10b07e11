package issuer

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/reelflow/reelflow/video"
)

// Attempt is a sign-in under way. It belongs into the browser that began it and
// nowhere else: it is what tells this browser's answer from one that somebody
// wants it to give (RFC 9700, section 4.7).
type Attempt struct {
	State    string // comes back with the answer
	Nonce    string // comes back in the token
	Verifier string // shows that whoever began it ends it (PKCE, RFC 7636)
}

// SignsIn reports whether browsers can sign in.
func (i *Issuer) SignsIn() bool { return i.settings.ClientID != "" }

// Begin returns an attempt and the issuer's address to send the browser to, which
// comes back to redirect. It fails with Unavailable while the issuer has never
// been reached.
func (i *Issuer) Begin(ctx context.Context, redirect string) (Attempt, string, error) {
	known, err := i.ring.current(ctx)
	if err != nil {
		return Attempt{}, "", err
	}
	a := Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	client, err := i.oauth(known, redirect)
	if err != nil {
		return Attempt{}, "", err
	}
	return a, client.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

// Finish takes what the browser brought back in its query. It fails with
// Unauthenticated when that is no sign-in, or not this one, and Unavailable when
// the issuer does not answer.
func (i *Issuer) Finish(ctx context.Context, a Attempt, redirect string, query url.Values) (Person, error) {
	known, err := i.ring.current(ctx)
	if err != nil {
		return Person{}, err
	}
	if err := i.checkAnswer(a, known, query); err != nil {
		return Person{}, err
	}
	raw, err := i.exchange(ctx, known, a, redirect, query.Get("code"))
	if err != nil {
		return Person{}, err
	}
	t, err := i.verify(ctx, raw, i.settings.ClientID)
	if err != nil {
		return Person{}, err
	}
	if !same(t.Nonce, a.Nonce) {
		return Person{}, refused("it was made for another sign-in", nil)
	}
	return i.person(t)
}

func (i *Issuer) checkAnswer(a Attempt, known *known, query url.Values) error {
	if !same(query.Get("state"), a.State) {
		return video.Errorf(video.Unauthenticated, "This sign-in was not begun here, or took too long. Please sign in again.")
	}
	if by := query.Get("iss"); (by != "" || known.named) && by != i.settings.URL {
		return video.Errorf(video.Unauthenticated, "This sign-in was answered by somebody else. Please sign in again.")
	}
	if refusal := query.Get("error"); refusal != "" || query.Get("code") == "" {
		return video.Errorf(video.Unauthenticated, "You were not signed in. Please try again.").Because(errors.New(refusal))
	}
	return nil
}

// exchange gives the code for an ID token.
func (i *Issuer) exchange(ctx context.Context, known *known, a Attempt, redirect, code string) (raw string, err error) {
	client, err := i.oauth(known, redirect)
	if err != nil {
		return "", err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, i.client)
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	refusal, said := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case said && refusal.Response.StatusCode < http.StatusInternalServerError:
		return "", video.Errorf(video.Unauthenticated, "You were not signed in. Please try again.").Because(err)
	case err != nil:
		return "", unreachable(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", refused("the issuer gave none", nil)
	}
	return raw, nil
}

func (i *Issuer) oauth(known *known, redirect string) (*oauth2.Config, error) {
	secret, err := i.secret()
	if err != nil {
		return nil, unreachable(err)
	}
	endpoint := known.endpoint
	if secret == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has only its name to send
	}
	return &oauth2.Config{
		ClientID: i.settings.ClientID, ClientSecret: secret, Endpoint: endpoint,
		RedirectURL: redirect, Scopes: append([]string{oidc.ScopeOpenID}, i.settings.Scopes...),
	}, nil
}

// secret is read each time it is needed, so that it can be replaced.
func (i *Issuer) secret() (string, error) {
	if i.settings.SecretFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(i.settings.SecretFile)
	return strings.TrimSpace(string(text)), err
}

func same(a, b string) bool { return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
