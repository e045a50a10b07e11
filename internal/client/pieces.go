package client

import "time"

// Sizes of the pieces in which an upload is sent, in bytes, and how long one should
// take. A connection that breaks costs no more than a piece, and a proxy that takes a
// whole request before it passes anything on holds back no more.
const (
	pieceTime  = 4 * time.Second
	leastPiece = 512 << 10
	firstPiece = 1 << 20
	mostPiece  = 64 << 20

	// segment is what the gateway stores as one object: pieces that are larger end
	// where one does.
	segment = 8 << 20

	growth = 8 // times the piece before, at most: a burst is no rate
	calm   = 4 // pieces in a row that must go well before a bound that a break has set is doubled
)

// pieces decides how large the next piece is, from how the ones before went. Its zero
// value is not ready: see newPieces.
type pieces struct {
	next  int64
	bound int64 // halved by each break, and raised when pieces go well
	limit int64 // of something on the way, which has refused more; never raised
	well  int   // pieces of the size of bound that have gone well since
}

func newPieces() pieces { return pieces{next: firstPiece, bound: mostPiece, limit: mostPiece} }

// size is that of the piece at offset, of which left bytes are missing to the end.
func (p *pieces) size(offset, left int64) int64 {
	n := min(p.next, p.bound, p.limit)
	if end := (offset + n) / segment * segment; n >= segment && end > offset {
		n = end - offset
	}
	return min(n, left)
}

// sent learns from a piece of n bytes that was stored.
func (p *pieces) sent(n int64, took time.Duration) {
	rate := float64(n) / max(took, time.Millisecond).Seconds()
	wanted := int64(min(rate*pieceTime.Seconds(), mostPiece))
	p.next = min(max(wanted, leastPiece), growth*max(n, leastPiece))
	if n < p.bound {
		return
	}
	if p.well++; p.well >= calm {
		p.well, p.bound = 0, min(2*p.bound, mostPiece)
	}
}

// broke learns from a piece of n bytes that was not stored as a whole.
func (p *pieces) broke(n int64) { p.well, p.bound = 0, max(min(n, p.bound)/2, leastPiece) }

// refused learns from something on the way that takes no request of n bytes. It reports
// whether a smaller piece is left to be tried.
func (p *pieces) refused(n int64) bool {
	if n <= leastPiece {
		return false
	}
	p.limit = max(n/2, leastPiece)
	return true
}
