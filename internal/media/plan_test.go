package media

import (
	"fmt"
	"testing"
	"time"
)

func TestLadder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		width, height int
		want          []string
	}{
		{1920, 1080, []string{"1080p 1920x1080", "720p 1280x720", "480p 852x480"}},
		{1080, 1920, []string{"1080p 1080x1920", "720p 720x1280", "480p 480x852"}},
		{3840, 2160, []string{"1080p 1920x1080", "720p 1280x720", "480p 852x480"}},
		{720, 1280, []string{"720p 720x1280", "480p 480x852"}},
		{1079, 1079, []string{"720p 720x720", "480p 480x480"}},
		{405, 721, []string{"404p 404x720"}},
		{480, 480, []string{"480p 480x480"}},
		{320, 17, []string{"16p 320x16"}},
	}
	for _, test := range tests {
		ladder := Ladder(Info{Width: test.width, Height: test.height, OutputRate: Rate{30, 1}})
		var got []string
		for i, r := range ladder {
			got = append(got, fmt.Sprintf("%s %dx%d", r.Name, r.Width, r.Height))
			if r.Width > test.width || r.Height > test.height || r.Bitrate <= 0 || i > 0 && r.Bitrate >= ladder[i-1].Bitrate {
				t.Errorf("%dx%d: rendition %+v", test.width, test.height, r)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%dx%d: got %v, want %v", test.width, test.height, got, test.want)
		}
	}
}

// Whatever the rate and the length: pieces follow each other without a gap, cover all,
// and begin at key frames and segments' beginnings.
func TestPieces(t *testing.T) {
	t.Parallel()
	for _, rate := range standardRates() {
		for _, frames := range []int{2, 59, 150, 299, 300, 301, 449, 450, 900, 18000, 36001} {
			info := Info{Container: "mp4", OutputRate: rate, Frames: frames, DurationSeconds: rate.Seconds(frames)}
			pieces := Pieces(info, PieceLength(info))
			next := 0
			for i, p := range pieces {
				if p.Index != i || p.First != next || p.First%gop(rate) != 0 || p.Last != (i == len(pieces)-1) || p.Frames < 1 {
					t.Errorf("%v, %d frames: piece %+v after %d", rate, frames, p, next)
				}
				if length := rate.Seconds(p.Frames); length > 15.1 || len(pieces) > 1 && length < 1.9 {
					t.Errorf("%v, %d frames: piece %d lasts %.1f s", rate, frames, i, length)
				}
				next += p.Frames
			}
			if next != frames {
				t.Errorf("%v: pieces hold %d frames of %d", rate, next, frames)
			}
		}
	}
	if pieces := Pieces(Info{Container: "mpegts", OutputRate: Rate{30, 1}, Frames: 9000}, time.Second); len(pieces) != 1 {
		t.Errorf("transport stream in %d pieces", len(pieces))
	}
}

func TestOutputRate(t *testing.T) {
	t.Parallel()
	none := Rate{}
	tests := []struct{ average, base, want Rate }{
		{Rate{30, 1}, Rate{30, 1}, Rate{30, 1}},
		{Rate{30000, 1001}, Rate{30000, 1001}, Rate{30000, 1001}},
		{Rate{2971, 100}, Rate{30, 1}, Rate{30, 1}},          // a phone
		{Rate{124, 10}, Rate{60, 1}, Rate{60, 1}},            // a screen that mostly stood still
		{Rate{2813, 100}, Rate{90000, 1}, Rate{30000, 1001}}, // varies
		{Rate{173, 10}, Rate{1000, 1}, Rate{20, 1}},          // varies
		{Rate{120, 1}, Rate{120, 1}, Rate{60, 1}},
		{Rate{240000, 1001}, Rate{240000, 1001}, Rate{60000, 1001}},
		{Rate{144, 1}, Rate{144, 1}, Rate{48, 1}},
		{Rate{37, 2}, Rate{37, 2}, Rate{37, 2}},
		{Rate{1, 1}, Rate{1, 1}, Rate{10, 1}},
		{Rate{59, 10}, Rate{90, 1}, Rate{12, 1}},
		{none, Rate{25, 1}, Rate{25, 1}},
		{none, Rate{1000, 1}, Rate{30, 1}}, // a clock, not a rate
		{none, none, Rate{30, 1}},
		{Rate{25, 1}, Rate{50, 1}, Rate{25, 1}},       // interlaced
		{Rate{59, 2}, Rate{25, 1}, Rate{30000, 1001}}, // as some interlaced sources claim
	}
	for _, test := range tests {
		if got := outputRate(test.average, test.base); got != test.want {
			t.Errorf("outputRate(%v, %v) = %v, want %v", test.average, test.base, got, test.want)
		}
	}
}
