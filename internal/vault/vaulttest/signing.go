package vaulttest

import (
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
)

func signer(t *testing.T, v vault.Vault) {
	sign := func(lasts time.Duration) vault.SigningKey {
		t.Helper()
		key, err := v.Signer(t.Context(), lasts)
		ok(t, err)
		if key.ID == "" || !ed25519.Verify(key.Public, []byte("said"), ed25519.Sign(key.Private, []byte("said"))) {
			t.Fatalf("a key that doesn't sign: %q", key.ID)
		}
		return key
	}
	published := func(want ...string) {
		t.Helper()
		all, err := v.PublicKeys(t.Context())
		ok(t, err)
		for i, key := range all {
			if i >= len(want) || key.ID != want[i] || key.Private != nil || len(key.Public) != ed25519.PublicKeySize {
				t.Errorf("public key %d: %+v, want %v", i, key, want)
			}
		}
		if len(all) != len(want) {
			t.Errorf("%d public keys, want %d", len(all), len(want))
		}
	}
	published()
	first := sign(time.Hour)
	if again := sign(time.Hour); again.ID != first.ID || !again.Private.Equal(first.Private) {
		t.Error("a key that is young signs no more")
	}
	published(first.ID)
	second := sign(0)
	if second.ID == first.ID {
		t.Error("a key that is old signs still")
	}
	if sign(time.Hour).ID != second.ID {
		t.Error("it is not the youngest that signs")
	}
	published(first.ID, second.ID)
}

func signerAtOnce(t *testing.T, v vault.Vault) {
	var all sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		all.Go(func() {
			key, err := v.Signer(t.Context(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			ids[i] = key.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several keys sign: %v", ids)
		}
	}
}
