package media

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// walked is what the packets of one stream say: how many there are, and from when
// to when they are shown, in seconds on the container's clock. Headers aren't asked: they
// may be missing, estimated, or wrong.
type walked struct {
	packets     int
	first, last float64 // where the first and the last begin
	end         float64
}

// length is in seconds; one packet without a length counts as an instant.
func (w walked) length() float64 { return w.end - w.first }

func (w *walked) add(at, length float64) {
	if w.packets == 0 {
		w.first, w.last, w.end = at, at, at
	}
	w.packets++
	w.first, w.last = min(w.first, at), max(w.last, at)
	w.end = max(w.end, at+length)
}

// finish gives a last packet that doesn't say how long it is shown the mean distance
// of all.
func (w *walked) finish() {
	if w.packets > 1 && w.end <= w.last {
		w.end = w.last + (w.last-w.first)/float64(w.packets-1)
	}
}

// walk is what all packets of a file say.
type walk struct {
	streams map[int]*walked
	damaged bool
	lines   lines
}

func newWalk() *walk { return &walk{streams: map[int]*walked{}} }

// stream returns what there is of a stream, maybe nothing.
func (w *walk) stream(index int) walked {
	if s := w.streams[index]; s != nil {
		return *s
	}
	return walked{}
}

func (w *walk) add(index int, at, length float64) {
	if w.streams[index] == nil {
		w.streams[index] = &walked{}
	}
	w.streams[index].add(at, length)
}

func (w *walk) finish(complaints string) {
	w.damaged = damage.MatchString(complaints)
	for _, s := range w.streams {
		s.finish()
	}
}

// damage are the words by which demuxers and decoders tell of broken data, all of
// them at the level of warnings or above. They decide upon a warning, never a rejection.
var damage = regexp.MustCompile(`(?i)packet corrupt|corrupt (input|decoded)|partial file|error while decoding|invalid nal|invalid data found|` +
	`missing picture|non-existing [sp]ps|decode_slice_header error|concealing|exceeds (containing|max)|invalid as first byte`)

// walkPackets reads all of the file, once.
func (t *Tools) walkPackets(ctx context.Context, src Source) (*walk, error) {
	w := newWalk()
	var words tail
	err := t.Runner.Run(ctx, Job{
		Program: t.FFprobe,
		Inputs:  map[string]Source{sourceInput: src},
		Args:    func(base string) []string { return walkArgs(base + sourceInput) },
		Stdout:  &probedPackets{w},
		Stderr:  &words,
	})
	w.finish(words.String())
	if gaveUp(err) && len(w.streams) > 0 {
		w.damaged, err = true, nil // what could be read, counts
	}
	return w, err
}

func walkArgs(url string) []string {
	return []string{
		"-v", "warning", "-protocol_whitelist", protocols, "-format_whitelist", formats,
		"-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-print_format", "csv=p=0", "-i", url,
	}
}

// probedPackets reads lines of "stream,shown,decoded,length,flags".
type probedPackets struct{ *walk }

func (p *probedPackets) Write(b []byte) (int, error) {
	return p.lines.write(b, func(line string) {
		fields := strings.Split(line, ",")
		if len(fields) < 5 || strings.Contains(fields[4], "D") {
			return // side data; or to be decoded, but not shown (an edit list cuts it away)
		}
		index, err := strconv.Atoi(fields[0])
		at, shown := strconv.ParseFloat(fields[1], 64)
		if shown != nil {
			at, shown = strconv.ParseFloat(fields[2], 64) // AVI says when to decode alone
		}
		if err != nil || shown != nil {
			return
		}
		length, _ := strconv.ParseFloat(fields[3], 64) // N/A counts as nothing
		p.add(index, at, length)
	})
}

// walkJoined reads two streams of a container whose clock may jump, where recordings
// were joined. It shows the clock as ffmpeg mends it when it encodes these two, and begins at
// zero; sound may be nil. The streams are numbered as in the file.
func (t *Tools) walkJoined(ctx context.Context, src Source, picture, sound *probedStream) (*walk, error) {
	w := &copiedPackets{walk: newWalk(), indices: []int{picture.Index}, ticks: map[int]float64{}}
	if sound != nil {
		w.indices = append(w.indices, sound.Index)
	}
	var words tail
	err := t.Runner.Run(ctx, Job{
		Program: t.FFmpeg,
		Inputs:  map[string]Source{sourceInput: src},
		Args: func(base string) []string {
			args := append(ffmpegArgs(t.Threads), inputArgs(base+sourceInput, t.Threads)...)
			for _, index := range w.indices {
				args = append(args, "-map", stream(index))
			}
			return append(args, "-c", "copy", "-f", "framecrc", "pipe:1")
		},
		Stdout: w,
		Stderr: &words,
	})
	w.finish(words.String())
	if gaveUp(err) && w.stream(picture.Index).packets > 0 {
		w.damaged, err = true, nil
	}
	if err == nil && blamesMachine(words.String()) {
		err = unavailable(errors.New(words.String()))
	}
	return w.walk, err
}

// copiedPackets reads what ffmpeg's framecrc writes: "#tb stream: numerator/denominator",
// then lines of "stream, decoded, shown, length, …" in these units.
type copiedPackets struct {
	*walk
	indices []int           // of the streams, in the file
	ticks   map[int]float64 // seconds
}

func (c *copiedPackets) Write(b []byte) (int, error) {
	return c.lines.write(b, func(line string) {
		if unit, ok := strings.CutPrefix(line, "#tb "); ok {
			number, base, _ := strings.Cut(unit, ": ")
			index, err := strconv.Atoi(number)
			if rate := parseRate(strings.TrimSpace(base)); err == nil && rate.Den > 0 {
				c.ticks[index] = rate.Float()
			}
			return
		}
		fields := strings.Split(line, ",")
		if len(fields) < 4 {
			return
		}
		var numbers [4]int64
		for i := range numbers {
			n, err := strconv.ParseInt(strings.TrimSpace(fields[i]), 10, 64)
			if err != nil {
				return
			}
			numbers[i] = n
		}
		index, tick := int(numbers[0]), c.ticks[int(numbers[0])]
		if index >= 0 && index < len(c.indices) {
			c.add(c.indices[index], float64(numbers[2])*tick, float64(numbers[3])*tick)
		}
	})
}
