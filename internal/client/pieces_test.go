package client

import (
	"testing"
	"time"
)

// sendAt sends size bytes at so many a second, and returns the pieces.
func sendAt(rate float64, size int64) (sizes []int64) {
	p := newPieces()
	for offset := int64(0); offset < size; {
		n := p.size(offset, size-offset)
		p.sent(n, time.Duration(float64(n)/rate*float64(time.Second)))
		sizes = append(sizes, n)
		offset += n
	}
	return sizes
}

func TestAPieceLastsAboutFourSeconds(t *testing.T) {
	for name, row := range map[string]struct {
		rate        float64
		least, most int64 // of every piece but the first two and the last
		pieces      int
	}{
		"a phone":      {50e3, leastPiece, leastPiece, 550},
		"a slow line":  {400e3, 1_600_000, 1_600_000, 181},
		"100 Mbit/s":   {12.5e6, 40 << 20, 48 << 20, 9},
		"the same LAN": {1e9, 56 << 20, mostPiece, 7},
	} {
		sizes := sendAt(row.rate, 287_600_000)
		if len(sizes) > row.pieces || sizes[0] != firstPiece {
			t.Errorf("%s: %d pieces: %v", name, len(sizes), sizes)
		}
		for _, n := range sizes[2 : len(sizes)-1] {
			if n < row.least || n > row.most {
				t.Errorf("%s: a piece of %d bytes", name, n)
			}
		}
	}
}

func TestLargePiecesEndWhereASegmentDoes(t *testing.T) {
	offset := int64(0)
	for _, n := range sendAt(1e9, 287_600_000) {
		if offset += n; n >= segment && offset%segment != 0 && offset != 287_600_000 {
			t.Errorf("a piece of %d ends at %d", n, offset)
		}
	}
}

func TestABreakHalvesPieces(t *testing.T) {
	p := newPieces()
	p.sent(8<<20, 100*time.Millisecond)
	n := p.size(0, 1<<30)
	p.broke(n)
	if half := p.size(0, 1<<30); half != n/2 {
		t.Errorf("%d after %d", half, n)
	}
	for range calm {
		p.sent(p.size(0, 1<<30), 10*time.Millisecond)
	}
	if again := p.size(0, 1<<30); again != n {
		t.Errorf("%d after it went well for a while", again)
	}
	for range 20 {
		p.broke(p.size(0, 1<<30))
	}
	if least := p.size(0, 1<<30); least != leastPiece {
		t.Errorf("the least piece has %d bytes", least)
	}
}

func TestWhatWasRefusedIsNotTriedAgain(t *testing.T) {
	p := newPieces()
	if !p.refused(4 << 20) {
		t.Fatal("4 MiB were the least")
	}
	for range 100 {
		n := p.size(0, 1<<30)
		if n > 2<<20 {
			t.Fatalf("a piece of %d bytes", n)
		}
		p.sent(n, time.Millisecond)
	}
	if p.refused(leastPiece) {
		t.Error("something is less than the least piece")
	}
}
