package media

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// published is a file that players show, and what must come of it.
type published struct {
	path     string
	seconds  float64  // how long it is
	length   float64  // of pieces, in seconds; 0: one piece
	size     int      // short side, 0: 90
	silent   bool     // published without sound
	warnings []string // the beginnings of all that the author is told
}

const (
	small    = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 "
	vp8      = "-c:v libvpx -deadline realtime -cpu-used 8 "
	saysThat = "The file says that it lasts"
	damaged  = "Parts of this file are damaged"
)

func film(seconds float64) []string  { return picture("160x90", "25", seconds) }
func cover() []string                { return args("-f lavfi -i testsrc2=s=320x180:r=25:d=0.04") }
func source(parts ...any) []string   { return args(append([]any{film(4), sound(4)}, parts...)...) }
func half(data []byte) (head []byte) { return data[:len(data)*6/10] }

// wholeFilms are those of which nothing is missing.
func wholeFilms(t *testing.T) map[string]published {
	webm := clip(t, "clip.webm", source(vp8, "-c:a libopus")...)
	mp4 := clip(t, "clip.mp4", source(small, "-c:a aac")...)
	long := clip(t, "long.mp4", args(film(12), sound(12), small, "-g 125 -bf 3 -preset veryfast -c:a aac")...)
	jpeg, png := clip(t, "cover.jpg", args(cover(), "-frames:v 1")...), clip(t, "cover.png", args(cover(), "-frames:v 1")...)
	return map[string]published{
		// A clock that doesn't begin at zero, as pieces of a long recording have it.
		"matroska that begins late": {path: clip(t, "late.mkv", source(small, "-c:a aac -output_ts_offset 4")...), seconds: 4},
		"webm that begins late":     {path: clip(t, "late.webm", source(vp8, "-c:a libopus -output_ts_offset 30")...), seconds: 4},
		// Sound that is declared and doesn't come.
		"muted recording": {path: clip(t, "muted.webm", args(film(4), sound(4), "-map 0:v -map 1:a -af aselect=0", vp8, "-c:a libopus -live 1")...), seconds: 4, silent: true},
		"muted phone":     {path: clip(t, "muted.mp4", args(film(4), sound(4), "-map 0:v -map 1:a -af aselect=0", small, "-c:a aac -movflags frag_keyframe+empty_moov+default_base_moof")...), seconds: 4, silent: true},
		// A thumbnail that is the first track.
		"jpeg first":    {path: clip(t, "jpeg.mp4", "-i", jpeg, "-i", mp4, "-map", "0", "-map", "1", "-c", "copy"), seconds: 4},
		"png first":     {path: clip(t, "png.mkv", "-i", png, "-i", mp4, "-map", "0", "-map", "1", "-c", "copy"), seconds: 4},
		"preview first": {path: clip(t, "preview.mkv", args(picture("64x36", "5", 4), film(4), "-map 0 -map 1", small, "-disposition:v:0 0 -disposition:v:1 default")...), seconds: 4, silent: true},
		// The picture ends before the sound.
		"still screen":       {path: clip(t, "still.webm", args(picture("160x90", "10", 2), sound(8), vp8, "-c:a libopus")...), seconds: 8, length: 2},
		"song with a cover":  {path: clip(t, "song.mp4", args(cover(), sound(5), small, "-c:a aac")...), seconds: 5, size: 180},
		"jpeg with a song":   {path: clip(t, "song.mkv", args(cover(), sound(5), "-c:v mjpeg -pix_fmt yuvj420p -c:a aac")...), seconds: 5, size: 180},
		"one frame":          {path: clip(t, "one.mp4", args(film(1), small, "-frames:v 1")...), seconds: 0.04, silent: true},
		"entered by an edit": {path: clip(t, "edit.mp4", "-ss", "2.5", "-i", long, "-c", "copy"), seconds: 9.5, length: 2},
		// Transport streams.
		"joined":         {path: write(t, "joined.ts", bytes.Repeat(read(t, clip(t, "part.ts", "-i", mp4, "-c", "copy")), 2)), seconds: 8, warnings: []string{damaged}},
		"program stream": {path: clip(t, "ps.mpg", source("-c:v mpeg2video -f vob")...), seconds: 4},
		"flash":          {path: clip(t, "clip.flv", source("-c:v flv -ar 44100 -c:a libmp3lame")...), seconds: 4},
		"flash of H.264": {path: clip(t, "clip.flv", source(small, "-bf 2 -c:a aac")...), seconds: 4},
		"DTS":            {path: clip(t, "dts.mkv", source(small, "-c:a dca -strict -2")...), seconds: 4},
		// Headers that tell another length.
		"header too long":  {path: write(t, "long.webm", saying14Seconds(t, read(t, webm))), seconds: 4, warnings: []string{saysThat}},
		"header too short": {path: write(t, "short.mp4", sayingTwoSeconds(t, read(t, clip(t, "eight.mp4", args(film(8), small)...)))), seconds: 8, length: 2, silent: true, warnings: []string{saysThat}},
		// Sound that can't be read.
		"sound of a rare kind": {path: clip(t, "rare.mkv", source(small, "-c:a wmav2")...), seconds: 4, silent: true, warnings: []string{"The sound of this video is coded as wmav2"}},
	}
}

// brokenFilms lack something, and are shown as far as they go.
func brokenFilms(t *testing.T) map[string]published {
	front := read(t, clip(t, "front.mp4", args(film(6), sound(6), small, "-c:a aac -movflags faststart")...))
	ts := read(t, clip(t, "clip.ts", args(film(4), sound(4), small, "-bf 2 -c:a aac")...))
	webm := read(t, clip(t, "clip.webm", args(film(8), vp8)...))
	silent := read(t, clip(t, "silent.mp4", args(film(6), small)...))
	broken, endless := bytes.Clone(silent), bytes.Clone(silent)
	for i := range 2000 { // in the middle of the data
		broken[len(broken)/2+i] ^= byte(i*7 + 1)
	}
	data := bytes.Index(endless, []byte("mdat"))
	clear(endless[data+4+(len(endless)-data)*6/10 : bytes.Index(endless, []byte("moov"))-4])
	middle := len(ts) / packetSize / 2 * packetSize
	for packetID(ts[middle:]) != 0x100 {
		middle += packetSize
	}
	return map[string]published{
		"packet lost":        {path: write(t, "lost.ts", slices.Delete(bytes.Clone(ts), middle, middle+packetSize)), seconds: 4, warnings: []string{damaged}},
		"end of packets cut": {path: write(t, "cut.ts", ts[:len(ts)-100]), seconds: 4, warnings: []string{damaged}},
		"mp4 cut off":        {path: write(t, "cut.mp4", half(front)), seconds: 3.6, length: 2, warnings: []string{saysThat, damaged}},
		"webm cut off":       {path: write(t, "cut.webm", half(webm)), seconds: 4.8, silent: true, warnings: []string{saysThat}},
		"overwritten":        {path: write(t, "broken.mp4", broken), seconds: 6, length: 2, silent: true, warnings: []string{damaged}},
		"nothing at the end": {path: write(t, "zeros.mp4", endless), seconds: 6, length: 2, silent: true, warnings: []string{"The last pictures of a part", damaged}},
	}
}

// What players show is published: as long, all of its frames, and in sync to the end.
// The author is told what is missing, and of nothing else.
func TestPublished(t *testing.T) {
	for kind, films := range map[string]map[string]published{"whole": wholeFilms(t), "broken": brokenFilms(t)} {
		for name, test := range some(films) {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				tools := tools(t)
				length := time.Duration(test.length * float64(time.Second))
				if length == 0 {
					length = time.Minute
				}
				p := produce(t, tools, test.path, length)
				slack := 0.1
				if kind == "broken" {
					slack = 0.6
				}
				if math.Abs(p.info.DurationSeconds-test.seconds) > slack {
					t.Errorf("%.3f s long, want %.3f", p.info.DurationSeconds, test.seconds)
				}
				if size := max(test.size, 90); p.info.Height != size {
					t.Errorf("%d lines, want %d", p.info.Height, size)
				}
				var found inspection
				for _, r := range p.ladder {
					found = inspect(t, p.segments(t, tools, r.Name))
					if off := found.video.frames - p.info.Frames; off < -2 || off > 2 {
						t.Errorf("%d frames, want %d", found.video.frames, p.info.Frames)
					}
				}
				checkEven(t, found, p.info)
				if p.info.HasAudio == test.silent {
					t.Errorf("has sound: %v", p.info.HasAudio)
				}
				if off := found.audio.end - found.video.end; p.info.HasAudio && math.Abs(off) > 0.3 {
					t.Errorf("the sound ends %.3f s after the picture", off)
				}
				if jpeg, err := tools.Poster(t.Context(), file(test.path), p.info); err != nil || len(jpeg) == 0 {
					t.Errorf("poster: %v", err)
				}
				if jpeg, _, err := tools.Previews(t.Context(), file(test.path), p.info); err != nil || len(jpeg) == 0 {
					t.Errorf("previews: %v", err)
				}
				checkWarnings(t, append(p.info.Faults.Warnings(p.info), p.loss.Warnings(p.info)...), test.warnings)
			})
		}
	}
}

// checkWarnings demands that each begins as one that is wanted, and that none is missing.
func checkWarnings(t *testing.T, got, want []string) {
	t.Helper()
	told := map[string]bool{}
	for _, warning := range got {
		i := slices.IndexFunc(want, func(w string) bool { return strings.HasPrefix(warning, w) })
		if i < 0 {
			t.Errorf("warns: %s", warning)
			continue
		}
		told[want[i]] = true
	}
	for _, w := range want {
		if !told[w] {
			t.Errorf("doesn't warn: %s", w)
		}
	}
}

// saying14Seconds writes another length into a WebM, as pages do that measured it by
// the clock on the wall (the element Duration, 0x4489, a float of 8 bytes in milliseconds).
func saying14Seconds(t *testing.T, webm []byte) []byte {
	t.Helper()
	at := bytes.Index(webm, []byte{0x44, 0x89, 0x88})
	if at < 0 {
		t.Fatal("no Duration of 8 bytes")
	}
	binary.BigEndian.PutUint64(webm[at+3:], math.Float64bits(14_000))
	return webm
}

// sayingTwoSeconds writes another length into the headers of an MP4 and drops its
// edit list (ISO/IEC 14496-12: 8.2.2, 8.3.2, 8.4.2, 8.6.5, all of version 0).
func sayingTwoSeconds(t *testing.T, mp4 []byte) []byte {
	t.Helper()
	at := func(box string) int {
		i := bytes.Index(mp4, []byte(box))
		if i < 0 {
			t.Fatalf("no box %s", box)
		}
		return i + 4
	}
	movie, track, medium := at("mvhd"), at("tkhd"), at("mdhd")
	scale := binary.BigEndian.Uint32(mp4[movie+12:])
	binary.BigEndian.PutUint32(mp4[movie+16:], 2*scale)
	binary.BigEndian.PutUint32(mp4[track+20:], 2*scale)
	binary.BigEndian.PutUint32(mp4[medium+16:], 2*binary.BigEndian.Uint32(mp4[medium+12:]))
	copy(mp4[at("edts")-4:], "free")
	return mp4
}

// drop takes what nobody looks at.
func drop(string, io.ReadSeeker, int64) error { return nil }
