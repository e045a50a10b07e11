package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/reelflow/reelflow/video"
	"pgregory.net/rapid"
)

const object = "v/abc/source/000000000000"

func testKey() Key {
	var k [32]byte
	for i := range k {
		k[i] = byte(i)
	}
	return NewKey(k)
}

// plaintext draws bytes whose size is likely to lie at the edge of a chunk.
func plaintext(t *rapid.T) []byte {
	size := rapid.IntRange(0, 3).Draw(t, "chunks")*ChunkSize + rapid.IntRange(-20, 20).Draw(t, "around")
	return noise(max(0, size))
}

func noise(size int) []byte {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{7})
	source.Read(b)
	return b
}

func TestWhatWasSealedOpens(t *testing.T) {
	t.Parallel()
	key := testKey()
	rapid.Check(t, func(t *rapid.T) {
		plain := plaintext(t)
		for sealer, sealed := range map[string][]byte{
			"Seal":          must(key.Seal(object, nil, plain))(t),
			"Seal in place": must(sealInPlace(key, plain))(t),
		} {
			if size := int64(len(sealed)); size != SealedSize(int64(len(plain))) {
				t.Fatalf("%s: sealed size is %d, said to be %d", sealer, size, SealedSize(int64(len(plain))))
			}
			if !bytes.Equal(must(key.Open(object, sealed))(t), plain) {
				t.Fatalf("sealed by %s: another plaintext", sealer)
			}
		}
	})
}

func TestSealAppends(t *testing.T) {
	t.Parallel()
	sealed := must(testKey().Seal(object, []byte("before"), []byte("plain")))(t)
	if string(sealed[:6]) != "before" || string(must(testKey().Open(object, sealed[6:]))(t)) != "plain" {
		t.Errorf("got %q", sealed)
	}
}

func TestSealingTwiceShowsNothing(t *testing.T) {
	t.Parallel()
	one, two := must(testKey().Seal(object, nil, noise(100)))(t), must(testKey().Seal(object, nil, noise(100)))(t)
	if bytes.Equal(one[len(sealMagic):HeaderSize], two[len(sealMagic):HeaderSize]) || bytes.Equal(one[HeaderSize:], two[HeaderSize:]) {
		t.Error("the same bytes came out twice")
	}
}

// damages are the ways in which sealed bytes may come back as others.
var damages = map[string]func(t *rapid.T, sealed []byte) []byte{
	"a bit flipped": func(t *rapid.T, sealed []byte) []byte {
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		return sealed
	},
	"cut anywhere": func(t *rapid.T, sealed []byte) []byte {
		return sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "size")]
	},
	"cut after a chunk": func(t *rapid.T, sealed []byte) []byte {
		chunks := (len(sealed) - HeaderSize - 1) / sealedChunk
		return sealed[:HeaderSize+rapid.IntRange(0, chunks).Draw(t, "chunks")*sealedChunk]
	},
	"extended": func(t *rapid.T, sealed []byte) []byte {
		return append(sealed, noise(rapid.SampledFrom([]int{1, 16, 17, sealedChunk}).Draw(t, "by"))...)
	},
	"extended by its own chunks": func(t *rapid.T, sealed []byte) []byte {
		return append(sealed, sealed[HeaderSize:]...)
	},
	"chunks exchanged": func(t *rapid.T, sealed []byte) []byte {
		if len(sealed) < HeaderSize+2*sealedChunk {
			return sealed[:0]
		}
		chunks := slices.Collect(slices.Chunk(bytes.Clone(sealed[HeaderSize:]), sealedChunk))
		return slices.Concat(sealed[:HeaderSize], chunks[1], chunks[0], slices.Concat(chunks[2:]...))
	},
	"a chunk left out": func(t *rapid.T, sealed []byte) []byte {
		return slices.Delete(sealed, HeaderSize, min(HeaderSize+sealedChunk, len(sealed)))
	},
	"another's header": func(t *rapid.T, sealed []byte) []byte {
		return append(newHeader(), sealed[HeaderSize:]...)
	},
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	key := testKey()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				plain := plaintext(t)
				sealed := damage(t, must(key.Seal(object, nil, plain))(t))
				_, err := key.Open(object, sealed)
				wantCode(t, err, video.Internal)
			})
		})
	}
}

// An attacker with the key of nothing can't make this one, but a writer that
// errs could: Open is what keeps sizes unambiguous.
func TestAnEmptyChunkTooMany(t *testing.T) {
	t.Parallel()
	key := testKey()
	header := newHeader()
	c := must(key.chunks(objectDomain, object, header))(t)
	sealed := c.Seal(header, nonce(0, false), noise(ChunkSize), nil)
	sealed = c.Seal(sealed, nonce(1, true), nil, nil)
	_, err := key.Open(object, sealed)
	wantCode(t, err, video.Internal)
}

func TestOnlyTheRightNameAndKeyOpen(t *testing.T) {
	t.Parallel()
	key, other := testKey(), NewKey([32]byte{1})
	sealed := must(key.Seal(object, nil, noise(10)))(t)
	_, err := key.Open(object+"x", sealed)
	wantCode(t, err, video.Internal)
	_, err = other.Open(object, sealed)
	wantCode(t, err, video.Internal)
	_, err = key.OpenColumn(object, sealed)
	wantCode(t, err, video.Internal)

	column := must(key.SealColumn("videos.title/abc", []byte("a title")))(t)
	if plain := must(key.OpenColumn("videos.title/abc", column))(t); string(plain) != "a title" {
		t.Errorf("opened %q", plain)
	}
	_, err = key.Open("videos.title/abc", column)
	wantCode(t, err, video.Internal)
}

// What was sealed by the first release must open in every later one.
func TestTheFormatStays(t *testing.T) {
	t.Parallel()
	sealed := must(hex.DecodeString(goldenSealed))(t)
	if plain := must(testKey().Open("v/golden", sealed))(t); string(plain) != "reelflow" {
		t.Errorf("opened %q", plain)
	}
	segment := must(testKey().SegmentKey("720", 7))(t)
	if hex.EncodeToString(segment[:]) != goldenSegmentKey {
		t.Errorf("segment key %x", segment)
	}
}

const (
	goldenSealed     = "524653316682f500910746ff3692c92095a35f9a89f0f2cdbd9292b291a5c16534d944ee0146c181a7155f6b342f610b2eb43feb20969e4d"
	goldenSegmentKey = "349ee470743a51f40ffc3ae1d791ddf1"
)

func TestTheKeyEndsWithTheLoan(t *testing.T) {
	t.Parallel()
	key := testKey()
	sealed := must(key.Seal(object, nil, noise(3*ChunkSize)))(t)
	key.secret.void = true
	_, err := key.Open(object, sealed)
	wantCode(t, err, video.Unavailable)
	_, err = key.Seal(object, nil, nil)
	wantCode(t, err, video.Unavailable)
	_, err = key.SegmentKey("720", 1)
	wantCode(t, err, video.Unavailable)
	_, err = Key{}.Open(object, sealed)
	wantCode(t, err, video.Unavailable)
}

func TestPlainSizeRefusesWhatNothingHas(t *testing.T) {
	t.Parallel()
	sizes := map[int64]bool{}
	for plain := range int64(3 * ChunkSize) {
		sizes[SealedSize(plain)] = true
	}
	for sealed := range SealedSize(3*ChunkSize - 1) {
		plain, err := PlainSize(sealed)
		if (err == nil) != sizes[sealed] || err == nil && SealedSize(plain) != sealed {
			t.Fatalf("%d: %d, %v", sealed, plain, err)
		}
	}
}

func TestSegmentKeysDiffer(t *testing.T) {
	t.Parallel()
	seen := map[[16]byte]string{}
	for _, rendition := range []string{"1080", "720", "7200"} {
		for n := range 12 {
			key := must(testKey().SegmentKey(rendition, n))(t)
			if other := seen[key]; other != "" {
				t.Errorf("%s/%d has the key of %s", rendition, n, other)
			}
			seen[key] = fmt.Sprintf("%s/%d", rendition, n)
		}
	}
}

func sealInPlace(key Key, plain []byte) ([]byte, error) {
	buf := make([]byte, len(plain), SealedSize(int64(len(plain))))
	copy(buf, plain)
	sealed, err := key.Seal(object, buf[:0], buf)
	if err == nil && &sealed[0] != &buf[:1][0] {
		err = errors.New("not in place")
	}
	return sealed, err
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// must returns a value, or fails the test for its error.
func must[T any](value T, err error) func(fataler) T {
	return func(t fataler) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantCode(t fataler, err error, code video.Code) {
	t.Helper()
	if err == nil || video.CodeOf(err) != code {
		t.Errorf("want %s, got: %v", code, err)
	}
}

func BenchmarkSeal(b *testing.B) {
	key := testKey()
	buf := make([]byte, 8<<20, SealedSize(8<<20))
	b.SetBytes(8 << 20)
	for b.Loop() {
		must(key.Seal(object, buf[:0], buf))(b)
	}
}

func BenchmarkOpen(b *testing.B) {
	key := testKey()
	sealed := must(key.Seal(object, nil, noise(8<<20)))(b)
	b.SetBytes(8 << 20)
	for b.Loop() {
		must(key.Open(object, sealed))(b)
	}
}

func BenchmarkEncryptSegment(b *testing.B) {
	plain := noise(1 << 20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		EncryptSegment([16]byte{1}, [16]byte{2}, plain)
	}
}
