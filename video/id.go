package video

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// ID names a video: 26 characters of lower-case base32 (RFC 4648, no padding)
// made of 128 random bits. An ID is never used again.
type ID string

var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewID returns a fresh random ID.
func NewID() ID {
	var b [16]byte
	rand.Read(b[:])
	return ID(EncodeToken(b[:]))
}

// EncodeToken writes bytes as lower-case base32 without padding, as ids and the tokens
// of uploads are written: 16 bytes are 26 characters.
func EncodeToken(b []byte) string { return strings.ToLower(idEncoding.EncodeToString(b)) }

// ParseID checks that s has the form of an ID. It fails with NotFound: an
// address with anything else in it can't have been issued by us.
func ParseID(s string) (ID, error) {
	b, err := idEncoding.DecodeString(strings.ToUpper(s))
	// Encoding it again refuses the spellings that decode to the same bits.
	if err != nil || EncodeToken(b) != s || len(b) != 16 {
		return "", Errorf(NotFound, "There is no such video.")
	}
	return ID(s), nil
}

// Prefix is where everything of the video lies, in every store.
func (id ID) Prefix() string { return "v/" + string(id) + "/" }

// Hash is the hex SHA-256 of the ID: all that stays of it after a purge.
func (id ID) Hash() string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// LedgerKey is the key of the content-free record of the video's deletion, in every store.
func (id ID) LedgerKey() string { return "ledger/v/" + id.Hash() + ".json" }

// WorkflowID is the id of the video's Lifecycle workflow.
func (id ID) WorkflowID() string { return "video/" + string(id) }
