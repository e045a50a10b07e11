package vault

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// SigningKeyLasts is how long one key signs receipts before another takes its place.
const SigningKeyLasts = 90 * 24 * time.Hour

// SigningKey is an Ed25519 key by which receipts are signed.
type SigningKey struct {
	ID      string // its JWK thumbprint (RFC 7638, section 3): a kid
	MadeAt  time.Time
	Public  ed25519.PublicKey
	Private ed25519.PrivateKey // nil where only the public half was asked for, or is left
}

func newSigningKey() SigningKey {
	public, private, _ := ed25519.GenerateKey(rand.Reader) // which never fails
	return SigningKey{ID: thumbprint(public), MadeAt: inLedger(time.Now()), Public: public, Private: private}
}

// thumbprint hashes the required members of the JWK in the order of their names (RFC 7638,
// section 3.2; for this kind of key RFC 8037, section 2).
func thumbprint(public ed25519.PublicKey) string {
	jwk := `{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`
	sum := sha256.Sum256([]byte(jwk))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// keptSigningKey is how a key rests.
type keptSigningKey struct {
	ID     string    `json:"kid"`
	MadeAt time.Time `json:"made_at"`
	Public []byte    `json:"public"`
	Seed   []byte    `json:"seed,omitempty"` // missing: signs no more
}

func (k SigningKey) kept() keptSigningKey {
	return keptSigningKey{ID: k.ID, MadeAt: k.MadeAt, Public: k.Public, Seed: k.Private.Seed()}
}

// key fails when what rests is not a key.
func (k keptSigningKey) key() (SigningKey, error) {
	key := SigningKey{ID: k.ID, MadeAt: k.MadeAt.UTC(), Public: k.Public}
	if len(k.Public) != ed25519.PublicKeySize || thumbprint(key.Public) != k.ID {
		return SigningKey{}, damaged(errors.New("a signing key isn't the one of its id"))
	}
	if len(k.Seed) == 0 {
		return key, nil
	}
	if len(k.Seed) == ed25519.SeedSize {
		key.Private = ed25519.NewKeyFromSeed(k.Seed)
	}
	if key.Private == nil || !key.Public.Equal(key.Private.Public()) {
		return SigningKey{}, damaged(errors.New("the halves of a signing key don't belong together"))
	}
	return key, nil
}

// signs reports whether the key signs still, having signed for no longer than lasts.
func (k SigningKey) signs(lasts time.Duration) bool {
	return k.Private != nil && time.Since(k.MadeAt) < lasts
}

// Signer implements Vault. All keys are one file, which is replaced whole.
func (v *FileVault) Signer(ctx context.Context, lasts time.Duration) (SigningKey, error) {
	if err := v.usable(ctx); err != nil {
		return SigningKey{}, err
	}
	_, youngest, err := v.readSigning()
	if err != nil || youngest.signs(lasts) {
		return youngest, fault(err)
	}
	err = v.writing(ctx, func() error {
		var kept []keptSigningKey
		kept, youngest, err = v.readSigning()
		if err != nil || youngest.signs(lasts) { // somebody else was first
			return err
		}
		for i := range kept {
			kept[i].Seed = nil
		}
		youngest = newSigningKey()
		data, err := json.Marshal(append(kept, youngest.kept()))
		if err != nil {
			return err
		}
		return v.disk.replace(v.signingPath(), append(data, '\n'))
	})
	if err != nil {
		return SigningKey{}, fault(err)
	}
	return youngest, nil
}

// PublicKeys implements Vault.
func (v *FileVault) PublicKeys(ctx context.Context) (all []SigningKey, err error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	kept, _, err := v.readSigning()
	for i := 0; i < len(kept) && err == nil; i++ {
		var key SigningKey
		key, err = kept[i].key()
		key.Private = nil
		all = append(all, key)
	}
	return all, fault(err)
}

func (v *FileVault) signingPath() string { return filepath.Join(v.dir, "signing") }

// readSigning returns all keys, the oldest first, and the youngest of them: zero for none.
func (v *FileVault) readSigning() (kept []keptSigningKey, youngest SigningKey, err error) {
	data, err := os.ReadFile(v.signingPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, youngest, nil
	}
	if err == nil {
		if err = json.Unmarshal(data, &kept); err != nil {
			err = damaged(err)
		}
	}
	if err == nil && len(kept) > 0 {
		youngest, err = kept[len(kept)-1].key()
	}
	return kept, youngest, err
}
