package vaulttest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"
)

// DecryptSegment decrypts what vault.EncryptSegment encrypted, as a player does
// (RFC 8216, section 4.3.2.4: AES-128 in CBC mode with the padding of PKCS7). It fails
// the test where the segment isn't padded so.
func DecryptSegment(t testing.TB, key, iv [16]byte, sealed []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		t.Fatalf("a segment of %d bytes is not whole blocks", len(sealed))
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv[:]).CryptBlocks(out, sealed)
	padding := int(out[len(out)-1])
	if padding == 0 || padding > aes.BlockSize || bytes.Count(out[len(out)-padding:], out[len(out)-1:]) != padding {
		t.Fatal("a segment is not padded")
	}
	return out[:len(out)-padding]
}
