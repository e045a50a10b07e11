package playback

import (
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
)

// A short last segment is little more than a key frame: no player has to fetch it at
// the rate of the whole.
func TestPeakBitrate(t *testing.T) {
	segment := func(seconds float64, size int64) catalog.Object {
		return catalog.Object{Duration: seconds, Size: size}
	}
	for name, test := range map[string]struct {
		segments []catalog.Object
		want     int
	}{
		"even":          {[]catalog.Object{segment(2, 1000), segment(4, 2000), segment(4, 2000)}, 4000},
		"one peak":      {[]catalog.Object{segment(2, 1000), segment(4, 4000), segment(4, 2000)}, 8000},
		"short end":     {[]catalog.Object{segment(2, 1000), segment(4, 2000), segment(0.04, 500)}, 4000},
		"few frames":    {[]catalog.Object{segment(0.1, 500)}, 40000},
		"not divisible": {[]catalog.Object{segment(3, 1000)}, 2667},
	} {
		if got := peakBitrate(test.segments); got != test.want {
			t.Errorf("%s: %d bits a second, want %d", name, got, test.want)
		}
	}
}
