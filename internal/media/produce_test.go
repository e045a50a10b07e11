package media

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"
)

// production is a source and what must come of it.
type production struct {
	path   string
	length time.Duration
	frames int // of the rendition, 0: as the probe says
	slack  int // by which the last piece may miss it
	pieces int
	width  int
	height int
}

func productions(t *testing.T) map[string]production {
	return map[string]production{
		"three pieces with sound": {
			path:   clip(t, "clip.mp4", args(picture("320x180", "30", 13.5), sound(13.5), h264, "-bf 2 -c:a aac")...),
			length: 4 * time.Second, frames: 405, pieces: 3, width: 320, height: 180,
		},
		"silent": {
			path:   clip(t, "clip.mp4", args(picture("320x180", "25", 6), h264)...),
			length: 4 * time.Second, frames: 150, pieces: 2, width: 320, height: 180,
		},
		"fractional rate": {
			path:   clip(t, "clip.mp4", args(picture("320x180", "30000/1001", 9), sound(9), h264, "-c:a aac -ac 1")...),
			length: 4 * time.Second, pieces: 2, width: 320, height: 180,
		},
		"rotated": {
			path:   turned(t, clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...)),
			length: 2 * time.Second, frames: 150, pieces: 3, width: 180, height: 320,
		},
		"odd size": {
			path:   clip(t, "clip.mkv", args(picture("405x721", "24", 4), sound(4), "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a libopus")...),
			length: 2 * time.Second, frames: 96, slack: 1, pieces: 2, width: 404, height: 720,
		},
		"varying rate": {
			// Every third frame missing, then a frozen stretch longer than a piece.
			path: clip(t, "clip.mp4", args(picture("320x180", "30", 12), sound(12), "-vf",
				[]string{"select='mod(n,3)*not(between(t,4,9))'"}, "-fps_mode vfr", h264, "-c:a aac")...),
			length: 2 * time.Second, slack: 2, pieces: 6, width: 320, height: 180,
		},
		"too fast": {
			path:   clip(t, "clip.mp4", args(picture("320x180", "120", 4), h264)...),
			length: 2 * time.Second, frames: 240, pieces: 2, width: 320, height: 180,
		},
		"transport stream": {
			path:   clip(t, "clip.ts", args(picture("320x180", "30", 5), sound(5), h264, "-bf 2 -c:a aac")...),
			length: 2 * time.Second, frames: 150, pieces: 1, width: 320, height: 180,
		},
		"anamorphic": {
			path:   clip(t, "clip.avi", args(picture("320x240", "25", 4), "-vf setsar=4/3 -c:v mpeg4 -aspect 16:9")...),
			length: 2 * time.Second, frames: 100, slack: 1, pieces: 2, width: 426, height: 240,
		},
		// As browsers record a call.
		"size changes": {
			path: clip(t, "grown.webm", "-f", "concat", "-safe", "0", "-i", write(t, "list.txt", []byte("file '"+
				clip(t, "small.webm", args(picture("160x90", "25", 2), "-c:v libvpx -deadline realtime -cpu-used 8")...)+"'\nfile '"+
				clip(t, "large.webm", args(picture("320x240", "25", 4), "-c:v libvpx -deadline realtime -cpu-used 8")...)+"'\n")), "-c", "copy"),
			length: 2 * time.Second, frames: 150, pieces: 3, width: 320, height: 240,
		},
		"sound late": {
			path:   clip(t, "clip.mp4", args(picture("320x180", "30", 6), "-itsoffset 0.7", sound(5), h264, "-c:a aac")...),
			length: 2 * time.Second, frames: 180, pieces: 3, width: 320, height: 180,
		},
		"picture late": {
			path:   clip(t, "clip.mkv", args(sound(6), "-itsoffset 0.517", picture("320x180", "30", 5), h264, "-c:a aac")...),
			length: 2 * time.Second, slack: 1, pieces: 3, width: 320, height: 180,
		},
	}
}

// What is served is judged by its bytes: all segments of all renditions, one
// after the other, must hold every frame, evenly, and the sound beside it.
func TestProduce(t *testing.T) {
	for name, test := range some(productions(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			p := produce(t, tools, test.path, test.length)
			if len(p.pieces) != test.pieces {
				t.Errorf("%d pieces, want %d", len(p.pieces), test.pieces)
			}
			if test.frames == 0 {
				test.frames = p.info.Frames
			}
			for _, r := range p.ladder {
				all := p.segments(t, tools, r.Name)
				found := inspect(t, all)
				if off := found.video.frames - test.frames; off < -test.slack || off > test.slack {
					t.Errorf("%d frames, want %d", found.video.frames, test.frames)
				}
				if found.width != test.width || found.height != test.height {
					t.Errorf("size %dx%d, want %dx%d", found.width, found.height, test.width, test.height)
				}
				checkEven(t, found, p.info)
				checkSegments(t, all, p.info, found.video.frames)
			}
		})
	}
}

// track is what ffprobe reads of one stream.
type track struct {
	frames     int
	first, end float64
	gaps       map[int]int // by 1/90000 s
}

type inspection struct {
	video, audio  track
	width, height int
}

func inspect(t *testing.T, all []Segment) inspection {
	t.Helper()
	var whole bytes.Buffer
	for _, s := range all {
		whole.Write(s.Data)
	}
	out := run(t, "ffprobe", "-v", "error", "-of", "json", "-show_entries",
		"packet=codec_type,pts,dts,duration:stream=codec_type,width,height", write(t, "whole.ts", whole.Bytes()))
	var found struct {
		Packets []struct {
			Type     string `json:"codec_type"`
			PTS      int    `json:"pts"`
			DTS      int    `json:"dts"`
			Duration int    `json:"duration"`
		}
		Streams []struct {
			Type          string `json:"codec_type"`
			Width, Height int
		}
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	result := inspection{video: track{gaps: map[int]int{}}, audio: track{gaps: map[int]int{}}}
	for _, s := range found.Streams {
		if s.Type == "video" {
			result.width, result.height = s.Width, s.Height
		}
	}
	last := map[string]int{}
	for _, p := range found.Packets {
		track := &result.video
		if p.Type == "audio" {
			track = &result.audio
		}
		if track.frames == 0 {
			track.first = float64(p.PTS) / 90000
		} else {
			track.gaps[p.DTS-last[p.Type]]++
		}
		last[p.Type] = p.DTS
		track.frames++
		track.end = float64(p.PTS+p.Duration) / 90000
	}
	return result
}

// checkEven demands equal gaps, up to the clock's tick, and that picture and
// sound begin and end together.
func checkEven(t *testing.T, found inspection, info Info) {
	t.Helper()
	want := info.OutputRate.Seconds(1) * 90000
	for gap, times := range found.video.gaps {
		if math.Abs(float64(gap)-want) > 1 {
			t.Errorf("%d frames are %d ticks apart, not %.1f", times, gap, want)
		}
	}
	if (found.audio.frames > 0) != info.HasAudio {
		t.Fatalf("%d audio frames, but has audio: %v", found.audio.frames, info.HasAudio)
	}
	if !info.HasAudio {
		return
	}
	if off := math.Abs(found.audio.first - found.video.first); off > 0.05 {
		t.Errorf("sound and picture begin %.3f s apart", off)
	}
	for gap, times := range found.audio.gaps {
		if gap != 1920 { // 1024 samples at 48 kHz
			t.Errorf("%d audio frames are %d ticks apart", times, gap)
		}
	}
}

// checkSegments looks at each segment by itself.
func checkSegments(t *testing.T, all []Segment, info Info, frames int) {
	t.Helper()
	total := 0.0
	counters := map[int]byte{}
	for i, s := range all {
		if s.Index != i {
			t.Errorf("segment %d comes as number %d", s.Index, i)
		}
		want := info.OutputRate.Seconds(2 * gop(info.OutputRate))
		if i == 0 {
			want /= 2
		}
		if i < len(all)-1 && math.Abs(s.Duration-want) > 0.001 {
			t.Errorf("segment %d lasts %.3f s, want %.3f", i, s.Duration, want)
		}
		total += s.Duration
		if packetID(s.Data) != patPID || packetID(s.Data[packetSize:]) != pmtPID {
			t.Errorf("segment %d doesn't begin with PAT and PMT", i)
		}
		checkCounters(t, counters, s)
		out := run(t, "ffprobe", "-v", "error", "-select_streams", "v", "-read_intervals", "%+#1",
			"-show_entries", "packet=flags", "-of", "csv=p=0", write(t, "segment.ts", s.Data))
		if out[0] != 'K' {
			t.Errorf("segment %d begins with a frame flagged %q", i, out)
		}
	}
	if want := info.OutputRate.Seconds(frames); math.Abs(total-want) > 0.001 {
		t.Errorf("segments last %.3f s, frames %.3f s", total, want)
	}
}

// checkCounters follows the continuity counters of all packets with a payload.
func checkCounters(t *testing.T, counters map[int]byte, s Segment) {
	t.Helper()
	for p := s.Data; len(p) > 0; p = p[packetSize:] {
		if p[0] != syncByte {
			t.Fatalf("segment %d: lost the packets", s.Index)
		}
		if p[3]&0x10 == 0 {
			continue
		}
		last, seen := counters[packetID(p)]
		if now := p[3] & 0x0f; seen && now != (last+1)&0x0f {
			t.Fatalf("segment %d: counter of %#x goes from %d to %d", s.Index, packetID(p), last, now)
		}
		counters[packetID(p)] = p[3] & 0x0f
	}
}

// Frames must come out where they went in, also where the source has none for
// longer than a piece: each frame shows its own number as brightness.
func TestFramesInOrder(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := clip(t, "numbers.mp4", args("-f lavfi -i color=gray:s=64x64:r=30:d=8,geq=lum='16+mod(N,200)':cb=128:cr=128,select='not(between(n,50,190))'",
		"-fps_mode vfr", h264, "-qp 1 -bf 2")...)
	p := produce(t, tools, path, 2*time.Second)
	var whole bytes.Buffer
	for _, s := range p.segments(t, tools, p.ladder[0].Name) {
		whole.Write(s.Data)
	}
	shown := run(t, "ffmpeg", "-v", "error", "-i", write(t, "whole.ts", whole.Bytes()), "-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	if len(shown) != 240 {
		t.Fatalf("%d frames, want 240", len(shown))
	}
	for i := range len(shown) {
		number := i % 200
		if i >= 50 && i <= 190 {
			number = 49 // the last one before the gap stays
		}
		want := float64(number) * 255 / 219 // gray is full range
		if math.Abs(float64(shown[i])-want) > 1 {
			t.Fatalf("frame %d has brightness %d, want %.1f", i, shown[i], want)
		}
	}
}

func TestRenditionsAlign(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := clip(t, "clip.mp4", args(picture("1280x720", "10", 5), h264)...)
	p := produce(t, tools, path, 4*time.Second)
	if len(p.ladder) != 2 {
		t.Fatalf("ladder %v, want two", p.ladder)
	}
	var starts [2]string
	for i, r := range p.ladder {
		for _, s := range p.segments(t, tools, r.Name) {
			out := run(t, "ffprobe", "-v", "error", "-select_streams", "v", "-read_intervals", "%+#1",
				"-show_entries", "packet=pts", "-of", "csv=p=0", write(t, "segment.ts", s.Data))
			starts[i] += fmt.Sprint(strconv.Itoa(s.Index), ":", out)
		}
	}
	if starts[0] != starts[1] {
		t.Errorf("segments begin at\n%sand\n%s", starts[0], starts[1])
	}
}
