package media

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var makeSamples = flag.Bool("make-samples", false, "make the files in samples/ again")

// samplePictures and sampleSounds are the arguments that make the samples.
func samplePictures() map[string]string {
	const tiny = "-pix_fmt yuv420p "
	return map[string]string{
		"h264.mp4":       tiny + "-c:v libx264 -crf 35 -bf 2 -c:a aac -b:a 32k",
		"hevc.mp4":       tiny + "-c:v libx265 -x265-params log-level=none -tag:v hvc1",
		"vp8.webm":       tiny + "-c:v libvpx",
		"vp9.webm":       tiny + "-c:v libvpx-vp9",
		"av1.mp4":        tiny + "-c:v libaom-av1 -cpu-used 8",
		"mpeg4.avi":      tiny + "-c:v mpeg4 -q:v 20",
		"mpeg2video.ts":  tiny + "-c:v mpeg2video -q:v 20 -c:a mp2 -b:a 64k",
		"mpeg1video.mpg": tiny + "-c:v mpeg1video -q:v 20",
		"flv1.flv":       tiny + "-c:v flv -q:v 20",
		"cfhd.mov":       "-pix_fmt yuv422p10le -c:v cfhd -s 128x96",
		"h263.mov":       tiny + "-c:v h263 -s 128x96",
		"msmpeg4v3.avi":  tiny + "-c:v msmpeg4 -q:v 20",
		"mjpeg.avi":      "-pix_fmt yuvj420p -c:v mjpeg -q:v 20",
		"prores.mov":     "-pix_fmt yuv422p10le -c:v prores_ks -profile:v 0",
		"dnxhd.mov":      "-pix_fmt yuv422p -c:v dnxhd -profile:v dnxhr_lb -s 256x144",
		"dvvideo.avi":    "-pix_fmt yuv420p -c:v dvvideo -s 720x576 -aspect 4:3",
		"theora.mkv":     tiny + "-c:v libtheora -q:v 3",
		"ffv1.mkv":       tiny + "-c:v ffv1",
	}
}

func sampleSounds() map[string]string {
	sounds := map[string]string{
		"aac.mp4": "-c:a aac", "mp3.mp4": "-c:a libmp3lame", "mp2.mkv": "-c:a mp2 -b:a 64k", "opus.webm": "-c:a libopus -ar 48000",
		"vorbis.webm": "-c:a libvorbis", "ac3.mkv": "-c:a ac3", "eac3.mp4": "-c:a eac3", "flac.mkv": "-c:a flac", "alac.mov": "-c:a alac", "dts.mkv": "-c:a dca -strict -2",
	}
	for _, codec := range audioCodecs() {
		if strings.HasPrefix(codec, "pcm_") {
			sounds[codec+".mov"] = "-ar 8000 -c:a " + codec
		}
	}
	return sounds
}

// TestMakeSamples writes samples/ anew.
func TestMakeSamples(t *testing.T) {
	t.Parallel()
	if !*makeSamples {
		t.Skip("only with -make-samples")
	}
	old, err := filepath.Glob("samples/*.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	exact := "-flags:v +bitexact -flags:a +bitexact -fflags +bitexact -map_metadata -1"
	for name, how := range samplePictures() {
		made := args(picture("64x64", "25", 0.2), how, exact)
		switch {
		case name == "h264.mp4":
			made = args(picture("64x64", "25", 1), sound(1), how, exact)
		case strings.Contains(how, "-c:a"):
			made = args(picture("64x64", "25", 0.2), sound(0.2), how, exact)
		case strings.Contains(how, "-s "): // larger than need be: gray packs well
			made = args("-f lavfi -i color=gray:s=64x64:r=25:d=0.08", how, exact)
		}
		keepSample(t, name, read(t, clip(t, name, made...)))
	}
	for name, how := range sampleSounds() {
		keepSample(t, name, read(t, clip(t, name, args(sound(0.2), how, exact)...)))
	}
	// ffmpeg can't encode these three: what follows is frames made by hand.
	for name, made := range map[string][]byte{
		"amr_nb.mov": append([]byte("#!AMR\n"), bytes.Repeat(append([]byte{0x3c}, make([]byte, 31)...), 10)...),
		"amr_wb.mov": append([]byte("#!AMR-WB\n"), bytes.Repeat(append([]byte{0x44}, make([]byte, 60)...), 10)...),
		"vc1.mkv":    vc1Stream(),
	} {
		raw := write(t, strings.TrimSuffix(name, filepath.Ext(name))+".raw", made)
		format := map[string]string{"vc1.mkv": "-f vc1"}[name]
		keepSample(t, name, read(t, clip(t, name, args(format, "-i", []string{raw}, "-c copy", exact)...)))
	}
}

// vc1Stream is a sequence header, an entry point and three intra frames of 64
// by 64 pixels (SMPTE 421M, advanced profile). All bits behind the frame's header are
// ones, which happens to be a picture.
func vc1Stream() []byte {
	const (
		sequence = "11" + "010" + "01" + "000" + "00000" + "0" + // profile, level, 4:2:0, no hints
			"000000011111" + "000000011111" + // width and height, halved, less one
			"0000" + "1" + "0" + "0" + "0" // progressive, reserved, no extras
		entry = "01" + "000000" + "0000" + "0" + "000" // closed, no tools, size as above
		frame = "110" + "0" + "01000" + "0" +          // intra, rounding, quantizer
			"00000" + "000" // prediction is told in each macroblock, first tables
	)
	stream := slices.Concat([]byte{0, 0, 1, 0x0f}, packed(sequence), []byte{0, 0, 1, 0x0e}, packed(entry))
	for range 3 {
		stream = slices.Concat(stream, []byte{0, 0, 1, 0x0d}, packed(frame+strings.Repeat("1", 400)))
	}
	return stream
}

// packed ends the bits with a one and zeros, and keeps start codes out of them.
func packed(bits string) []byte {
	bits += "1"
	for len(bits)%8 != 0 {
		bits += "0"
	}
	var out []byte
	zeros := 0
	for i := 0; i < len(bits); i += 8 {
		var b byte
		for _, bit := range bits[i : i+8] {
			b = b<<1 | byte(bit-'0')
		}
		if zeros >= 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if out = append(out, b); b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return out
}

func keepSample(t *testing.T, name string, data []byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("samples", name+".gz"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every codec that an upload may have has a sample, which is in that codec.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, codec := range slices.Concat(videoCodecs(), audioCodecs()) {
		data, err := readSample(codec)
		if err != nil || data == nil {
			t.Errorf("%s: no sample: %v", codec, err)
			continue
		}
		var found probed
		out := run(t, "ffprobe", "-v", "error", "-print_format", "json", "-show_streams", write(t, "sample", data))
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			t.Fatal(err)
		}
		if len(found.Streams) == 0 || found.Streams[0].Codec != codec {
			t.Errorf("the sample of %s is none: %+v", codec, found.Streams)
		}
	}
	files, err := filepath.Glob("samples/*")
	if err != nil || len(files) != len(videoCodecs())+len(audioCodecs()) {
		t.Errorf("%d files: %v", len(files), err)
	}
	size := int64(0)
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 150_000 {
		t.Errorf("the samples take %d bytes of every worker's program", size)
	}
	tools := tools(t)
	for container, codec := range containerSamples() {
		source, err := sampleOf(codec)
		if err != nil {
			t.Fatal(err)
		}
		info, err := tools.Probe(t.Context(), source)
		if err != nil || info.Container != container || info.VideoCodec != codec {
			t.Errorf("%s: got %+v, %v", container, info, err)
		}
		if codec == "h264" && info != mainSample() {
			t.Errorf("\n got %+v\nwant %+v", info, mainSample())
		}
	}
}
