package issuer

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/reelflow/reelflow/video"
)

const (
	fetchTimeout  = 5 * time.Second
	largestAnswer = 1 << 20
	smallestRSA   = 2048 // bits; RFC 7518, section 3.3

	// For how long keys are good that the issuer says nothing about, and the
	// bounds of what it says: a key that leaked is to be forgotten within a day.
	defaultAge = 15 * time.Minute
	leastAge   = time.Minute
	mostAge    = 24 * time.Hour

	// A token signed by a key that nobody knows makes us ask the issuer, which
	// anybody can bring about: hence no more often than this.
	defaultPause = 10 * time.Second
)

// known is what an issuer published at one time.
type known struct {
	endpoint oauth2.Endpoint
	named    bool // its answers to browsers name it (RFC 9207)
	keys     []jose.JSONWebKey
	until    time.Time // when to ask again
}

// keyring keeps what the issuer published last.
type keyring struct {
	issuer     string
	client     *http.Client
	pause, age time.Duration // between two questions; least age of keys

	mu       sync.Mutex
	known    *known // nil before the first answer
	asked    time.Time
	failed   error         // of the last question
	fetching chan struct{} // closed when the question under way is answered; nil when there is none
}

func newKeyring(issuer string, client *http.Client) *keyring {
	return &keyring{issuer: issuer, client: client, pause: defaultPause, age: leastAge}
}

// signing returns what is known of the issuer, asking it anew if that does not
// explain the signature: keys rotate. It may still not explain it then.
func (k *keyring) signing(ctx context.Context, signed *jose.JSONWebSignature) (*known, error) {
	have, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := have.open(signed); ok {
		return have, nil
	}
	return k.after(ctx, have)
}

// current returns what is known. It waits only when there is nothing yet; what is
// too old is fetched in the background. Unavailable when there is nothing to be had.
func (k *keyring) current(ctx context.Context) (*known, error) {
	k.mu.Lock()
	have := k.known
	if have == nil || time.Now().After(have.until) {
		k.ask()
	}
	k.mu.Unlock()
	if have != nil {
		return have, nil
	}
	return k.after(ctx, nil)
}

// after returns something newer than have, or have if that can't be had now.
func (k *keyring) after(ctx context.Context, have *known) (*known, error) {
	k.mu.Lock()
	if k.known == have {
		k.ask()
	}
	answered := k.fetching
	k.mu.Unlock()
	if answered != nil {
		select {
		case <-answered:
		case <-ctx.Done():
			return nil, unreachable(ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		return nil, unreachable(k.failed)
	}
	return k.known, nil
}

// ask begins to fetch, unless that is under way or was tried a moment ago. The
// caller holds the lock.
func (k *keyring) ask() {
	pause := k.pause
	if k.known == nil {
		pause = min(pause, time.Second)
	}
	if k.fetching != nil || time.Since(k.asked) < pause {
		return
	}
	answered := make(chan struct{})
	k.asked, k.fetching = time.Now(), answered
	go func() {
		// Not the caller's context: others wait for the answer too.
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		found, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failed = err; err == nil {
			k.known = found
		}
		k.fetching = nil
		close(answered)
	}()
}

// fetch asks for the issuer's addresses (OpenID Connect Discovery 1.0), then for
// its keys: their address may change as well as they.
func (k *keyring) fetch(ctx context.Context) (*known, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		JWKS  string   `json:"jwks_uri"`
		Auth  []string `json:"token_endpoint_auth_methods_supported"`
		Named bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, err
	}
	found := &known{endpoint: provider.Endpoint(), named: said.Named}
	// Trying one way and then the other would spend the code, which is good once.
	found.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(said.Auth) > 0 && !slices.Contains(said.Auth, "client_secret_basic") {
		found.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	found.keys, found.until, err = k.fetchKeys(ctx, said.JWKS)
	return found, err
}

func (k *keyring) fetchKeys(ctx context.Context, address string) ([]jose.JSONWebKey, time.Time, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, time.Time{}, fmt.Errorf("the issuer's keys: status %d", answer.StatusCode)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, largestAnswer)).Decode(&set); err != nil {
		return nil, time.Time{}, fmt.Errorf("the issuer's keys: %w", err)
	}
	keys := usable(set.Keys)
	if len(keys) == 0 {
		return nil, time.Time{}, errors.New("the issuer publishes no key that is good for signatures")
	}
	age := min(max(maxAge(answer.Header.Get("Cache-Control")), k.age), mostAge)
	return keys, time.Now().Add(age), nil
}

// usable leaves out what is no public key for signatures. One odd key among good
// ones is no reason to shut everybody out.
func usable(set []json.RawMessage) (keys []jose.JSONWebKey) {
	for _, raw := range set {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if short, ok := key.Key.(*rsa.PublicKey); ok && short.N.BitLen() < smallestRSA {
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// maxAge reads the directive of RFC 9111, section 5.2.2.1.
func maxAge(control string) time.Duration {
	for directive := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n >= 0 && n <= int(mostAge/time.Second) {
				return time.Duration(n) * time.Second
			} else if err == nil && n > 0 {
				return mostAge
			}
		}
	}
	return defaultAge
}

// open returns what was signed, if one of the keys signed it. A key serves only
// the algorithm that it was published for.
func (n *known) open(signed *jose.JSONWebSignature) (payload []byte, ok bool) {
	head := signed.Signatures[0].Header
	for _, key := range n.keys {
		if head.KeyID != "" && key.KeyID != head.KeyID || key.Algorithm != "" && key.Algorithm != head.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil { // a key of another type is an error
			return payload, true
		}
	}
	return nil, false
}

// VerifySignature implements oidc.KeySet.
func (n *known) VerifySignature(_ context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		return nil, err
	}
	payload, ok := n.open(signed)
	if !ok {
		return nil, errors.New("signed by none of the issuer's keys")
	}
	return payload, nil
}

func unreachable(cause error) error {
	return video.Errorf(video.Unavailable, "Who you are can't be checked right now: the sign-in service does not answer. Please try again.").Because(cause)
}
