package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/reelflow/reelflow/internal/gateway/issuer/issuertest"
	"github.com/reelflow/reelflow/video"
)

type claims = issuertest.Claims

const audience = "reelflow"

func open(t *testing.T, fake *issuertest.Issuer, change func(*Settings)) *Issuer {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(issuertest.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Settings{URL: fake.URL, Audience: audience, ClientID: issuertest.ClientID, SecretFile: secret, OperatorClaim: "roles=ops"}
	if change != nil {
		change(&s)
	}
	i, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *Issuer) mustKnow(t *testing.T, token, name string) Person {
	t.Helper()
	p, err := i.Identify(t.Context(), token)
	if err != nil || p.Name != name {
		t.Fatalf("%+v, %v; want %q", p, err, name)
	}
	return p
}

func (i *Issuer) mustRefuse(t *testing.T, what, token string, want video.Code) {
	t.Helper()
	if p, err := i.Identify(t.Context(), token); err == nil || video.CodeOf(err) != want {
		t.Errorf("%s: %+v, %v; want %s", what, p, err, want)
	}
}

func TestTokensOfEveryAlgorithm(t *testing.T) {
	for _, algorithm := range algorithms() {
		fake := issuertest.New(t)
		key := issuertest.NewKey(t, "k", algorithm)
		fake.Rotate(key, key.Public())
		i := open(t, fake, nil)
		p := i.mustKnow(t, fake.Token(audience, claims{"sub": "ann", "roles": []string{"ops"}}), "ann")
		if !p.Operator || time.Until(p.Until) < time.Hour {
			t.Errorf("%s: %+v", algorithm, p)
		}
	}
}

func TestTokensThatDoNotHold(t *testing.T) {
	fake := issuertest.New(t)
	i := open(t, fake, nil)
	now := time.Now()
	for what, c := range map[string]claims{
		"expired":            {"exp": now.Add(-leeway - time.Second).Unix()},
		"without an end":     {"exp": nil},
		"not yet good":       {"nbf": now.Add(leeway + 5*time.Second).Unix()},
		"odd start":          {"nbf": "tomorrow"},
		"odd end":            {"exp": "tomorrow"},
		"another issuer":     {"iss": "https://elsewhere.example"},
		"no issuer":          {"iss": nil},
		"a slash more":       {"iss": fake.URL + "/"},
		"another audience":   {"aud": "elsewhere"},
		"no audience":        {"aud": nil},
		"among the wrong":    {"aud": []string{"a", "b"}},
		"for the pages only": {"aud": issuertest.ClientID},
		"nobody":             {"sub": nil},
		"odd subject":        {"sub": 7},
	} {
		if _, ok := c["sub"]; !ok {
			c["sub"] = "ann"
		}
		i.mustRefuse(t, what, fake.Token(audience, c), video.Unauthenticated)
	}
	for what, c := range map[string]claims{
		"just expired":    {"exp": now.Add(-leeway / 2).Unix()},
		"just not good":   {"nbf": now.Add(leeway / 2).Unix()},
		"one of several":  {"aud": []string{"a", audience}},
		"a time in parts": {"nbf": float64(now.UnixMilli()) / 1000},
	} {
		c["sub"] = "ann"
		t.Log(what)
		i.mustKnow(t, fake.Token(audience, c), "ann")
	}
}

func encoded(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

func TestForgeries(t *testing.T) {
	fake := issuertest.New(t)
	own := issuertest.NewKey(t, "own", jose.RS256)
	curve := issuertest.NewKey(t, "curve", jose.ES256)
	secret := jose.JSONWebKey{Key: []byte("a shared secret of thirty-two bytes"), KeyID: "shared", Algorithm: "HS256"}
	encrypting := issuertest.NewKey(t, "encrypting", jose.RS256)
	sealing := encrypting.Public()
	sealing.Use, sealing.Algorithm = "enc", ""
	fake.Rotate(own, map[string]any{"kty": "odd"}, secret, sealing, curve.Public(), own.Public())
	i := open(t, fake, nil)
	good := fake.Token(audience, claims{"sub": "ann"})
	i.mustKnow(t, good, "ann")

	said := claims{"iss": fake.URL, "aud": audience, "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	hs := func(kid string, key []byte) string {
		text := encoded(claims{"alg": "HS256", "kid": kid}) + "." + encoded(said)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	public, err := x509.MarshalPKIXPublicKey(own.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	stranger := issuertest.NewKey(t, "own", jose.RS256)
	confused := issuertest.NewKey(t, "curve", jose.RS256)
	otherWay := own
	otherWay.Algorithm = jose.PS256
	for what, token := range map[string]string{
		"nothing":                    "",
		"no token":                   "dev:admin",
		"two parts":                  head + "." + body,
		"none":                       encoded(claims{"alg": "none"}) + "." + encoded(said) + ".",
		"None":                       encoded(claims{"alg": "None"}) + "." + encoded(said) + ".",
		"none, signed":               encoded(claims{"alg": "none"}) + "." + body + "." + signature,
		"a shared secret, published": hs("shared", secret.Key.([]byte)),
		"the public key as secret":   hs("own", public),
		"other claims":               head + "." + encoded(said) + "." + signature,
		"no signature":               head + "." + body + ".",
		"a stranger's key":           fake.Signed(stranger, audience, claims{"sub": "ann"}),
		"another key's id":           fake.Signed(confused, audience, claims{"sub": "ann"}),
		"another algorithm":          fake.Signed(otherWay, audience, claims{"sub": "ann"}),
		"a key for encryption":       fake.Signed(encrypting, audience, claims{"sub": "ann"}),
		"a key of its own":           withOwnKey(t, stranger, said),
		"a logout":                   typed(t, own, "logout+jwt", said),
		"JSON":                       `{"payload":"` + body + `","protected":"` + head + `","signature":"` + signature + `"}`,
		"endless":                    good + strings.Repeat("A", largestToken),
	} {
		i.mustRefuse(t, what, token, video.Unauthenticated)
	}
	i.mustKnow(t, typed(t, own, "at+jwt", said), "ann")
	i.mustKnow(t, fake.Signed(issuertest.Key{Algorithm: jose.RS256, Private: own.Private}, audience, claims{"sub": "ann"}), "ann")
}

func withOwnKey(t *testing.T, key issuertest.Key, said claims) string {
	return signed(t, key, new(jose.SignerOptions).WithHeader("kid", "own").WithHeader("jku", "http://127.0.0.1:1/"), said, true)
}

func typed(t *testing.T, key issuertest.Key, typ jose.ContentType, said claims) string {
	return signed(t, key, new(jose.SignerOptions).WithHeader("kid", key.ID).WithType(typ), said, false)
}

func signed(t *testing.T, key issuertest.Key, options *jose.SignerOptions, said claims, embed bool) string {
	t.Helper()
	options.EmbedJWK = embed
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.Algorithm, Key: key.Private}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(said)
	s, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestKeysRotate(t *testing.T) {
	fake := issuertest.New(t)
	i := open(t, fake, nil)
	i.ring.pause = 0
	old := fake.Token(audience, claims{"sub": "ann"})
	i.mustKnow(t, old, "ann")
	second := issuertest.NewKey(t, "second", jose.ES256)
	fake.Rotate(second, second.Public())
	i.mustKnow(t, fake.Token(audience, claims{"sub": "ben"}), "ben")
	i.mustRefuse(t, "by a key that was taken back", old, video.Unauthenticated)
	// The same id, another key.
	again := issuertest.NewKey(t, "second", jose.ES256)
	fake.Rotate(again, again.Public())
	i.mustKnow(t, fake.Token(audience, claims{"sub": "cay"}), "cay")
}

func TestAStrangersTokensDoNotFloodTheIssuer(t *testing.T) {
	fake := issuertest.New(t)
	i := open(t, fake, nil)
	i.mustKnow(t, fake.Token(audience, claims{"sub": "ann"}), "ann")
	stranger := issuertest.NewKey(t, "unknown", jose.ES256)
	for range 50 {
		i.mustRefuse(t, "a stranger's", fake.Signed(stranger, audience, claims{"sub": "ann"}), video.Unauthenticated)
	}
	if n := fake.Asked(); n > 2 {
		t.Errorf("asked for its keys %d times", n)
	}
	i.mustKnow(t, fake.Token(audience, claims{"sub": "ann"}), "ann")
}

func TestKeysGrowOld(t *testing.T) {
	fake := issuertest.New(t)
	fake.SetCacheControl("public, max-age=0")
	i := open(t, fake, nil)
	i.ring.pause, i.ring.age = 0, 0
	old := fake.Token(audience, claims{"sub": "ann"})
	i.mustKnow(t, old, "ann")
	second := issuertest.NewKey(t, "second", jose.ES256)
	fake.Rotate(second, second.Public())
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := i.Identify(t.Context(), old); video.CodeOf(err) == video.Unauthenticated && err != nil {
			break
		}
		if time.Since(begun) > 5*time.Second {
			t.Fatal("a key that was taken back is still good")
		}
	}
}

func TestAgesOfKeys(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": defaultAge, "public": defaultAge, "max-age=60": time.Minute, "Public, Max-Age=3600": time.Hour,
		"no-store, max-age=9": 0, "no-cache": 0, "max-age=x": defaultAge, "max-age=-1": defaultAge,
		"max-age=99999999999": mostAge, "max-age=99999999999999999999999": defaultAge, `max-age="5"`: 5 * time.Second,
	} {
		if got := maxAge(header); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestTheIssuerIsDown(t *testing.T) {
	fake := issuertest.New(t)
	fake.SetDown(true)
	i := open(t, fake, nil)
	token := fake.Token(audience, claims{"sub": "ann"})
	i.mustRefuse(t, "nothing is known yet", token, video.Unavailable)
	if _, _, err := i.Begin(t.Context(), "http://x/"); video.CodeOf(err) != video.Unavailable {
		t.Error(err)
	}
	i.mustRefuse(t, "no token needs no issuer", "nonsense", video.Unauthenticated)
	fake.SetDown(false)
	i.ring.pause = 0
	i.mustKnow(t, token, "ann")
	fake.SetDown(true)
	i.ring.mu.Lock()
	i.ring.known.until = time.Now() // its keys have grown old
	i.ring.mu.Unlock()
	for range 3 {
		i.mustKnow(t, token, "ann")
	}
	other := issuertest.NewKey(t, "other", jose.ES256)
	i.mustRefuse(t, "a key that can't be asked for", fake.Signed(other, audience, claims{"sub": "ann"}), video.Unauthenticated)
	i.mustKnow(t, token, "ann")
}

func TestManyAtOnceAskOnce(t *testing.T) {
	fake := issuertest.New(t)
	i := open(t, fake, nil)
	token := fake.Token(audience, claims{"sub": "ann"})
	done := make(chan error, 50)
	for range 50 {
		go func() { _, err := i.Identify(t.Context(), token); done <- err }()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := fake.Asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestNames(t *testing.T) {
	fake := issuertest.New(t)
	byName := open(t, fake, func(s *Settings) { s.NameClaim = "preferred_username" })
	byName.mustKnow(t, fake.Token(audience, claims{"sub": "1", "preferred_username": "ann"}), "ann")
	byName.mustRefuse(t, "no name", fake.Token(audience, claims{"sub": "1"}), video.Unauthenticated)
	byEmail := open(t, fake, func(s *Settings) { s.NameClaim = "email" })
	byEmail.mustKnow(t, fake.Token(audience, claims{"sub": "1", "email": "a@b.example", "email_verified": true}), "a@b.example")
	for _, unverified := range []any{nil, false, "true"} {
		byEmail.mustRefuse(t, "an unverified address", fake.Token(audience, claims{"sub": "1", "email": "a@b.example", "email_verified": unverified}), video.Unauthenticated)
	}
}

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		rule string
		says string
		want bool
	}{
		{"roles=ops", `{"roles":["x","ops"]}`, true},
		{"roles=ops", `{"roles":"ops"}`, true},
		{"roles=ops", `{"roles":"x ops"}`, true},
		{"roles=ops", `{"roles":["ops2"]}`, false},
		{"roles=ops", `{"roles":"nops"}`, false},
		{"roles=ops", `{"roles":true}`, false},
		{"roles=ops", `{"roles":{"ops":true}}`, false},
		{"roles=ops", `{}`, false},
		{"groups:ops", `{"groups":["ops"]}`, true},
		{"cognito:groups:ops", `{"cognito:groups":["ops"]}`, true},
		{"groups=cn=ops,dc=x", `{"groups":["cn=ops,dc=x"]}`, true},
		{"https://x.example/roles=ops", `{"https://x.example/roles":["ops"]}`, true},
		{"realm_access.roles=ops", `{"realm_access":{"roles":["ops"]}}`, true},
		{"realm_access.roles=ops", `{"realm_access.roles":["ops"]}`, true},
		{"realm_access.roles=ops", `{"realm_access":["ops"]}`, false},
		{"admin", `{"admin":true}`, true},
		{"admin", `{"admin":"true"}`, false},
		{"admin", `{"admin":false}`, false},
		{"admin=true", `{"admin":true}`, true},
		{"", `{"":true,"roles":["ops"]}`, false},
	} {
		r, err := parseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		var said map[string]any
		if err := json.Unmarshal([]byte(c.says), &said); err != nil {
			t.Fatal(err)
		}
		if r.holds(said) != c.want {
			t.Errorf("%s of %s: not %v", c.rule, c.says, c.want)
		}
	}
	for _, odd := range []string{"=ops", ":ops", "roles=", "roles:"} {
		if _, err := parseRule(odd); video.CodeOf(err) != video.Invalid {
			t.Errorf("%q: %v", odd, err)
		}
	}
}

func TestSettings(t *testing.T) {
	if _, err := New(Settings{URL: "https://x.example"}); video.CodeOf(err) != video.Invalid {
		t.Errorf("no audience: %v", err)
	}
	if _, err := New(Settings{URL: "https://x.example", ClientID: "a", SecretFile: "/no/such/file"}); video.CodeOf(err) != video.Invalid {
		t.Errorf("no secret: %v", err)
	}
}

// answerOf is what the issuer has the browser bring back.
func answerOf(t *testing.T, address string) url.Values {
	t.Helper()
	answer, err := noRedirects.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		t.Fatalf("%d %v", answer.StatusCode, err)
	}
	return back.Query()
}

func TestSignIn(t *testing.T) {
	fake := issuertest.New(t)
	i := open(t, fake, nil)
	fake.SignedIn(claims{"sub": "ann", "roles": "ops"})
	const redirect = "http://x.example/signin/callback"
	begin := func() (Attempt, url.Values) {
		t.Helper()
		a, address, err := i.Begin(t.Context(), redirect)
		if err != nil {
			t.Fatal(err)
		}
		return a, answerOf(t, address)
	}
	a, q := begin()
	p, err := i.Finish(t.Context(), a, redirect, q)
	if err != nil || p.Name != "ann" || !p.Operator {
		t.Fatalf("%+v %v", p, err)
	}
	refuse := func(what string, a Attempt, q url.Values) {
		t.Helper()
		if p, err := i.Finish(t.Context(), a, redirect, q); err == nil || video.CodeOf(err) != video.Unauthenticated {
			t.Errorf("%s: %+v %v", what, p, err)
		}
	}
	refuse("a code twice", a, q)
	other, _ := begin()
	a, q = begin()
	refuse("another attempt's answer", other, q)
	refuse("no attempt", Attempt{}, q)
	refuse("no attempt and no state", Attempt{}, url.Values{"code": q["code"]})
	a, q = begin()
	refuse("another verifier", Attempt{State: a.State, Nonce: a.Nonce, Verifier: other.Verifier}, q)
	a, q = begin()
	refuse("another nonce", Attempt{State: a.State, Nonce: other.Nonce, Verifier: a.Verifier}, q)
	a, q = begin()
	q.Set("iss", "https://elsewhere.example")
	refuse("answered by another issuer", a, q)
	for what, change := range map[string]func(claims){
		"no nonce":         func(c claims) { delete(c, "nonce") },
		"another audience": func(c claims) { c["aud"] = audience },
		"expired":          func(c claims) { c["exp"] = 1 },
	} {
		fake.Break(change)
		a, q = begin()
		refuse(what, a, q)
	}
	fake.Break(func(claims) {})
	fake.SignedIn(nil)
	a, q = begin()
	refuse("somebody who refused", a, q)
	fake.SignedIn(claims{"sub": "ann"})
	a, q = begin()
	fake.SetDown(true)
	if _, err := i.Finish(t.Context(), a, redirect, q); video.CodeOf(err) != video.Unavailable {
		t.Errorf("the issuer is down: %v", err)
	}
}

var noRedirects = http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
