package vault_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
)

// NIST SP 800-38A, F.2.1: the first block of CBC-AES128.Encrypt.
func TestSegmentsAreAES128CBC(t *testing.T) {
	t.Parallel()
	key, iv := block(t, "2b7e151628aed2a6abf7158809cf4f3c"), block(t, "000102030405060708090a0b0c0d0e0f")
	plain := block(t, "6bc1bee22e409f96e93d7e117393172a")
	sealed := vault.EncryptSegment(key, iv, plain[:])
	if got := hex.EncodeToString(sealed[:16]); got != "7649abac8119b246cee98e9b12e9197d" {
		t.Errorf("got %s", got)
	}
	for size := range 50 {
		plain := bytes.Repeat([]byte{byte(size)}, size)
		sealed := vault.EncryptSegment(key, iv, plain)
		if len(sealed) != size/16*16+16 {
			t.Errorf("%d bytes became %d", size, len(sealed))
		}
		if !bytes.Equal(vaulttest.DecryptSegment(t, key, iv, sealed), plain) {
			t.Errorf("%d bytes: another plaintext", size)
		}
	}
}

func block(t *testing.T, digits string) [16]byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return [16]byte(b)
}
