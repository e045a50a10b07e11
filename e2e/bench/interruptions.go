package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// interruptions measures how soon a pause and a cancel have taken hold, and
// fails when anything moves after the answer.
func (b *bench) interruptions() error {
	bare, err := b.bareTemporal()
	if err != nil {
		return err
	}
	uploading, err := b.pausesOfUpload()
	if err != nil {
		return err
	}
	encoding, err := b.pausesOfEncoding()
	if err != nil {
		return err
	}
	pauseRow("pause to silence, uploading", uploading, bare, "no byte after any answer").print()
	pauseRow("pause to silence, encoding", encoding, bare, "no ffmpeg after any answer").print()
	if uploading, err = b.cancels(b.partlyUploaded); err != nil {
		return err
	}
	if encoding, err = b.cancels(b.beingEncoded); err != nil {
		return err
	}
	cancelRow("cancel to empty stores, uploading", uploading).print()
	cancelRow("cancel to empty stores, encoding", encoding).print()
	return nil
}

func pauseRow(what string, ours, bare series, note string) row {
	r := against(what, &contestant{times: ours}, &contestant{times: bare}, 0,
		fmt.Sprintf("%s, %d rounds; peer: a bare Temporal workflow that cancels its activity", note, len(ours)))
	r.aim = worst(ours, time.Second)
	return r
}

func cancelRow(what string, times series) row {
	return row{what: what, ours: times.String(), aim: worst(times, 5*time.Second), note: fmt.Sprintf("%d rounds; all three stores listed in every form", len(times))}
}

// worst is an aim for the slowest of a series.
func worst(times series, limit time.Duration) string {
	slowest := time.Duration(0)
	for _, t := range times {
		slowest = max(slowest, t)
	}
	return atMost(slowest.Seconds(), limit.Seconds(), " s")
}

// sending is an upload under way.
type sending struct {
	id   video.ID
	sent atomic.Int64 // bytes that are on their way or stored
	stop context.CancelFunc
	done chan error
}

// uploadRate bounds a transfer that is to be interrupted, in bytes a second.
const uploadRate = 24 << 20

func (b *bench) begin() (*sending, error) {
	path, err := b.makeUpload()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	v, err := b.me.Create(b.ctx, client.NewVideo{Source: client.Source{Size: uploadSize, Filename: "upload.mp4"}})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := &sending{id: v.ID, done: make(chan error, 1)}
	ctx, stop := context.WithCancel(b.ctx)
	s.stop = stop
	u := &client.Upload{Client: b.me, URL: v.UploadURL(), File: file, Size: uploadSize, Rate: uploadRate, Sent: s.sent.Store}
	go func() {
		defer file.Close()
		s.done <- u.Run(ctx)
	}()
	return s, nil
}

// moves waits until bytes flow, and a moment more.
func (b *bench) moves(s *sending) error {
	at := s.sent.Load()
	if err := b.until("bytes flow", 10*time.Second, func() (bool, error) { return s.sent.Load() > at, nil }); err != nil {
		return err
	}
	return b.sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond)
}

// pausesOfUpload pauses and resumes one upload again and again.
func (b *bench) pausesOfUpload() (times series, err error) {
	s, err := b.begin()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	for range b.rounds {
		if err := b.moves(s); err != nil {
			return nil, err
		}
		took, err := b.pause(s.id)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		if err := b.silent(s.id); err != nil {
			return nil, err
		}
		if _, err := b.me.Command(b.ctx, s.id, video.Resume, video.CommandBody{}); err != nil {
			return nil, err
		}
	}
	return times, b.erase(s.id)
}

func (b *bench) pause(id video.ID) (time.Duration, error) {
	begun := time.Now()
	_, err := b.me.Command(b.ctx, id, video.Pause, video.CommandBody{})
	return time.Since(begun), err
}

// silent looks at what the primary store holds now and a while later.
func (b *bench) silent(id video.ID) error {
	before, err := b.stores[0].Inventory(b.ctx, id.Prefix(), nil)
	if err != nil {
		return err
	}
	if err := b.sleep(200 * time.Millisecond); err != nil {
		return err
	}
	after, err := b.stores[0].Inventory(b.ctx, id.Prefix(), nil)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("after a pause was answered the store went from %+v to %+v", before, after)
	}
	return nil
}

// pausesOfEncoding pauses one video as often as its encoder has begun again.
func (b *bench) pausesOfEncoding() (times series, err error) {
	id, err := b.send(b.clip)
	if err != nil {
		return nil, err
	}
	for range b.rounds {
		if err := b.encodes(); err != nil {
			return nil, err
		}
		took, err := b.pause(id)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		if err := b.noEncoder(); err != nil {
			return nil, err
		}
		if _, err := b.me.Command(b.ctx, id, video.Resume, video.CommandBody{}); err != nil {
			return nil, err
		}
	}
	return times, b.erase(id)
}

// noEncoder fails when ffmpeg runs although it must not.
func (b *bench) noEncoder() error {
	n, err := b.encoders()
	if err == nil && n > 0 {
		err = fmt.Errorf("%d encoders run after it was answered that they had stopped", n)
	}
	return err
}

// encodes waits until ffmpeg runs, and a moment more.
func (b *bench) encodes() error {
	err := b.until("an encoder runs", 20*time.Second, func() (bool, error) {
		n, err := b.encoders()
		return n > 0, err
	})
	if err != nil {
		return err
	}
	return b.sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
}

// cancels measures from the command to a listing of all stores without anything
// of the video, for lives brought so far by prepare.
func (b *bench) cancels(prepare func() (video.ID, func(), error)) (times series, err error) {
	for range b.rounds {
		id, stop, err := prepare()
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		_, err = b.me.Command(b.ctx, id, video.Cancel, video.CommandBody{})
		if err == nil || video.CodeOf(err) == video.Gone {
			err = b.until("the stores are empty", time.Minute, func() (bool, error) { return b.empty(id.Prefix()) })
		}
		times = append(times, time.Since(begun))
		stop()
		if err != nil {
			return nil, err
		}
		if err := b.noEncoder(); err != nil {
			return nil, err
		}
		if err := b.erased(id); err != nil {
			return nil, err
		}
	}
	return times, nil
}

func (b *bench) partlyUploaded() (video.ID, func(), error) {
	s, err := b.begin()
	if err != nil {
		return "", nil, err
	}
	err = b.until("a segment is stored", 10*time.Second, func() (bool, error) {
		found, err := b.stores[0].Inventory(b.ctx, s.id.Prefix(), nil)
		return found.Objects > 0, err
	})
	return s.id, s.stop, err
}

func (b *bench) beingEncoded() (video.ID, func(), error) {
	id, err := b.send(b.clip)
	if err != nil {
		return "", nil, err
	}
	return id, func() {}, b.encodes()
}
