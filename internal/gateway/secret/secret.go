// Package secret derives the keys of the gateway's rooms from the vault's pepper, one
// for each purpose, and authenticates messages under them. Every gateway of an
// installation derives the same keys; nothing is stored.
package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Key authenticates messages of one purpose.
type Key []byte

// Derive returns the key of a purpose (HKDF of RFC 5869, with SHA-256).
func Derive(pepper []byte, purpose string) (Key, error) {
	return hkdf.Key(sha256.New, pepper, nil, purpose, sha256.Size)
}

// MAC authenticates a message of several parts by 32 bytes. Other parts have another
// MAC, also where they are the same text when joined.
func (k Key) MAC(parts ...string) []byte {
	var message []byte
	for _, p := range parts {
		message = binary.AppendUvarint(message, uint64(len(p)))
		message = append(message, p...)
	}
	return k.Sum(message)
}

// Sum is the HMAC-SHA-256 of a message of one part.
func (k Key) Sum(message []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write(message)
	return h.Sum(nil)
}
