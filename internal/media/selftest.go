package media

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/reelflow/reelflow/video"
)

// SelfTest proves that this machine can do the work: that its ffmpeg decodes our own
// sample in every codec that we accept, reads every container, and makes of a second of
// video all that is made of uploads, with the same arguments; and that there is
// room for it. It fails with Unavailable, naming whatever is missing. It takes
// about a second; a worker calls it at its start, after Sweep, and takes no work
// if it fails: whatever it touched would fail, or be taken for broken.
func (t *Tools) SelfTest(ctx context.Context) error {
	proofs := []func(context.Context) error{t.mustDecodeAll, t.mustReadAll, t.mustMakeAll}
	failures := make([]error, len(proofs))
	var all sync.WaitGroup
	for i, proof := range proofs {
		all.Go(func() { failures[i] = proof(ctx) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	incomplete := oneOf(failures, howToInstall)
	return oneOf([]error{incomplete, t.mustHaveRoom()}, "")
}

// oneOf makes one error of several, whose sentence is all of theirs, and advice.
func oneOf(failures []error, advice string) error {
	failures = slices.DeleteFunc(failures, func(err error) bool { return err == nil })
	if len(failures) == 0 {
		return nil
	}
	var sentences []string
	for _, err := range failures {
		if e, ok := errors.AsType[*video.Error](err); ok {
			sentences = append(sentences, e.Detail)
		}
	}
	sentence := strings.TrimSpace(strings.Join(append(sentences, advice), " "))
	return video.Errorf(video.Unavailable, "%s", sentence).Because(errors.Join(failures...))
}

// roomPerJob is the scratch space that one job may need: a piece in all
// renditions. As many jobs run at once as there are cores for this process: a container may
// have less than the machine.
const roomPerJob = 100 << 20

func (t *Tools) mustHaveRoom() error {
	free, known := t.Runner.free()
	if !known {
		return nil
	}
	return checkRoom(free, runtime.GOMAXPROCS(0))
}

func checkRoom(free int64, cores int) error {
	need := int64(cores) * roomPerJob
	if free >= need {
		return nil
	}
	return video.Errorf(video.Unavailable, "The scratch directory has %d MB free, and %d MB are needed: %d for each core. "+
		"Name a larger one in memory with --scratch; in Docker, where /dev/shm has 64 MB, start the container with a larger --shm-size.",
		free>>20, need>>20, roomPerJob>>20)
}

// mustDecodeAll decodes all samples in one process, and only if that fails each
// by itself, to tell which.
func (t *Tools) mustDecodeAll(ctx context.Context) error {
	codecs := slices.Concat(videoCodecs(), audioCodecs())
	err := t.decodeSamples(ctx, codecs)
	if err == nil {
		return nil
	}
	failures := inParallel(codecs, func(codec string) error { return t.decodeSamples(ctx, []string{codec}) })
	if len(failures) > 0 {
		err = joinErrors(failures)
	} else {
		failures = map[string]error{"all codecs at once": err}
	}
	return video.Errorf(video.Unavailable, "This ffmpeg can't decode %s.", list(failures)).Because(err)
}

// mustReadAll lets ffprobe read a sample in every container.
func (t *Tools) mustReadAll(ctx context.Context) error {
	containers := slices.Collect(maps.Keys(containerSamples()))
	failures := inParallel(containers, func(container string) error { return t.readSample(ctx, container) })
	if len(failures) == 0 {
		return nil
	}
	return video.Errorf(video.Unavailable, "This ffprobe can't read %s files.", list(failures)).Because(joinErrors(failures))
}

// mustMakeAll makes all that is made of a video.
func (t *Tools) mustMakeAll(ctx context.Context) error {
	failures := map[string]error{}
	if made, err := t.encodeSample(ctx); err != nil {
		failures["H.264 and AAC in MP4"] = err
	} else if err := t.packageSample(ctx, made); err != nil {
		failures["MPEG-TS segments"] = err
	}
	if err := t.drawSample(ctx); err != nil {
		failures["JPEG pictures"] = err
	}
	if len(failures) == 0 {
		return nil
	}
	return video.Errorf(video.Unavailable, "This ffmpeg can't make %s.", list(failures)).Because(joinErrors(failures))
}

// MustStillWork is the part of SelfTest that concerns an upload of which ffmpeg broke
// down: it fails with Unavailable if that may be because this machine can't do any more
// what it could when its worker started. A zero info is that of an upload which can't be
// probed.
func (t *Tools) MustStillWork(ctx context.Context, info Info) error {
	err := t.mustHaveRoom()
	if err == nil && info.Container == "" {
		err = t.mustReadAll(ctx)
	}
	if err == nil && info.VideoCodec != "" {
		err = t.decodeSamples(ctx, []string{info.VideoCodec})
	}
	if err == nil {
		err = t.mustMakeAll(ctx)
	}
	return incapable(ctx, err)
}

// mustWork is the part of SelfTest that tells, when ffmpeg has failed on an
// upload in that codec, whether it also fails on what is known to be sound.
func (t *Tools) mustWork(ctx context.Context, codec string) error {
	err := t.decodeSamples(ctx, []string{codec})
	if err == nil {
		_, err = t.encodeSample(ctx)
	}
	return incapable(ctx, err)
}

// mustRead is the same for ffprobe and an upload in that container. Where the
// container isn't known it may be any.
func (t *Tools) mustRead(ctx context.Context, container string) error {
	for known := range containerSamples() {
		if container != "" && known != container {
			continue
		}
		if err := t.readSample(ctx, known); err != nil {
			return incapable(ctx, err)
		}
	}
	return nil
}

// incapable makes any failure on a sample the machine's.
func incapable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return unavailable(fmt.Errorf("the sample fails like the upload: %v", err))
	}
}
