package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
)

// encodeAudio decodes the sound and encodes it, levelled: two programs side by side,
// for the first one's filters are set up anew whenever channels or their rate change, so
// they keep no time; the second's see one kind of sound from start to end. lost is told
// if the decoder complained.
func (t *Tools) encodeAudio(ctx context.Context, src Source, info Info, lost func(Loss) error, sink Sink) error {
	mix := mixNamed
	heard, err := t.measure(ctx, src, info, mix, level{})
	if exit, failed := errors.AsType[*ExitError](err); failed && !exit.machineFault() {
		mix = mixNumbered
		if strings.Contains(exit.Stderr, "ambisonic") {
			mix = mixAmbisonic
		}
		heard, err = t.measure(ctx, src, info, mix, level{})
	}
	if err != nil {
		return err
	}
	levelled := heard.level()
	for range levelTries {
		if !levelled.limited {
			break
		}
		if heard, err = t.measure(ctx, src, info, mix, levelled); err != nil {
			return err
		}
		if !levelled.raise(heard) {
			break
		}
	}
	return t.listen(ctx, src, info, mix, Job{
		Program: t.FFmpeg,
		Args:    func(string) []string { return audioArgs(info, levelled, t.Threads) },
		Collect: func(dir *os.Root) error {
			if err := tell(lost, Loss{Damaged: len(damage.FindAllString(heard.complaints, badSounds)) == badSounds}); err != nil {
				return err
			}
			return deliver(dir, AudioName, sink)
		},
	}, nil)
}

// badSounds is how many complaints of a decoder of sound mean damage: it begins with one
// or two where a recording was cut.
const badSounds = 3

// silenceArgs make a sound as long as the video in which nothing is to be heard.
func silenceArgs(info Info, threads int) []string {
	args := append(ffmpegArgs(threads), "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", seconds(info.OutputRate.Seconds(info.Frames)),
		"-c:a", "aac", "-b:a", strconv.Itoa(audioBits))
	return append(args, "-f", "mp4", AudioName+".mp4")
}

// How sound of any channels becomes stereo. By their names, as far as they have some;
// else the first two are left and right; and of a sphere of sound (ambisonics, its
// channels in the order W, Y, …) one hears what comes from either side.
const (
	mixNamed     = "aformat=sample_fmts=flt:sample_rates=48000:channel_layouts=stereo"
	mixNumbered  = "pan=stereo|c0=c0|c1=c1," + mixNamed
	mixAmbisonic = "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1," + mixNamed
)

// ahead is how far the decoded sound is moved on its clock, in seconds: its container
// knows no times below zero, where the priming of codecs lies.
const ahead = 10

// decodedArgs print the sound as samples that bear their time: 48 kHz, stereo.
func decodedArgs(url string, info Info, mix string, threads int) []string {
	args := append(ffmpegArgs(threads), inputArgs(url, threads)...)
	end := seconds(info.OutputRate.Seconds(info.Frames) + info.StartSeconds + 1)
	args = append(args, "-map", stream(info.AudioStream),
		"-af", fmt.Sprintf("%s,atrim=end=%s,asetpts=PTS+%d/TB", mix, end, ahead), "-c:a", "pcm_f32le", "-f", "nut", "pipe:1")
	return append(args, beside(info, info.VideoStream)...)
}

// listen decodes the sound and lets job read it. An error of the decoder comes before
// the job's, which then isn't collected. What the decoder complains of goes to complaints, unless nil.
func (t *Tools) listen(ctx context.Context, src Source, info Info, mix string, job Job, complaints io.Writer) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	samples, into := io.Pipe()
	job.Stdin = samples
	var decoded error
	var decoder sync.WaitGroup
	decoder.Go(func() {
		decoded = t.Runner.Run(inner, Job{
			Program: t.FFmpeg,
			Inputs:  map[string]Source{sourceInput: src},
			Args:    func(base string) []string { return decodedArgs(base+sourceInput, info, mix, t.Threads) },
			Stdout:  into,
			Stderr:  complaints,
		})
		into.CloseWithError(decoded)
	})
	err := t.Runner.Run(inner, job)
	stop() // a job that failed, or has heard enough, reads no more
	samples.Close()
	decoder.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case decoded != nil && !errors.Is(decoded, context.Canceled) && !errors.Is(decoded, io.ErrClosedPipe):
		return decoded
	default:
		return err
	}
}

// samplesArgs read what decodedArgs print. Silence fills what is missing, at the start too,
// and time that comes twice is cut, so that no sound is off by more than 20 ms.
func samplesArgs(info Info, levelled level, threads int, filters ...string) []string {
	chain := append([]string{
		fmt.Sprintf("asetpts=PTS-%s/TB", seconds(info.StartSeconds+ahead)),
		"aresample=async=1:min_hard_comp=0.02:first_pts=0",
	}, levelled.filters()...)
	return append(ffmpegArgs(threads), "-copyts", "-protocol_whitelist", "pipe", "-format_whitelist", "nut", "-f", "nut", "-i", "pipe:0",
		"-t", seconds(info.OutputRate.Seconds(info.Frames)), "-af", strings.Join(append(chain, filters...), ","))
}

func audioArgs(info Info, levelled level, threads int) []string {
	args := append(samplesArgs(info, levelled, threads), "-c:a", "aac", "-b:a", strconv.Itoa(audioBits), "-ac", "2", "-ar", "48000")
	return append(append(args, anonymous()...), "-f", "mp4", AudioName+".mp4")
}

// measure tells how loud the sound is at a level. Errors are those of listen.
func (t *Tools) measure(ctx context.Context, src Source, info Info, mix string, levelled level) (loudness, error) {
	heard := loudness{integrated: math.Inf(-1)}
	var words tail
	err := t.listen(ctx, src, info, mix, Job{
		Program: t.FFmpeg,
		Args: func(string) []string {
			return append(samplesArgs(info, levelled, t.Threads, "ebur128=peak=true:metadata=1", "ametadata=print:file=-"), "-f", "null", "-")
		},
		Stdout: &heard,
	}, &words)
	heard.complaints = words.String()
	if err == nil && blamesMachine(heard.complaints) {
		err = unavailable(errors.New(heard.complaints)) // without what it complains of this isn't all
	}
	return heard, err
}

// loudness is what ITU-R BS.1770 measures. It reads lines of "lavfi.r128.…=…", of
// which the last of a kind is that of the whole.
type loudness struct {
	integrated float64 // LUFS
	peak       float64 // true peak, 1 is full scale
	complaints string  // of the decoder
	lines      lines
}

func (l *loudness) Write(b []byte) (int, error) {
	return l.lines.write(b, func(line string) {
		key, value, _ := strings.Cut(line, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		switch {
		case err != nil:
		case key == "lavfi.r128.I":
			l.integrated = v
		case strings.HasPrefix(key, "lavfi.r128.true_peak"):
			l.peak = max(l.peak, v)
		}
	})
}

const (
	loud       = -14.0 // LUFS, what platforms play
	silent     = -69.0 // LUFS, below which there is nothing to hear
	ceiling    = -2.5  // dB true peak before AAC, which adds up to a decibel
	mostGain   = 30.0  // dB: more would raise the noise of a quiet room
	nearLoud   = 0.3   // LU
	levelTries = 2     // measurements of what the limiter leaves
)

// level is what brings sound to its loudness.
type level struct {
	gain    float64 // dB
	limited bool    // peaks are cut off softly
}

// level returns how to level what was heard: by one gain for the whole, and where peaks
// would go beyond the ceiling by a limiter.
func (l *loudness) level() level {
	var chosen level
	if l.integrated > silent {
		chosen.gain = min(mostGain, loud-l.integrated)
	}
	chosen.limited = 20*math.Log10(l.peak)+chosen.gain > ceiling
	return chosen
}

// raise makes up for what the limiter took of the loudness that was heard behind it. It
// reports whether there was anything to make up for.
func (l *level) raise(heard loudness) bool {
	missing := loud - heard.integrated
	if heard.integrated <= silent || math.Abs(missing) < nearLoud || l.gain >= mostGain {
		return false
	}
	l.gain = min(mostGain, l.gain+missing)
	return true
}

// filters are none where nothing is to be done. Peaks between samples show at four
// times the rate.
func (l level) filters() []string {
	var chain []string
	if l.gain != 0 {
		chain = append(chain, fmt.Sprintf("volume=%.2fdB", l.gain))
	}
	if l.limited {
		chain = append(chain, "aresample=192000",
			fmt.Sprintf("alimiter=limit=%.4f:attack=2:release=60:level=0", math.Pow(10, ceiling/20)), "aresample=48000")
	}
	return chain
}
