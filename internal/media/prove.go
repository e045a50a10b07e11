package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/reelflow/reelflow/video"
)

// decodeSamples decodes the samples of some codecs in one process, and checks
// that something comes out of each.
func (t *Tools) decodeSamples(ctx context.Context, codecs []string) error {
	inputs := map[string]Source{}
	for _, codec := range codecs {
		source, err := sampleOf(codec)
		if err != nil {
			return err
		}
		inputs[codec] = source
	}
	count := streamCounter{frames: map[string]int{}}
	err := t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  inputs,
		Args:    func(base string) []string { return decodeArgs(base, codecs, t.Threads) },
		Stdout:  &count,
	})
	if err != nil {
		return err
	}
	for i, codec := range codecs {
		if count.frames[strconv.Itoa(i)] == 0 {
			return fmt.Errorf("nothing comes out of the sample of %s", codec)
		}
	}
	return nil
}

// decodeArgs print a line for each frame of the first stream of each input.
func decodeArgs(base string, codecs []string, threads int) []string {
	args := ffmpegArgs(threads)
	for _, codec := range codecs {
		args = append(args, inputArgs(base+codec, threads)...)
	}
	for i := range codecs {
		args = append(args, "-map", strconv.Itoa(i)+":0")
	}
	return append(args, "-fps_mode", "passthrough", "-f", "framecrc", "pipe:1")
}

// streamCounter counts lines of "stream, …" by stream, as framecrc prints them.
type streamCounter struct {
	frames map[string]int
	lines  lines
}

func (c *streamCounter) Write(b []byte) (int, error) {
	return c.lines.write(b, func(line string) {
		if stream, _, ok := strings.Cut(line, ","); ok && !strings.HasPrefix(line, "#") {
			c.frames[stream]++
		}
	})
}

// readSample lets ffprobe look at the sample in a container.
func (t *Tools) readSample(ctx context.Context, container string) error {
	codec := containerSamples()[container]
	source, err := sampleOf(codec)
	if err != nil {
		return err
	}
	info, err := t.probe(ctx, source, nil)
	if err != nil {
		return err
	}
	if info.Container != container || info.VideoCodec != codec || info.Width != 64 {
		return fmt.Errorf("the sample of %s reads as %+v", codec, info)
	}
	return nil
}

// samplePiece is what is made of the sample before it is packaged.
type samplePiece struct{ picture, sound []byte }

// encodeSample makes a piece, of two renditions, with the filter against
// interlacing and the table of colours, and the sound.
func (t *Tools) encodeSample(ctx context.Context) (made samplePiece, err error) {
	info := mainSample()
	info.Interlaced = true
	info.Colour.Transfer = "arib-std-b67"
	source, err := sampleOf(info.VideoCodec)
	if err != nil {
		return made, err
	}
	small := video.Rendition{Name: "small", Width: 32, Height: 32, Bitrate: 300_000}
	large := video.Rendition{Name: "large", Width: 64, Height: 64, Bitrate: 300_000}
	piece := encoding{info: info, ladder: []video.Rendition{large, small}, piece: Piece{Frames: info.Frames}, threads: t.Threads}
	take := func(into *[]byte) Sink {
		return func(_ string, file io.ReadSeeker, _ int64) (err error) {
			*into, err = io.ReadAll(file)
			return err
		}
	}
	if err := t.encodePiece(ctx, source, piece, take(&made.picture)); err != nil {
		return made, err
	}
	return made, t.encodeAudio(ctx, source, info, nil, take(&made.sound))
}

// packageSample makes a segment of it that says what it holds.
func (t *Tools) packageSample(ctx context.Context, made samplePiece) error {
	segments := 0
	err := t.Package(ctx, mainSample(), []Source{text(string(made.picture))}, text(string(made.sound)), func(s Segment) error {
		segments++
		codecs, err := s.Codecs()
		if err == nil && (!strings.HasPrefix(codecs, "avc1.64") || !strings.HasSuffix(codecs, ",mp4a.40.2")) {
			err = fmt.Errorf("a segment of %q", codecs)
		}
		return err
	})
	if err == nil && segments != 1 {
		err = fmt.Errorf("%d segments of one second", segments)
	}
	return err
}

// drawSample makes a poster and previews.
func (t *Tools) drawSample(ctx context.Context) error {
	info := mainSample()
	source, err := sampleOf(info.VideoCodec)
	if err != nil {
		return err
	}
	for _, args := range []func(url string) []string{
		func(url string) []string { return posterArgs(url, info, t.Threads) },
		func(url string) []string { return previewArgs(url, info, layout(info), t.Threads) },
	} {
		jpeg, err := t.drawPicture(ctx, source, info, args)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(jpeg, []byte("\xff\xd8")) {
			return fmt.Errorf("%d bytes that are no JPEG", len(jpeg))
		}
	}
	return nil
}

// inParallel calls prove for each, as many at once as there are cores, and
// returns what failed.
func inParallel(names []string, prove func(name string) error) map[string]error {
	failures := map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, name := range names {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := prove(name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures[name] = err
			}
		})
	}
	all.Wait()
	return failures
}

// list writes names in a sentence.
func list(failures map[string]error) string {
	return strings.Join(slices.Sorted(maps.Keys(failures)), ", ")
}

func joinErrors(failures map[string]error) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		all = append(all, fmt.Errorf("%s: %w", name, failures[name]))
	}
	return errors.Join(all...)
}
