// Package receipts signs the receipts of erasures, and checks them without trusting anybody
// but the keys that it is given. It keeps nothing: the private keys are the vault's, a
// receipt is signed once and then kept by the catalog.
//
// A signed receipt is a JWS in its compact form (RFC 7515, section 3.1) by EdDSA with
// Ed25519 (RFC 8037, section 3.1) that contains the receipt. Its header names the key by its
// JWK thumbprint; the public keys, those that sign no more included, are a JWK set.
package receipts

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-jose/go-jose/v4"

	"github.com/reelflow/reelflow/video"
)

// mediaType says what is signed, so that nothing else that the key may ever sign can be taken
// for a receipt (RFC 8725, section 3.11).
const mediaType = "reelflow-receipt+jws"

// Key is half of a key pair, or both.
type Key struct {
	ID      string // kid
	Public  ed25519.PublicKey
	Private ed25519.PrivateKey // only Sign needs it
}

// Sign returns the receipt with its signature in it. What was found later is no part of it.
func Sign(r video.Receipt, key Key) (video.Receipt, error) {
	payload, err := json.Marshal(signed(r))
	if err != nil {
		return r, err
	}
	options := (&jose.SignerOptions{}).WithType(mediaType).WithHeader(jose.HeaderKey("kid"), key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key.Private}, options)
	if err != nil {
		return r, err
	}
	jws, err := signer.Sign(payload)
	if err == nil {
		r.JWS, err = jws.CompactSerialize()
	}
	return r, err
}

// signed is the part of a receipt that is signed.
func signed(r video.Receipt) video.Receipt {
	r.JWS, r.Reappeared = "", nil
	return r.Completed()
}

// Opened is what a signature covers.
type Opened struct {
	video.Receipt
	KeyID string
}

// Open checks the signature of a JWS by a JWK set and returns the receipt that it contains.
func Open(jws string, keys []byte) (Opened, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil || len(set.Keys) == 0 {
		return Opened{}, errors.New("these are no public keys: a JWK set is needed, as /v1/receipts/key answers")
	}
	parsed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return Opened{}, errors.New("the receipt's jws is no JWS by Ed25519")
	}
	header := parsed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != mediaType {
		return Opened{}, errors.New("what is signed is no receipt")
	}
	for _, key := range set.Key(header.KeyID) {
		public, ok := key.Key.(ed25519.PublicKey)
		if !ok {
			continue
		}
		payload, err := parsed.Verify(public)
		if err != nil {
			return Opened{}, fmt.Errorf("the signature is not one of the key %s", header.KeyID)
		}
		opened := Opened{KeyID: header.KeyID}
		if err := json.Unmarshal(payload, &opened.Receipt); err != nil {
			return Opened{}, errors.New("what is signed is no receipt")
		}
		return opened, nil
	}
	return Opened{}, fmt.Errorf("the key %q, which is said to have signed it, is not among those that were given", header.KeyID)
}

// CheckSame says whether what stands beside a signature is what was signed.
func CheckSame(shown video.Receipt, o Opened) error {
	if !reflect.DeepEqual(normal(shown), normal(o.Receipt)) {
		return errors.New("the receipt says something else than what was signed")
	}
	return nil
}

// normal is a receipt in the form in which all that say the same are equal.
func normal(r video.Receipt) (fields map[string]any) {
	data, err := json.Marshal(signed(r))
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		panic(err) // of our own making
	}
	return fields
}

// JWKSet is a set of public keys (RFC 7517, section 5).
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// JWK is a public key of Ed25519 (RFC 8037, section 2).
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x" doc:"The key, in base64url"`
	ID        string `json:"kid" doc:"Its thumbprint (RFC 7638)"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// NewJWKSet returns the public halves of keys.
func NewJWKSet(keys []Key) JWKSet {
	set := JWKSet{Keys: []JWK{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, JWK{
			KeyType: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(key.Public),
			ID: key.ID, Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
	return set
}
