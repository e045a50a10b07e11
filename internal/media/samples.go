package media

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"path"
	"strings"
)

// sampleFiles are tiny files, one in each codec that we accept, named after it:
// samples/hevc.mp4.gz. With an ffmpeg that has all the encoders this makes them anew:
//
//	go test ./internal/media -run TestMakeSamples -make-samples
//
//go:embed samples/*.gz
var sampleFiles embed.FS

// sampleOf returns our own file in a codec. Of PCM, which has many kinds that are
// all alike, one stands for those that have no file.
func sampleOf(codec string) (Source, error) {
	data, err := readSample(codec)
	if data == nil && err == nil && strings.HasPrefix(codec, "pcm_") {
		data, err = readSample("pcm_s16le")
	}
	if err == nil && data == nil {
		err = fmt.Errorf("no sample of %s", codec)
	}
	if err != nil {
		return nil, internal(err)
	}
	return text(string(data)), nil
}

// readSample returns nil where there is no file in the codec.
func readSample(codec string) ([]byte, error) {
	entries, err := sampleFiles.ReadDir("samples")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), codec+".") {
			continue
		}
		packed, err := sampleFiles.ReadFile(path.Join("samples", entry.Name()))
		if err != nil {
			return nil, err
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(unpacked)
	}
	return nil, nil
}

// mainSample is what Probe finds in the sample of H.264, which has sound too and
// lasts a second: enough to make everything of it that we make of a video.
func mainSample() Info {
	rate := Rate{25, 1}
	return Info{
		Container: "mp4", DurationSeconds: 1, Width: 64, Height: 64, VideoCodec: "h264", AudioCodec: "aac",
		HasAudio: true, FrameRate: rate, OutputRate: rate, Frames: 25, Packets: 25, AudioStream: 1, Colour: Colour{Height: 64},
	}
}

// containerSamples name a codec for each container, whose sample is in that container.
func containerSamples() map[string]string {
	return map[string]string{"mp4": "h264", "matroska": "vp8", transport: "mpeg2video", "avi": "mpeg4", programStream: "mpeg1video", "flv": "flv1"}
}
