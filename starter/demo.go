package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

type demoCommand struct {
	Video string `arg:"" optional:"" help:"The video to show it with; one is generated when none is given."`
}

// Run shows a whole life on throw-away data, and checks at each step that what
// was promised holds. Its last line is `demo ok` or `demo failed: …`.
func (c *demoCommand) Run(s *shell) error {
	err := c.show(s)
	if err != nil {
		fmt.Fprintf(s.out, "demo failed: %s\n", explain(s.ctx, err))
		return said{err}
	}
	fmt.Fprintln(s.out, "demo ok")
	return nil
}

func (c *demoCommand) show(s *shell) (err error) {
	dir, err := os.MkdirTemp("", "reelflow-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tidy(s, dir, err)) }()
	path, err := c.clip(s, dir)
	if err != nil {
		return err
	}
	bin, err := programs()
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, "starting Temporal, three stores, a worker and a gateway")
	all, err := stack.Start(s.ctx, stack.Options{Bin: bin, Dir: dir, FreePorts: true, Env: []string{"REELFLOW_DELETE_GRACE=0s"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	go func() { cancel(all.Wait(ctx)) }()
	d := &demo{shell: s, ctx: ctx, stack: all, path: path}
	if err := d.story(); err != nil {
		if cause := context.Cause(ctx); cause != nil && s.ctx.Err() == nil && ctx.Err() != nil {
			return cause // a process that died says more than the call that missed it
		}
		return err
	}
	return nil
}

// tidy removes the data, and after a failure leaves the logs.
func tidy(s *shell, dir string, failure error) error {
	if failure == nil || s.ctx.Err() != nil {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	errs := []error{err}
	for _, entry := range entries {
		if entry.Name() != "logs" {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	fmt.Fprintf(s.err, "the logs are kept in %s\n", filepath.Join(dir, "logs"))
	return errors.Join(errs...)
}

// clip is the video to show, in a shape that this ffmpeg surely makes: eight
// seconds upright with sound.
func (c *demoCommand) clip(s *shell, dir string) (string, error) {
	if c.Video != "" {
		return c.Video, nil
	}
	path := filepath.Join(dir, "demo.mp4")
	made := exec.CommandContext(s.ctx, "ffmpeg", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=size=1080x1920:rate=30:duration=8",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=8",
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "8M", "-minrate", "8M", "-maxrate", "8M", "-bufsize", "8M",
		"-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", path)
	if out, err := made.CombinedOutput(); err != nil {
		return "", fmt.Errorf("ffmpeg could not make a video: %w: %s", err, out)
	}
	return path, nil
}

// demo is one showing.
type demo struct {
	*shell
	ctx     context.Context
	stack   *stack.Stack
	gateway *client.Client
	path    string
	file    *os.File
	size    int64
}

// story is what the demo shows, in its order.
func (d *demo) story() error {
	if err := d.open(); err != nil {
		return err
	}
	defer d.file.Close() // only read
	published, err := d.publish()
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := d.play(published.ID); err != nil {
		return fmt.Errorf("playback: %w", err)
	}
	if err := d.listStores("before", published.ID, false); err != nil {
		return err
	}
	if err := d.delete(published.ID); err != nil {
		return fmt.Errorf("deletion: %w", err)
	}
	canceled, err := d.cancelHalfWay()
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	for _, id := range []video.ID{published.ID, canceled} {
		if err := d.receipt(id); err != nil {
			return fmt.Errorf("receipt: %w", err)
		}
	}
	return d.listStores("after", published.ID, true)
}

func (d *demo) open() (err error) {
	if d.gateway, err = client.New(d.stack.URLs[0], "dev:demo"); err != nil {
		return err
	}
	file, info, err := openFile(d.path)
	if err != nil {
		return err
	}
	d.file, d.size = file, info.Size()
	return nil
}

// uploadSeconds is how long an upload is made to take, so that a command surely
// falls into its middle: the gateway stores what it has after five seconds at the
// latest.
const uploadSeconds = 10

// begin makes a video and sends it slowly. It returns when part of it is stored;
// what becomes of the upload comes through the channel.
func (d *demo) begin(title string) (client.Video, <-chan error, error) {
	kind, err := contentType(d.file)
	if err != nil {
		return client.Video{}, nil, err
	}
	v, err := d.gateway.Create(d.ctx, client.NewVideo{Title: title, Source: client.Source{
		Size: d.size, Filename: filepath.Base(d.path), ContentType: kind,
	}})
	if err != nil {
		return v, nil, err
	}
	if v.Upload == nil {
		return v, nil, errors.New("the gateway did not say where to send the video")
	}
	upload := &client.Upload{
		Client: d.gateway, URL: v.UploadURL(), File: d.file, Size: d.size, Rate: max(1, d.size/uploadSeconds), Patience: 2 * time.Minute,
	}
	uploaded := make(chan error, 1)
	go func() { uploaded <- upload.Run(d.ctx) }()
	return v, uploaded, d.partStored(v.ID, uploaded)
}

// partStored waits until a quarter of the upload is stored.
func (d *demo) partStored(id video.ID, uploaded <-chan error) error {
	for {
		v, err := d.gateway.Video(d.ctx, id)
		if err != nil {
			return err
		}
		if v.Upload != nil && v.Upload.Offset >= d.size/4 {
			return nil
		}
		select {
		case err := <-uploaded:
			return errors.Join(errors.New("the upload ended before its middle"), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// publish uploads with a pause in the middle and follows the video until it is public.
func (d *demo) publish() (client.Video, error) {
	stages := newStopwatch(d.shell, video.Uploading)
	v, uploaded, err := d.begin("A life")
	if err != nil {
		return v, err
	}
	fmt.Fprintf(d.out, "video %s, %s\n", v.ID, bytesOf(d.size))
	if err := d.pauseAndResume(v.ID); err != nil {
		return v, err
	}
	if err := <-uploaded; err != nil {
		return v, err
	}
	err = d.gateway.Follow(d.ctx, v.ID, func(now client.Video) error {
		v = now
		stages.at(now.Stage)
		ended, err := outcome(now)
		if ended && err == nil {
			return client.Done
		}
		return err
	})
	return v, err
}

const (
	pauseBound = time.Second     // within which a pause has taken hold
	pauseWatch = 2 * time.Second // how long nothing may arrive then
)

// pauseAndResume checks that a pause holds: not a byte arrives until resumed.
func (d *demo) pauseAndResume(id video.ID) error {
	asked := time.Now()
	paused, err := d.gateway.Command(d.ctx, id, video.Pause, video.CommandBody{})
	if err != nil {
		return err
	}
	took := time.Since(asked)
	if !paused.Paused || paused.Upload == nil {
		return errors.New("the video is not paused after its pause was answered")
	}
	at := paused.Upload.Offset
	select {
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-time.After(pauseWatch):
	}
	still, err := d.gateway.Video(d.ctx, id)
	switch {
	case err != nil:
		return err
	case !still.Paused || still.Upload == nil || still.Upload.Offset != at:
		return errors.New("bytes arrived while the video was paused")
	case took > pauseBound:
		return fmt.Errorf("the pause took %v to hold; %v is the promise", took, pauseBound)
	case at >= d.size:
		return errors.New("the pause came after the last byte")
	}
	fmt.Fprintf(d.out, "paused after %.0f ms at %s of %s; nothing arrived for %v; resuming\n",
		took.Seconds()*1000, bytesOf(at), bytesOf(d.size), pauseWatch)
	_, err = d.gateway.Command(d.ctx, id, video.Resume, video.CommandBody{})
	return err
}

// purgeTimeout is how long a purge of three healthy stores may take here.
const purgeTimeout = 2 * time.Minute

// delete checks that the video is hidden as soon as the deletion is answered, and
// follows it until it is erased.
func (d *demo) delete(id video.ID) error {
	stages := newStopwatch(d.shell, video.PendingDeletion)
	if err := d.gateway.Delete(d.ctx, id); err != nil {
		return err
	}
	stranger, err := client.New(d.stack.URLs[0], "dev:stranger")
	if err != nil {
		return err
	}
	if _, err := stranger.Video(d.ctx, id); err == nil {
		return errors.New("a stranger still sees the video after its deletion was answered")
	}
	if err := d.erased(id, stages); err != nil {
		return err
	}
	_, err = d.gateway.Video(d.ctx, id)
	if video.CodeOf(err) != video.Gone {
		return fmt.Errorf("the address of the erased video answers %v instead of gone", err)
	}
	return nil
}

// erased follows a video until it is gone and its receipt is there.
func (d *demo) erased(id video.ID, stages *stopwatch) error {
	ctx, cancel := context.WithTimeout(d.ctx, purgeTimeout)
	defer cancel()
	for {
		v, err := d.gateway.Video(ctx, id)
		if err == nil {
			stages.at(v.Stage)
		}
		if _, err := d.gateway.Receipt(ctx, id); err == nil {
			stages.at(video.Purged)
			return nil
		} else if video.CodeOf(err) != video.NotFound && video.CodeOf(err).Permanent() {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the video was not erased within %v", purgeTimeout)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// cancelHalfWay uploads again, cancels in the middle, and returns the id once
// everything is erased.
func (d *demo) cancelHalfWay() (video.ID, error) {
	stages := newStopwatch(d.shell, video.Uploading)
	v, uploaded, err := d.begin("A life cut short")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(d.out, "video %s, canceled half way\n", v.ID)
	if _, err := d.gateway.Command(d.ctx, v.ID, video.Cancel, video.CommandBody{}); err != nil {
		return "", err
	}
	if err := <-uploaded; video.CodeOf(err) != video.Gone {
		return "", fmt.Errorf("the canceled upload ended with %v instead of gone", err)
	}
	return v.ID, d.erased(v.ID, stages)
}

// receipt prints the receipt in one line and checks it.
func (d *demo) receipt(id video.ID) error {
	raw, err := d.gateway.Receipt(d.ctx, id)
	if err != nil {
		return err
	}
	receipt, err := checkReceipt(raw, id)
	if err != nil {
		return err
	}
	if len(receipt.Stores) != len(d.stack.Stores) {
		return fmt.Errorf("the receipt names %d stores of %d", len(receipt.Stores), len(d.stack.Stores))
	}
	line, err := json.Marshal(json.RawMessage(raw)) // compacts it
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "receipt %s\n", line)
	return nil
}
