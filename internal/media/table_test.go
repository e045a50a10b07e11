package media

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// becomes says how a file ends, in the words of docs/media.md. Of those that can't be
// decoded TestPublished tells more.
func becomes(t *testing.T, path string) string {
	t.Helper()
	tools := tools(t)
	tools.MaxDuration = 10 * time.Second
	info, err := tools.Probe(t.Context(), file(path))
	if rejected, ok := errors.AsType[*Rejection](err); ok {
		if !strings.HasSuffix(rejected.Message, ".") {
			t.Errorf("message %q is no sentence", rejected.Message)
		}
		return "rejected: " + string(rejected.Code)
	}
	if err != nil {
		t.Fatal(err)
	}
	warnings := info.Faults.Warnings(info)
	for _, piece := range Pieces(info, 2*time.Second) {
		lost := func(l Loss) error {
			warnings = append(warnings, l.Warnings(info)...)
			return nil
		}
		if err := tools.EncodePiece(t.Context(), file(path), info, Ladder(info)[:1], piece, lost, drop); err != nil {
			t.Fatal(err)
		}
	}
	if len(warnings) > 0 {
		return "published, with a warning"
	}
	return "published"
}

// tableFiles are examples for the rows of docs/media.md, by the row's beginning.
func tableFiles(t *testing.T) map[string][]string {
	mp4 := clip(t, "clip.mp4", source(small, "-c:a aac")...)
	mkv, ts := clip(t, "clip.mkv", source(small, "-c:a aac")...), clip(t, "clip.ts", source(small, "-c:a aac")...)
	jpeg := clip(t, "cover.jpg", args(cover(), "-frames:v 1")...)
	encrypted := clip(t, "cenc.mp4", source(small, "-c:a aac", "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8")...)
	silentMP4 := clip(t, "silent.mp4", args(film(4), small)...)
	av1 := read(t, clip(t, "av1.mp4", args(picture("160x90", "25", 0.4), "-c:v libaom-av1 -usage realtime -cpu-used 8")...))
	samplesOf := func(codecs ...string) (paths []string) {
		for _, codec := range codecs {
			data, err := readSample(codec)
			if err != nil || data == nil {
				t.Fatalf("no sample of %s: %v", codec, err)
			}
			paths = append(paths, write(t, codec, data))
		}
		return paths
	}
	withSoundOf := func(codecs ...string) (paths []string) {
		for _, path := range samplesOf(codecs...) {
			paths = append(paths, clip(t, "sound.mkv", "-i", silentMP4, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", "-t", "1"))
		}
		return paths
	}
	bytesOf := func(all ...string) (paths []string) {
		for _, data := range all {
			paths = append(paths, write(t, "bytes", []byte(data+strings.Repeat("\x00nothing", 100))))
		}
		return paths
	}
	broken := brokenFilms(t)
	films := wholeFilms(t)
	return map[string][]string{
		"MP4, MOV":           {mp4, clip(t, "clip.mov", source(small, "-c:a aac")...), clip(t, "clip.3gp", source(small, "-c:a aac")...)},
		"MP4 in fragments":   {films["muted phone"].path},
		"MP4 whose index":    {write(t, "head.mp4", half(read(t, mp4)))},
		"Matroska":           append(samplesOf("vp8", "vp9"), mkv),
		"MPEG transport":     {ts, clip(t, "clip.m2ts", source(small, "-c:a aac")...)},
		"MPEG program":       {films["program stream"].path},
		"AVI":                {clip(t, "clip.avi", source("-c:v mpeg4 -c:a libmp3lame")...)},
		"FLV":                {films["flash"].path},
		"HEVC":               samplesOf("hevc", "prores", "dnxhd", "cfhd", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "h263", "flv1", "dvvideo", "theora", "ffv1", "vc1"),
		"AC-3":               withSoundOf("ac3", "eac3", "dts", "mp2", "mp3", "flac", "alac", "amr_nb", "amr_wb", "pcm_s16le"),
		"no sound":           {silentMP4, films["muted recording"].path},
		"a thumbnail":        {films["jpeg first"].path, films["png first"].path},
		"a picture with":     {films["song with a cover"].path},
		"one frame":          {films["one frame"].path},
		"sound in a codec":   {films["sound of a rare kind"].path},
		"encrypted sound":    {write(t, "sound-encrypted.mp4", bytes.Replace(read(t, mp4), []byte("mp4a\x00\x00"), []byte("enca\x00\x00"), 1))},
		"headers":            {films["header too long"].path, films["header too short"].path},
		"an end":             {broken["mp4 cut off"].path, broken["webm cut off"].path},
		"a lost":             {broken["packet lost"].path},
		"pictures that":      {broken["overwritten"].path},
		"encrypted picture":  {encrypted, write(t, "fairplay.mp4", bytes.Replace(read(t, mp4), []byte("avc1\x00\x00"), []byte("drmi\x00\x00"), 1)), write(t, "encrypted.mkv", encryptedMatroska(t, read(t, mkv), 0)), write(t, "scrambled.ts", scrambledTS(t, read(t, ts), videoPID)), write(t, "sample-aes.ts", sampleAES(t, read(t, ts)))},
		"picture in a codec": {clip(t, "raw.mkv", args(picture("64x64", "10", 1), "-c:v rawvideo")...)},
		"AV1 under":          {write(t, "dav1.mp4", bytes.Replace(av1, []byte("av01\x00\x00"), []byte("dav1\x00\x00"), 1))},
		"Windows Media":      append(bytesOf(".RMF", "\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "CWS"), clip(t, "clip.wmv", source("-c:v wmv2 -c:a wmav2")...)),
		"smaller than":       {clip(t, "tiny.mp4", args(picture("64x8", "10", 2), h264)...)},
		"longer than":        {clip(t, "long.mp4", args(picture("64x64", "10", 12), h264)...)},
		"photo":              append(bytesOf("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "\x00\x00\x00\x1cftypavif", "RIFF\x00\x01\x00\x00WEBPVP8 ", "II*\x00", "GIF89a"), jpeg, clip(t, "cover.png", args(cover(), "-frames:v 1")...)),
		"sound file":         {clip(t, "sound.m4a", args(sound(2), "-c:a aac")...), clip(t, "sound.mp3", sound(2)...), clip(t, "sound.ogg", args(sound(2), "-c:a libopus")...), clip(t, "sound.wav", sound(1)...), clip(t, "cover.m4a", args(sound(2), "-i", []string{jpeg}, "-map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic")...)},
		"anything else":      bytesOf("%PDF-1.4", "PK\x03\x04", "Once upon a time"),
	}
}

type example struct{ path, want string }

// What docs/media.md says of files is what becomes of them, row by row.
func TestTable(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (.+) \| ((published|rejected).*) \|$`).FindAllStringSubmatch(string(read(t, "../../docs/media.md")), -1)
	files := tableFiles(t)
	if len(rows) != len(files) {
		t.Errorf("%d rows, %d kinds of files", len(rows), len(files))
	}
	examples := map[string]example{}
	for _, row := range rows {
		before := len(examples)
		for beginning, paths := range files {
			for i, path := range paths {
				if strings.HasPrefix(row[1], beginning) {
					examples[fmt.Sprint(row[1], " ", i)] = example{path, row[2]}
				}
			}
		}
		if len(examples) == before {
			t.Errorf("no file for: %s", row[1])
		}
	}
	for name, test := range some(examples) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := becomes(t, test.path); got != test.want {
				t.Errorf("%s, but the table has %s", got, test.want)
			}
		})
	}
}
