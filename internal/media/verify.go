package media

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// coded is a stream of an upload: its index, and its codec as ffprobe names it.
type coded struct {
	index int
	codec string
}

func (info Info) picture() coded { return coded{info.VideoStream, info.VideoCodec} }
func (info Info) sound() coded   { return coded{info.AudioStream, info.AudioCodec} }

// verify decodes a whole stream for nothing but its errors, and returns the
// Rejection if there are any, or Unavailable if they may be this machine's. cause is
// why it is asked.
func (t *Tools) verify(ctx context.Context, src Source, stream coded, cause error) error {
	verdict, err := t.judge(ctx, src, stream, cause)
	if err != nil {
		return err
	}
	if verdict == nil {
		return nil
	}
	if err := t.mustWork(ctx, stream.codec); err != nil {
		return err
	}
	return verdict
}

// judge returns what a decode of the stream says against it, or nil.
func (t *Tools) judge(ctx context.Context, src Source, stream coded, cause error) (*Rejection, error) {
	_, err := t.decode(ctx, src, func(url string) []string { return verifyArgs(url, stream.index, t.Threads) })
	exit, failed := errors.AsType[*ExitError](err)
	switch {
	case err != nil && !suspicious(err):
		return nil, err
	case failed && exit.OverTime:
		return reject(Unsupported, err, "This video takes too long to decode. Export it again, at most as large as 4K."), nil
	case failed:
		return reject(Damaged, err, damagedMessage), t.mustNameDamage(ctx, src, stream, exit)
	case errors.Is(cause, errShort):
		return reject(Damaged, cause, damagedMessage), nil // nothing is wrong with what is there, but it isn't all
	default:
		return nil, nil
	}
}

// mustNameDamage returns Unavailable unless ffmpeg says what is wrong with the
// data. With -xerror it ends before it tells the reason: when memory runs out
// it prints nothing at all, or what it also prints of broken data. So here it
// decodes once more without, and gives its reasons.
func (t *Tools) mustNameDamage(ctx context.Context, src Source, stream coded, failure *ExitError) error {
	words, err := t.decode(ctx, src, func(url string) []string {
		strict := verifyArgs(url, stream.index, t.Threads)
		return slices.DeleteFunc(strict, func(arg string) bool { return arg == "-xerror" })
	})
	if err != nil && !suspicious(err) {
		return err
	}
	if words = failure.Stderr + words; words == "" || blamesMachine(words) {
		return unavailable(fmt.Errorf("%w; and without -xerror: %s", failure, words))
	}
	return nil
}

// decode runs ffmpeg for its complaints, which it returns.
func (t *Tools) decode(ctx context.Context, src Source, args func(url string) []string) (complaints string, err error) {
	var words tail
	err = t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return args(base + sourceInput) },
		Stderr:  &words,
	})
	return words.String(), err
}

func verifyArgs(url string, index, threads int) []string {
	args := append(ffmpegArgs(threads), inputArgs(url, threads)...)
	return append(args, "-map", stream(index), "-f", "null", "-")
}
