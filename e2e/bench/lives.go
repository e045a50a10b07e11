package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/video"
)

const (
	clipSeconds = 10
	clipWidth   = 1080
	clipHeight  = 1920
)

// makeClip generates ten seconds upright with sound, about as large as a phone
// would make them.
func (b *bench) makeClip() error {
	b.clip = filepath.Join(b.dir, "clip.mp4")
	return b.ffmpeg(
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=30:duration=%d,noise=alls=10:allf=t", clipWidth, clipHeight, clipSeconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:duration=%d", clipSeconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "16M", "-maxrate", "16M", "-bufsize", "16M",
		"-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", b.clip)
}

func (b *bench) ffmpeg(args ...string) error {
	out, err := exec.CommandContext(b.ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	return nil
}

// lives measures what a life costs in Temporal, and how long its author waits.
func (b *bench) lives() error {
	if err := b.costs(); err != nil {
		return err
	}
	var stages []string
	ours := &contestant{once: func() (time.Duration, error) {
		took, said, err := b.untilPlayable()
		stages = append(stages, said)
		return took, err
	}}
	bare := &contestant{once: b.bareLadder}
	if err := b.compete(ours, bare); err != nil {
		return err
	}
	against("last byte to playable, 10 s of 1080x1920", ours, bare, 0,
		"peer: bare ffmpeg, one command for the same ladder, no sealing and no copies; the last of ours: "+stages[len(stages)-1]).print()
	return nil
}

// costs counts one whole life, deletion and purge included.
func (b *bench) costs() error {
	before, err := b.Actions(b.ctx)
	if err != nil {
		return err
	}
	id, err := b.send(b.clip)
	if err != nil {
		return err
	}
	if _, err := b.untilPublished(id); err != nil {
		return err
	}
	if err := b.erase(id); err != nil {
		return err
	}
	after, err := b.Actions(b.ctx)
	if err != nil {
		return err
	}
	events, size, err := b.History(b.ctx, id)
	if err != nil {
		return err
	}
	total := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(after)) {
		if n := after[kind] - before[kind]; n > 0 {
			total += n
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
		}
	}
	row{what: "Temporal actions of one life", ours: strconv.Itoa(total), aim: atMost(float64(total), 40, ""), note: strings.Join(kinds, ", ")}.print()
	row{what: "Temporal history of one life", ours: fmt.Sprintf("%d events, %.1f KB", events, float64(size)/1000)}.print()
	return nil
}

// send uploads a whole file in one PATCH.
func (b *bench) send(path string) (video.ID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return b.sendChunks(path, info.Size(), info.Size())
}

func (b *bench) sendChunks(path string, size, chunk int64) (video.ID, error) {
	made, err := tusUpload(b.ctx, b.tusURL(), path, size, chunk)
	if err != nil {
		return "", err
	}
	return video.ParseID(made.Header.Get("Reelflow-Video"))
}

func (b *bench) tusURL() string { return b.URLs[0] + "/v1/uploads/" }

// untilPublished returns when each stage was first seen.
func (b *bench) untilPublished(id video.ID) (map[video.Stage]time.Time, error) {
	seen := map[video.Stage]time.Time{}
	return seen, b.me.Follow(b.ctx, id, func(v client.Video) error {
		if seen[v.Stage].IsZero() {
			seen[v.Stage] = time.Now()
		}
		switch v.Stage {
		case video.Published:
			return client.Done
		case video.Rejected:
			return fmt.Errorf("the clip was rejected: %+v", v.Failure)
		}
		return nil
	})
}

// untilPlayable measures from the last byte, answered, to a playlist that is
// served, and says how long each stage took.
func (b *bench) untilPlayable() (time.Duration, string, error) {
	id, err := b.send(b.clip)
	if err != nil {
		return 0, "", err
	}
	begun := time.Now()
	seen, err := b.untilPublished(id)
	if err != nil {
		return 0, "", err
	}
	p, err := b.me.Playback(b.ctx, id)
	if err != nil {
		return 0, "", err
	}
	if _, err := b.me.Fetch(b.ctx, p.HLS); err != nil {
		return 0, "", err
	}
	took := time.Since(begun)
	publishing, published := seen[video.Publishing], seen[video.Published]
	if publishing.IsZero() {
		publishing = published // too short to be seen
	}
	return took, fmt.Sprintf("processing %s, publishing %s", brief(publishing.Sub(begun)), brief(published.Sub(publishing))), b.erase(id)
}

// bareLadder encodes what ours does, with the same settings, the obvious way.
func (b *bench) bareLadder() (time.Duration, error) {
	dir, err := os.MkdirTemp(b.dir, "bare-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ladder := media.Ladder(media.Info{Width: clipWidth, Height: clipHeight, HasAudio: true, OutputRate: media.Rate{Num: 30, Den: 1}})
	filter := fmt.Sprintf("split=%d", len(ladder))
	var scales string
	var outputs []string
	for i, r := range ladder {
		filter += fmt.Sprintf("[s%d]", i)
		scales += fmt.Sprintf(";[s%d]scale=%d:%d[v%d]", i, r.Width, r.Height, i)
		bits := strconv.Itoa(r.Bitrate)
		outputs = append(outputs, "-map", fmt.Sprintf("[v%d]", i), "-map", "0:a", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0",
			"-crf", "23", "-maxrate", bits, "-bufsize", bits, "-g", "60", "-keyint_min", "60", "-sc_threshold", "0",
			"-c:a", "aac", "-b:a", "128k", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", filepath.Join(dir, r.Name+".m3u8"))
	}
	begun := time.Now()
	err = b.ffmpeg(append([]string{"-i", b.clip, "-filter_complex", filter + scales}, outputs...)...)
	return time.Since(begun), err
}
