package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"strconv"
)

// SegmentKey derives the AES-128 key of the n-th HLS segment of a rendition.
// Unavailable if the loan has ended.
func (k Key) SegmentKey(rendition string, n int) (key [16]byte, err error) {
	b, err := k.derive(nil, segmentDomain.info(rendition+"\x00"+strconv.Itoa(n)), len(key))
	copy(key[:], b)
	clear(b)
	return key, err
}

// EncryptSegment encrypts a media segment as HLS's METHOD=AES-128 has it:
// AES-128-CBC with PKCS #7 padding (RFC 8216 §4.3.2.4). The IV goes into the
// playlist and must be random and new each time a segment is encrypted: a piece
// that is encoded again has the same key.
func EncryptSegment(key, iv [16]byte, plain []byte) []byte {
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, len(plain)+padding)
	copy(out, plain)
	for i := len(plain); i < len(out); i++ {
		out[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(segmentCipher(key), iv[:]).CryptBlocks(out, out)
	return out
}

func segmentCipher(key [16]byte) cipher.Block {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	return block
}
