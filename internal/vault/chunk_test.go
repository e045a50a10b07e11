package vault

import (
	"bytes"
	"slices"
	"testing"

	"github.com/reelflow/reelflow/video"
	"pgregory.net/rapid"
)

// Every byte comes out of the chunk that it is said to be in, as it was sealed.
func TestChunksOpenByThemselves(t *testing.T) {
	t.Parallel()
	key := testKey()
	rapid.Check(t, func(t *rapid.T) {
		plain := plaintext(t)
		sealed := must(key.Seal(object, nil, plain))(t)
		size := int64(len(sealed))
		if len(plain) == 0 {
			_, err := ChunkAt(0, size)
			wantCode(t, err, video.Invalid)
			return
		}
		off := rapid.Int64Range(0, int64(len(plain))-1).Draw(t, "off")
		first := must(ChunkAt(off, size))(t)
		if from := first.Number * ChunkSize; off < from || off >= from+ChunkSize {
			t.Fatalf("byte %d is not in chunk %d", off, first.Number)
		}
		end := first.Number * ChunkSize
		for c := first; c.Length > 0; c = c.Next(size) {
			part := slices.Clone(sealed[c.Offset : c.Offset+c.Length])
			opened := must(key.OpenChunk(object, sealed[:HeaderSize], size, c, part))(t)
			if !bytes.HasPrefix(plain[end:], opened) {
				t.Fatalf("chunk %d: another plaintext", c.Number)
			}
			end += int64(len(opened))
		}
		if end != int64(len(plain)) {
			t.Fatalf("%d of %d bytes came out", end, len(plain))
		}
	})
}

func TestChunksThatAreNotThoseAskedForDoNotOpen(t *testing.T) {
	t.Parallel()
	key := testKey()
	plain := noise(2*ChunkSize + 100)
	sealed := must(key.Seal(object, nil, plain))(t)
	size := int64(len(sealed))
	first := must(ChunkAt(0, size))(t)
	second := first.Next(size)
	last := second.Next(size)
	at := func(c Chunk) []byte { return slices.Clone(sealed[c.Offset : c.Offset+c.Length]) }
	flipped := at(first)
	flipped[70]++
	for name, open := range map[string]func() ([]byte, error){
		"changed": func() ([]byte, error) { return key.OpenChunk(object, sealed[:HeaderSize], size, first, flipped) },
		"moved":   func() ([]byte, error) { return key.OpenChunk(object, sealed[:HeaderSize], size, first, at(second)) },
		"cut": func() ([]byte, error) {
			return key.OpenChunk(object, sealed[:HeaderSize], size, first, at(first)[:100])
		},
		"another object": func() ([]byte, error) { return key.OpenChunk("other", sealed[:HeaderSize], size, first, at(first)) },
		"the end cut off, and said so": func() ([]byte, error) {
			shorter := second.Offset + second.Length
			return key.OpenChunk(object, sealed[:HeaderSize], shorter, chunk(1, shorter), at(second))
		},
		"after the end": func() ([]byte, error) {
			return key.OpenChunk(object, sealed[:HeaderSize], size, last.Next(size), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open()
			wantCode(t, err, video.Internal)
		})
	}
	_, err := Key{}.OpenChunk(object, sealed[:HeaderSize], size, first, at(first))
	wantCode(t, err, video.Unavailable)
	for _, off := range []int64{-1, int64(len(plain)), 1 << 62} {
		_, err := ChunkAt(off, size)
		wantCode(t, err, video.Invalid)
	}
}
