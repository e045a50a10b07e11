package media

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// soundOf returns what EncodeAudio makes of a file, as one in AAC.
func soundOf(t *testing.T, tools *Tools, path string) (string, Info) {
	t.Helper()
	info := probe(t, tools, path)
	var made []byte
	err := tools.EncodeAudio(t.Context(), file(path), info, nil, func(_ string, file io.ReadSeeker, _ int64) (err error) {
		made, err = io.ReadAll(file)
		return err
	})
	if err != nil {
		t.Fatalf("encode audio: %v", err)
	}
	return write(t, "sound.mp4", made), info
}

// measured returns loudness in LUFS and true peak in dB of a file's sound.
func measured(t *testing.T, path string) (integrated, peak float64) {
	t.Helper()
	out := run(t, "ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-af", "ebur128=peak=true:metadata=1,ametadata=print:file=-", "-f", "null", "-")
	var heard loudness
	if _, err := heard.Write([]byte(out)); err != nil {
		t.Fatal(err)
	}
	return heard.integrated, 20 * math.Log10(heard.peak)
}

// quietSeconds returns the numbers of the seconds in which a channel says nothing.
func quietSeconds(t *testing.T, path string, length int) (quiet []string) {
	t.Helper()
	raw := run(t, "ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-f", "s16le", "-ac", "2", "-ar", "8000", "-")
	if have, want := len(raw)/4, length*8000; have < want-800 || have > want+800 {
		t.Errorf("%.2f s of sound, want %d", float64(have)/8000, length)
	}
	for channel := range 2 {
		for second := range length {
			largest := 0
			for i := second * 8000; i < (second+1)*8000 && i*4+3 < len(raw); i++ {
				at := i*4 + channel*2
				largest = max(largest, int(math.Abs(float64(int16(uint16(raw[at])|uint16(raw[at+1])<<8)))))
			}
			if largest < 500 {
				quiet = append(quiet, fmt.Sprintf("%d of channel %d", second, channel))
			}
		}
	}
	return quiet
}

// concatenated joins streams of sound that bear no index, and muxes them beside a
// picture.
func concatenated(t *testing.T, name, ending string, parts ...string) string {
	t.Helper()
	var all bytes.Buffer
	for _, part := range parts {
		all.Write(read(t, clip(t, "part."+ending, args("-f lavfi", []string{"-i", "sine=f=440:d=2"}, part)...)))
	}
	raw := write(t, "all."+ending, all.Bytes())
	path := filepath.Join(t.TempDir(), name)
	run(t, "ffmpeg", args("-v error", silentPicture(2*len(parts)), []string{"-i", raw}, "-map 0:v -map 1:a", h264, "-c:a copy", []string{path})...)
	return path
}

func silentPicture(seconds int) []string { return picture("64x36", "10", float64(seconds)) }

// Whatever its channels and their changes, sound is heard from start to end, at one
// loudness.
func TestSoundLayouts(t *testing.T) {
	nine := strings.TrimSuffix(strings.Repeat("0.2*sin(2e3*t)|", 9), "|")
	beside := func(name, lavfi, options string) string {
		return clip(t, name, args(silentPicture(4), "-f lavfi", []string{"-i", lavfi}, h264, options)...)
	}
	tests := map[string]string{
		"mono, then stereo, AAC": concatenated(t, "ms.ts", "aac", "-ac 1 -c:a aac -f adts", "-ac 2 -c:a aac -f adts"),
		"2.0, then 5.1, AC-3":    concatenated(t, "sx.mkv", "ac3", "-ac 2 -b:a 384k -c:a ac3", "-ac 6 -b:a 384k -c:a ac3"),
		"44.1, then 48 kHz":      concatenated(t, "rate.ts", "aac", "-ar 44100 -c:a aac -f adts", "-ar 48000 -c:a aac -f adts"),
		"nine channels":          beside("nine.mkv", "aevalsrc="+nine+":d=4", "-c:a pcm_s16le"),
		"5.1":                    beside("six.mp4", "sine=d=4", "-ac 6 -c:a aac"),
		"ambisonics":             beside("sphere.mkv", "aevalsrc=0.2*sin(2e3*t)|0.05*sin(2e3*t)|0|0:d=4,channelmap=0|1|2|3:ambisonic 1", "-c:a libopus -mapping_family 2"),
		"mono at 8 kHz":          beside("mono.avi", "sine=d=4:r=8000", "-c:a pcm_u8"),
	}
	for name, path := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, _ := soundOf(t, tools(t), path)
			if quiet := quietSeconds(t, made, 4); len(quiet) > 0 {
				t.Errorf("nothing is heard in %v", quiet)
			}
			if loudness, peak := measured(t, made); math.Abs(loudness-loud) > 1 || peak > -1 {
				t.Errorf("%.1f LUFS, %.1f dB", loudness, peak)
			}
		})
	}
}

// Quiet and loud sounds come out alike, no peak is cut hard, and silence stays silent.
func TestLoudness(t *testing.T) {
	tests := map[string]struct {
		lavfi  string
		within float64 // LU; 0: it is silent
	}{
		"quiet":      {"sine=d=4,volume=-20dB", 1},
		"loud noise": {"anoisesrc=d=4:a=1:c=pink", 1},
		"clipped":    {"sine=d=4,volume=30dB", 1},
		// Low in the mean, with high peaks: the limiter's work.
		"clicks": {"aevalsrc=0.05*sin(2e3*t)+0.9*lt(mod(t\\,0.25)\\,0.002)*sin(9e3*t):d=4", 1.5},
		"silent": {"anullsrc=d=4", 0},
	}
	for name, test := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := clip(t, "sound.mkv", args(silentPicture(4), "-f lavfi", []string{"-i", test.lavfi}, h264, "-t 4 -c:a pcm_f32le")...)
			made, _ := soundOf(t, tools(t), path)
			loudness, peak := measured(t, made)
			if test.within == 0 {
				if loudness > silent {
					t.Errorf("%.1f LUFS of silence", loudness)
				}
				return
			}
			t.Logf("%.2f LUFS, %.2f dB", loudness, peak)
			if math.Abs(loudness-loud) > test.within || peak > -1 {
				t.Errorf("%.1f LUFS, %.1f dB", loudness, peak)
			}
		})
	}
}

// Sound keeps its place: what is missing in the middle stays missing, and what comes
// late comes late, to the end.
func TestSoundKeepsTime(t *testing.T) {
	t.Parallel()
	// Beeps at each second, from 1 to 7, and two seconds without a packet between.
	path := clip(t, "gaps.mkv", args(silentPicture(8), "-f lavfi", []string{"-i", "aevalsrc=0.5*sin(6e3*t)*lt(mod(t\\,1)\\,0.1)*gt(t\\,0.9):d=8,aselect=not(between(t\\,2.5\\,4.5))"},
		h264, "-c:a pcm_s16le")...)
	made, info := soundOf(t, tools(t), path)
	raw := run(t, "ffmpeg", "-v", "error", "-i", made, "-f", "s16le", "-ac", "1", "-ar", "8000", "-")
	var starts []string
	last := -8000
	for i := 0; i*2+1 < len(raw); i++ {
		if v := int16(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8); v > 2000 || v < -2000 {
			if i-last > 4000 {
				at := float64(i) / 8000
				if off := at - math.Round(at); math.Abs(off) > 0.025 {
					t.Errorf("a beep is off by %.3f s", off)
				}
				starts = append(starts, strconv.Itoa(int(math.Round(at))))
			}
			last = i
		}
	}
	if got := strings.Join(starts, " "); got != "1 2 5 6 7" {
		t.Errorf("beeps at %s of %.1f s", got, info.DurationSeconds)
	}
}
