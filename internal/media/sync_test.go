package media

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A flash and a beep begin together after a second, and again a second before the end.
const (
	flashes = "-f lavfi -i color=black:s=64x64:r=25:d=6,drawbox=c=white:t=fill:enable='between(t,0.99,1.19)+between(t,4.99,5.19)'"
	beeps   = "-f lavfi -i aevalsrc=0.5*sin(5530*t)*(between(t\\,1\\,1.2)+between(t\\,5\\,5.2)):d=6:s=44100"
)

// inSyncFiles are such files, whose picture and sound begin, end and count time in
// different ways, by their ending and the arguments that make them.
func inSyncFiles(t *testing.T) map[string]func() string {
	both := func(name string, parts ...any) func() string {
		return func() string { return clip(t, name, args(append([]any{flashes, beeps}, parts...)...)...) }
	}
	const bframes = h264 + " -bf 2 "
	const soundLater = "-filter_complex [1:a]atrim=0.513[a] -map 0:v -map [a]"
	const pictureLater = "-filter_complex [0:v]trim=0.4[v] -map [v] -map 1:a"
	const vfr = "-vf select='not(between(n,30,60)*mod(n,3))' -fps_mode vfr " // every third frame for a while
	long := both("sync.mp4", bframes, "-g 125 -c:a aac")
	return map[string]func() string{
		"mp4, priming in an edit list": long,
		"mp4, cut by an edit list":     func() string { return clip(t, "cut.mp4", "-ss", "0.5", "-i", long(), "-c", "copy") },
		"mp4, without an edit list":    func() string { return clip(t, "noedit.mp4", "-i", long(), "-c", "copy", "-use_editlist", "0") },
		"mp4, varying rate":            both("vfr.mp4", vfr, bframes, "-c:a aac"),
		"mp4, picture later":           both("late.mp4", pictureLater, bframes, "-c:a aac"),
		"mp4 in fragments":             both("frag.mp4", soundLater, bframes, "-c:a aac -movflags frag_keyframe+empty_moov+default_base_moof"),
		"mov, PCM":                     both("pcm.mov", bframes, "-c:a pcm_s16le"),
		"matroska, varying rate, opus": both("vfr.mkv", vfr, bframes, "-ar 48000 -c:a libopus"),
		"matroska, begins late, MP3":   both("late.mkv", bframes, "-c:a libmp3lame -output_ts_offset 7"),
		"webm, vorbis, picture later":  both("late.webm", pictureLater, vp8, "-c:a libvorbis"),
		"transport stream":             both("sync.ts", bframes, "-c:a aac"),
		"transport, sound later":       both("late.ts", soundLater, bframes, "-c:a mp2"),
		"transport, picture later":     both("early.ts", pictureLater, bframes, "-c:a mp2"),
		"program stream":               both("sync.mpg", "-c:v mpeg2video -c:a mp2 -f vob"),
		"avi":                          both("sync.avi", "-c:v mpeg4 -c:a libmp3lame"),
		"flash":                        both("sync.flv", bframes, "-c:a aac"),
	}
}

// Picture and sound stay together, from start to end, whichever begins first.
func TestInSync(t *testing.T) {
	for name, made := range some(inSyncFiles(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			p := produce(t, tools, made(), 2*time.Second)
			seen := run(t, "ffmpeg", "-v", "error", "-i", p.whole(t, tools, p.ladder[0].Name),
				"-vf", "blackdetect=d=0.1,metadata=print:key=lavfi.black_end:file=-",
				"-af", "silencedetect=n=-30dB:d=0.1,ametadata=print:key=lavfi.silence_end:file=-", "-f", "null", "-")
			flashed, beeped := values(t, seen, "lavfi.black_end="), values(t, seen, "lavfi.silence_end=")
			if len(flashed) != 2 || len(beeped) != 2 || flashed[1]-flashed[0] < 3.9 {
				t.Fatalf("flashes at %v s, beeps at %v s", flashed, beeped)
			}
			for i := range flashed {
				if off := beeped[i] - flashed[i]; math.Abs(off) > 0.04 {
					t.Errorf("flash at %.3f s, beep %.0f ms later", flashed[i], off*1000)
				}
				t.Logf("flash at %.3f s, beep %.0f ms later", flashed[i], (beeped[i]-flashed[i])*1000)
			}
		})
	}
}

// values returns the numbers that follow a key.
func values(t *testing.T, s, key string) (all []float64) {
	t.Helper()
	for _, found := range regexp.MustCompile(regexp.QuoteMeta(key)+`(\S+)`).FindAllStringSubmatch(s, -1) {
		v, err := strconv.ParseFloat(strings.TrimSpace(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}
