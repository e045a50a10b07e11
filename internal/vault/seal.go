package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/reelflow/reelflow/video"
)

// Sealed data is a header followed by chunks, each with its tag, after the
// STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online
// Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015):
//
//	header   4 bytes "RFS1", 28 random bytes
//	chunk    AES-256-GCM of 65,536 bytes of plaintext; the last one of 0 to 65,536
//
// The key is HKDF-SHA256 of the video's key, salted with the header, for the
// identity of the object. A nonce is the chunk's number, in 11 bytes, and one
// byte that is 1 for the last chunk. So no nonce is ever used twice under one key,
// also when the same bytes are sealed again, and changed, missing, moved,
// added or foreign chunks don't open. The last chunk is empty only if all is:
// a plaintext has one sealed size.
const (
	ChunkSize  = 64 << 10 // bytes of plaintext in every chunk but the last
	HeaderSize = 32
	TagSize    = 16 // what sealing adds to each chunk

	sealedChunk = ChunkSize + TagSize
	sealMagic   = "RFS1"
)

// domain keeps apart what is derived from one key for different purposes.
type domain string

const (
	objectDomain  domain = "reelflow object v1"
	columnDomain  domain = "reelflow column v1"
	segmentDomain domain = "reelflow segment v1"
)

func (d domain) info(identity string) string { return string(d) + "\x00" + identity }

// SealedSize is the size, in bytes, of plain bytes once they are sealed.
func SealedSize(plain int64) int64 { return HeaderSize + plain + chunkCount(plain)*TagSize }

// PlainSize is the opposite of SealedSize. Internal if nothing sealed has this size.
func PlainSize(sealed int64) (int64, error) {
	body := sealed - HeaderSize
	plain := body - (body+sealedChunk-1)/sealedChunk*TagSize
	if plain < 0 || SealedSize(plain) != sealed {
		return 0, damagedData(errors.New("not the size of anything sealed"))
	}
	return plain, nil
}

func chunkCount(plain int64) int64 { return max(1, (plain+ChunkSize-1)/ChunkSize) }

// Seal appends plain, sealed as the object called identity, to dst. Sealing the
// same again gives other bytes. To need no second buffer pass plain[:0] as dst,
// of a plain with capacity for SealedSize(len(plain)): plain is then
// overwritten. Otherwise the two must not overlap. Unavailable, with plain
// untouched, if the loan has ended.
func (k Key) Seal(identity string, dst, plain []byte) ([]byte, error) {
	return k.seal(objectDomain, identity, dst, plain)
}

// Open opens what Seal sealed under the same identity, into a new
// buffer. Internal if it was changed, or never was ours; Unavailable if the
// loan has ended.
func (k Key) Open(identity string, sealed []byte) ([]byte, error) {
	return k.open(objectDomain, identity, sealed)
}

// SealColumn seals a value that rests in a database. Its identity should name
// table, column and row, so that values can't be exchanged. Errors as of Seal.
func (k Key) SealColumn(identity string, plain []byte) ([]byte, error) {
	return k.seal(columnDomain, identity, nil, plain)
}

// OpenColumn opens what SealColumn sealed. Errors as of Open.
func (k Key) OpenColumn(identity string, sealed []byte) ([]byte, error) {
	return k.open(columnDomain, identity, sealed)
}

func (k Key) seal(d domain, identity string, dst, plain []byte) ([]byte, error) {
	header := newHeader()
	c, err := k.chunks(d, identity, header)
	if err != nil {
		return nil, err
	}
	size := len(plain)
	out := slices.Grow(dst, int(SealedSize(int64(size))))
	body := out[len(dst)+HeaderSize : len(dst)+int(SealedSize(int64(size)))]
	// Back to front: when plain lies in the same array, each chunk moves away
	// from those that are still to be sealed.
	last := int(chunkCount(int64(size))) - 1
	for i := last; i >= 0; i-- {
		from := plain[i*ChunkSize : min((i+1)*ChunkSize, size)]
		to := body[i*sealedChunk:][:len(from)]
		copy(to, from)
		c.Seal(to[:0], nonce(int64(i), i == last), to, nil)
	}
	out = append(out, header...)
	return out[:len(out)+len(body)], nil
}

func (k Key) open(d domain, identity string, sealed []byte) ([]byte, error) {
	size, err := PlainSize(int64(len(sealed)))
	if err != nil {
		return nil, err
	}
	c, err := k.chunks(d, identity, sealed[:HeaderSize])
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, size)
	last := chunkCount(size) - 1
	body := sealed[HeaderSize:]
	for i := range last + 1 {
		chunk := body[:min(sealedChunk, len(body))]
		body = body[len(chunk):]
		if plain, err = c.Open(plain, nonce(i, i == last), chunk, nil); err != nil {
			return nil, damagedData(err)
		}
	}
	return plain, nil
}

// chunks returns the cipher of the chunks of one object.
func (k Key) chunks(d domain, identity string, header []byte) (cipher.AEAD, error) {
	if len(header) != HeaderSize || string(header[:len(sealMagic)]) != sealMagic {
		return nil, damagedData(errors.New("not a header of anything sealed"))
	}
	key, err := k.derive(header, d.info(identity), 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func newHeader() []byte {
	header := append(make([]byte, 0, HeaderSize), sealMagic...)
	rand.Read(header[len(sealMagic):HeaderSize])
	return header[:HeaderSize]
}

func nonce(chunk int64, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:], uint64(chunk))
	if last {
		n[11] = 1
	}
	return n
}

func damagedData(cause error) error {
	return video.Errorf(video.Internal, "The stored data is damaged.").Because(cause)
}
