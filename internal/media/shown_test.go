package media

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// spliced returns a file whose picture goes on in another way: two elementary streams, one
// after the other, in the container that the name says.
func spliced(t *testing.T, name, ending, rate string, remux []string, parts ...[]string) string {
	t.Helper()
	var all bytes.Buffer
	for _, part := range parts {
		all.Write(read(t, clip(t, "part."+ending, part...)))
	}
	raw := write(t, "parts."+ending, all.Bytes())
	path := filepath.Join(t.TempDir(), name)
	run(t, "ffmpeg", append(append([]string{"-v", "error", "-fflags", "+genpts", "-r", rate, "-i", raw, "-c", "copy"}, remux...), path)...)
	return path
}

// restamped copies a file with other options of the muxer.
func restamped(t *testing.T, path, name string, options string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	run(t, "ffmpeg", append(append([]string{"-v", "error", "-i", path, "-c", "copy"}, strings.Fields(options)...), to)...)
	return to
}

// whole joins the segments of the largest rendition in one file.
func (p product) whole(t *testing.T, tools *Tools, rendition string) string {
	t.Helper()
	var all bytes.Buffer
	for _, s := range p.segments(t, tools, rendition) {
		all.Write(s.Data)
	}
	return write(t, "whole.ts", all.Bytes())
}

// frameAt returns a frame of a file as RGB.
func frameAt(t *testing.T, path string, number int) *image.RGBA {
	t.Helper()
	size := strings.Split(strings.TrimSpace(strings.SplitN(run(t, "ffprobe", "-v", "error", "-select_streams", "v:0",
		"-show_entries", "stream=width,height", "-of", "csv=p=0", path), "\n", 2)[0]), ",")
	var w, h int
	fmt.Sscan(size[0], &w)
	fmt.Sscan(size[1], &h)
	raw := run(t, "ffmpeg", "-v", "error", "-autorotate", "0", "-i", path, "-map", "0:v:0",
		"-vf", fmt.Sprintf(`select=eq(n\,%d),scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp`, number), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgba", "-")
	if len(raw) != 4*w*h {
		t.Fatalf("frame %d of %s has %d bytes, want %dx%d", number, path, len(raw), w, h)
	}
	return &image.RGBA{Pix: []byte(raw), Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
}

// wantColour demands a colour at a place, given in parts of the whole, within some steps.
func wantColour(t *testing.T, what string, img image.Image, x, y float64, want [3]int, within int) {
	t.Helper()
	b := img.Bounds()
	r, g, bl, _ := img.At(b.Min.X+int(x*float64(b.Dx())), b.Min.Y+int(y*float64(b.Dy()))).RGBA()
	got := [3]int{int(r >> 8), int(g >> 8), int(bl >> 8)}
	for i := range got {
		if off := got[i] - want[i]; off > within || off < -within {
			t.Errorf("%s: %v at %.2f, %.2f; want %v", what, got, x, y, want)
			return
		}
	}
}

func picturesOf(t *testing.T, tools *Tools, path string, info Info) (poster, previews image.Image, layout video.Previews) {
	t.Helper()
	data, err := tools.Poster(t.Context(), file(path), info)
	if err != nil {
		t.Fatalf("poster: %v", err)
	}
	if poster, err = jpeg.Decode(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if data, layout, err = tools.Previews(t.Context(), file(path), info); err != nil {
		t.Fatalf("previews: %v", err)
	}
	if previews, err = jpeg.Decode(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return poster, previews, layout
}

func red(size string, seconds float64) []string {
	return args(fmt.Sprintf("-f lavfi -i color=0xC02020:s=%s:r=25:d=%g", size, seconds))
}

const inBand = "-c:v libx264 -preset ultrafast -x264opts repeat-headers=1:bframes=0 -pix_fmt yuv420p"

// Frames that change their size in mid-stream are shown upright and in shape, and no
// byte is shown that isn't the video's: whatever is, is the same at each run.
func TestSizeChanges(t *testing.T) {
	green := func(size string, rate string, seconds float64) []string {
		return args(fmt.Sprintf("-f lavfi -i color=0x20C020:s=%s:r=%s:d=%g", size, rate, seconds))
	}
	shrinking := spliced(t, "ab.ts", "264", "25", nil,
		args(picture("180x144", "25", 3), inBand), args(green("160x90", "25", 2), inBand))
	tests := map[string]struct {
		path          string
		frames        int
		width, height int
		// where the second half's picture begins, in parts of the whole
		left, top float64
	}{
		"turned":     {restamped(t, shrinking, "turned.mp4", "-metadata:s:v rotate=90"), 125, 144, 180, 0.149, 0},
		"upside":     {restamped(t, shrinking, "upside.mp4", "-metadata:s:v rotate=180"), 125, 180, 144, 0, 0.149},
		"as it is":   {shrinking, 125, 180, 144, 0, 0.149},
		"very small": {spliced(t, "small.mkv", "264", "25", nil, args(picture("320x180", "25", 3), inBand), args(green("64x64", "25", 2), inBand)), 125, 320, 180, 0.2185, 0},
		"interlaced": {spliced(t, "il.ts", "m2v", "25", nil,
			args(picture("720x576", "25", 2), "-c:v mpeg2video -q:v 4 -flags +ildct+ilme -top 1"),
			args(green("544x576", "25", 2), "-c:v mpeg2video -q:v 4 -flags +ildct+ilme -top 1")), 100, 600, 480, 0.122, 0},
		"phone turned": {spliced(t, "phone.mkv", "264", "25", nil, args(picture("320x180", "25", 3), inBand), args(green("180x320", "25", 2), inBand)), 125, 320, 180, 0.342, 0},
		"grows":        {spliced(t, "grows.mkv", "264", "25", nil, args(picture("64x36", "25", 1), inBand), args(green("320x180", "25", 3), inBand)), 100, 320, 180, 0, 0},
	}
	for name, test := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			var sums [2]string
			for i := range sums {
				p := produce(t, tools, test.path, 4*time.Second)
				whole := p.whole(t, tools, p.ladder[0].Name)
				sums[i] = run(t, "ffmpeg", "-v", "error", "-i", whole, "-map", "0:v", "-f", "framemd5", "-")
				if i > 0 {
					break
				}
				if n := strings.Count(sums[0], "\n0,"); n != test.frames {
					t.Errorf("%d frames, want %d", n, test.frames)
				}
				last := frameAt(t, whole, test.frames-2)
				if b := last.Bounds(); b.Dx() != test.width || b.Dy() != test.height {
					t.Fatalf("%v, want %dx%d", b, test.width, test.height)
				}
				const near = 0.03
				for _, at := range [][2]float64{{0.5, 0.5}, {test.left + near, test.top + near}, {1 - test.left - near, 1 - test.top - near}} {
					wantColour(t, "second half", last, at[0], at[1], [3]int{0x20, 0xC0, 0x20}, 20)
				}
				if test.left > 0 || test.top > 0 {
					wantColour(t, "bar", last, max(0, test.left-near), max(0, test.top-near), [3]int{}, 20)
				}
			}
			if sums[0] != sums[1] {
				t.Error("two runs give two pictures")
			}
			picturesOf(t, tools, test.path, probe(t, tools, test.path))
		})
	}
}

// The shape of pixels may change, too.
func TestPixelShapeChanges(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	path := spliced(t, "sar.ts", "264", "25", nil,
		args(red("160x144", 1), "-vf setsar=16/15", inBand), args(red("160x144", 3), "-vf setsar=64/45", inBand))
	p := produce(t, tools, path, 4*time.Second)
	whole := p.whole(t, tools, p.ladder[0].Name)
	if p.info.Width != 228 || p.info.Height != 144 {
		t.Errorf("canvas of %dx%d, want the wide one, that is shown for longer", p.info.Width, p.info.Height)
	}
	first, last := frameAt(t, whole, 2), frameAt(t, whole, 95)
	wantColour(t, "narrow, left", first, 0.05, 0.5, [3]int{}, 6)
	wantColour(t, "narrow, middle", first, 0.2, 0.5, [3]int{0xC0, 0x20, 0x20}, 6)
	wantColour(t, "wide, left", last, 0.02, 0.5, [3]int{0xC0, 0x20, 0x20}, 6)
}

// Matrices turn and mirror as players do it, a plain tag turns nothing.
func TestTurned(t *testing.T) {
	// Red above left, green above right, blue below left.
	corners := clip(t, "corners.mp4", args("-f lavfi -i color=black:s=160x96:r=10:d=0.5,drawbox=0:0:80:48:0xC02020:fill,drawbox=80:0:80:48:0x20C020:fill,drawbox=0:48:80:48:0x2020C0:fill", h264)...)
	one, minus := int32(1<<16), int32(-1<<16)
	redC, greenC, blueC, blackC := [3]int{0xC0, 0x20, 0x20}, [3]int{0x20, 0xC0, 0x20}, [3]int{0x20, 0x20, 0xC0}, [3]int{}
	tests := map[string]struct {
		path    string
		corners [4][3]int // above left, above right, below left, below right
	}{
		"plain":                {corners, [4][3]int{redC, greenC, blueC, blackC}},
		"tag":                  {restamped(t, corners, "tag.mkv", "-metadata:s:v ROTATE=90"), [4][3]int{redC, greenC, blueC, blackC}},
		"90":                   {withMatrix(t, corners, 0, one, minus, 0), [4][3]int{blueC, redC, blackC, greenC}},
		"180":                  {withMatrix(t, corners, minus, 0, 0, minus), [4][3]int{blackC, blueC, greenC, redC}},
		"270":                  {withMatrix(t, corners, 0, minus, one, 0), [4][3]int{greenC, blackC, redC, blueC}},
		"mirrored":             {withMatrix(t, corners, minus, 0, 0, one), [4][3]int{greenC, redC, blackC, blueC}},
		"upside down":          {withMatrix(t, corners, one, 0, 0, minus), [4][3]int{blueC, blackC, redC, greenC}},
		"across one diagonal":  {withMatrix(t, corners, 0, one, one, 0), [4][3]int{redC, blueC, greenC, blackC}},
		"across the other one": {withMatrix(t, corners, 0, minus, minus, 0), [4][3]int{blackC, greenC, blueC, redC}},
	}
	for name, test := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			info := probe(t, tools, test.path)
			poster, _, _ := picturesOf(t, tools, test.path, info)
			if b := poster.Bounds(); b.Dx() != info.Width || b.Dy() != info.Height {
				t.Errorf("%v, but %dx%d by the plan", b, info.Width, info.Height)
			}
			for i, want := range test.corners {
				wantColour(t, fmt.Sprint("corner ", i), poster, 0.25+0.5*float64(i%2), 0.25+0.5*float64(i/2), want, 8)
			}
		})
	}
}

// A clip of few frames has all of them, and pictures.
func TestFewFrames(t *testing.T) {
	for name, test := range map[string]struct {
		args   string
		frames int
	}{
		"2":          {"-r 30 -frames:v 2 -pix_fmt yuv420p -c:v libx264", 2},
		"4 of HEVC":  {"-r 30 -frames:v 4 -pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=error -tag:v hvc1", 4},
		"5":          {"-r 25 -frames:v 5 -pix_fmt yuv420p -c:v libx264 -bf 2", 5},
		"9 at 90 Hz": {"-r 90 -frames:v 9 -pix_fmt yuv420p -c:v libx264", 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			path := clip(t, "few.mov", args("-f lavfi -i testsrc2=s=160x90:r="+strings.Fields(test.args)[1], strings.Fields(test.args)[2:])...)
			p := produce(t, tools, path, 4*time.Second)
			found := inspect(t, p.segments(t, tools, p.ladder[0].Name))
			if found.video.frames != test.frames {
				t.Errorf("%d frames, want %d", found.video.frames, test.frames)
			}
			poster, previews, layout := picturesOf(t, tools, path, p.info)
			if poster.Bounds().Dx() != 160 || layout.Count != 1 || previews.Bounds().Dx() != layout.TileWidth {
				t.Errorf("poster %v, previews %v of %+v", poster.Bounds(), previews.Bounds(), layout)
			}
		})
	}
}

// Colours are the source's, within three steps, in all that is made of it, and said.
func TestColours(t *testing.T) {
	const mp4, mkv = "red.mp4", "red.mkv"
	tests := map[string][]string{
		"HD, tagged":   args(red("1280x720", 0.4), "-vf scale=out_color_matrix=bt709,format=yuv420p,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709 -c:v libx264 -preset ultrafast", mp4),
		"HD, untagged": args(red("1280x720", 0.4), "-vf scale=out_color_matrix=bt709,format=yuv420p -c:v libx264 -preset ultrafast", mp4),
		"SD, untagged": args(red("160x120", 0.4), "-vf scale=out_color_matrix=bt601,format=yuv420p -c:v libx264 -preset ultrafast", mp4),
		"SD, tagged":   args(red("160x120", 0.4), "-vf scale=out_color_matrix=bt601,format=yuv420p,setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m -c:v libx264 -preset ultrafast", mp4),
		"SD as HD":     args(red("160x120", 0.4), "-vf scale=out_color_matrix=bt709,format=yuv420p,setparams=colorspace=bt709 -c:v libx264 -preset ultrafast", mp4),
		"HD as SD":     args(red("1280x720", 0.4), "-vf scale=out_color_matrix=bt601,format=yuv420p,setparams=colorspace=bt470bg -c:v libx264 -preset ultrafast", mp4),
		"RGB":          args(red("160x120", 0.4), "-c:v libx264rgb -preset ultrafast", mkv),
		"full range":   args(red("160x120", 0.4), "-vf scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p -c:v mjpeg -q:v 2", "red.avi"),
		"ten bits":     args(red("160x120", 0.4), "-vf scale=out_color_matrix=bt709,format=yuv422p10,setparams=colorspace=bt709 -c:v prores_ks", "red.mov"),
	}
	for name, test := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			path := clip(t, test[len(test)-1], test[:len(test)-1]...)
			p := produce(t, tools, path, 4*time.Second)
			want := [3]int{192, 32, 32}
			for _, r := range p.ladder {
				whole := p.whole(t, tools, r.Name)
				wantColour(t, r.Name, frameAt(t, whole, 3), 0.5, 0.5, want, 3)
				wantTags(t, whole)
			}
			poster, previews, _ := picturesOf(t, tools, path, p.info)
			wantColour(t, "poster", poster, 0.5, 0.5, want, 3)
			wantColour(t, "previews", previews, 0.5, 0.5, want, 3)
		})
	}
}

func wantTags(t *testing.T, path string) {
	t.Helper()
	tags := run(t, "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=pix_fmt,color_range,color_space,color_transfer,color_primaries", "-of", "csv=p=0", path)
	if got := strings.TrimSpace(strings.SplitN(tags, "\n", 2)[0]); got != "yuv420p,tv,bt709,bt709,bt709" {
		t.Errorf("tagged as %s", got)
	}
}

// High dynamic range is brought into BT.709: grey stays grey, the order of bright and
// dark stays, what is called white is nearly white, and colours keep their hue.
func TestHighDynamicRange(t *testing.T) {
	for name, options := range map[string]string{
		"HLG": "-c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc -tag:v hvc1",
		"PQ":  "-c:v libx265 -preset ultrafast -x265-params log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -tag:v hvc1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			// Grey of 75 % and of 40 %, red, and green of 75 %: of HLG, three quarters are what SDR calls white.
			path := clip(t, "hdr.mp4", args("-f lavfi -i color=0xBFBFBF:s=320x180:r=25:d=0.4,drawbox=80:0:80:180:0x666666:fill,drawbox=160:0:80:180:0xBF2020:fill,drawbox=240:0:80:180:0x20BF20:fill",
				"-vf scale=out_color_matrix=bt2020,format=yuv420p10le,setparams=colorspace=bt2020nc", options)...)
			p := produce(t, tools, path, 4*time.Second)
			whole := p.whole(t, tools, p.ladder[0].Name)
			wantTags(t, whole)
			poster, previews, _ := picturesOf(t, tools, path, p.info)
			for what, img := range map[string]image.Image{"rendition": frameAt(t, whole, 5), "poster": poster, "previews": previews} {
				at := func(x float64) [3]int {
					b := img.Bounds()
					r, g, bl, _ := img.At(b.Min.X+int(x*float64(b.Dx())), b.Min.Y+b.Dy()/2).RGBA()
					return [3]int{int(r >> 8), int(g >> 8), int(bl >> 8)}
				}
				light, dark, reds, greens := at(0.125), at(0.375), at(0.625), at(0.875)
				t.Log(what, light, dark, reds, greens)
				for _, grey := range [][3]int{light, dark} {
					if max(grey[0], grey[1], grey[2])-min(grey[0], grey[1], grey[2]) > 4 {
						t.Errorf("%s: grey is %v", what, grey)
					}
				}
				if light[1] < 215 || dark[1] < 20 || dark[1] > 160 {
					t.Errorf("%s: light grey is %v, dark grey %v", what, light, dark)
				}
				if reds[0] < 200 || reds[1] > 100 || reds[2] > 100 || greens[1] < 190 || greens[0] > 150 || greens[2] > 120 {
					t.Errorf("%s: red is %v, green %v", what, reds, greens)
				}
			}
		})
	}
}

// The curves are those of the standards.
func TestCurves(t *testing.T) {
	for _, test := range []struct{ got, want float64 }{
		{pqToLight(0.5080784), 100}, {pqToLight(0.5806888), 203}, {pqToLight(1), 10000}, {pqToLight(0), 0}, {lightToPQ(100), 0.5080784},
		{hlgToScene(0.5), 1. / 12}, {hlgToScene(1), 1}, {hlgToScene(0.75), 0.26496},
		{Colour{Transfer: "arib-std-b67"}.light([3]float64{0.75, 0.75, 0.75})[0] * diffuseWhite, 203},
		{compress(brightest), diffuseWhite}, {compress(10), 10},
	} {
		if math.Abs(test.got-test.want) > 0.002*max(1, test.want) {
			t.Errorf("got %g, want %g", test.got, test.want)
		}
	}
	if white := (Colour{Primaries: "bt2020", Transfer: "smpte2084"}).toBT709([3]float64{1, 1, 1}); white[0] < 0.999 || white[2] < 0.999 {
		t.Errorf("white is %v", white)
	}
}

// The rate is that of frames where they follow each other, not the mean.
func TestVaryingRate(t *testing.T) {
	for name, test := range map[string]struct {
		filter string
		least  float64
		most   float64
	}{
		"bursts":  {"select='lt(mod(n,200),40)*(mod(n,3)-1)'", 24, 50}, // 20 and 40 ms apart for 0.8 s, then a rest
		"one gap": {"fps=25,select='not(between(t,2,2.35))'", 25, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			path := clip(t, "varying.webm", args("-f lavfi -i testsrc2=s=64x36:r=50:d=12", "-vf", []string{test.filter}, "-fps_mode vfr -c:v libvpx -deadline realtime -cpu-used 8")...)
			info := probe(t, tools, path)
			if rate := info.OutputRate.Float(); rate < test.least || rate > test.most {
				t.Errorf("average %v, output %v", info.FrameRate, info.OutputRate)
			}
		})
	}
}

func withMatrix(t *testing.T, path string, a, b, c, d int32) string {
	t.Helper()
	data := turnedBy(t, read(t, path), a, b, c, d)
	to := filepath.Join(t.TempDir(), "turned.mp4")
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}
