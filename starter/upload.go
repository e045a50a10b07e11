package main

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

type uploadCommand struct {
	File  string `arg:"" help:"The video."`
	about `embed:""`
	Rate  int64 `placeholder:"BYTES" help:"Send at most so many bytes a second."`
}

// Run prints the id first and ends where the author has nothing left to do:
// published, in review or scheduled. Interrupted, or cut off for good, it leaves
// an upload that the same command goes on with.
func (c *uploadCommand) Run(s *shell) error {
	file, info, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer file.Close() // only read
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	unfinished := unfinishedUpload(s, c.File, info)
	v, again, err := c.begin(s, gateway, unfinished, file, info)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.ID)
	if again {
		fmt.Fprintln(s.err, "going on with the upload that was interrupted; what was said of the video then still holds")
	}
	show := newDisplay(s)
	defer show.Close()
	upload := &client.Upload{
		Client: gateway, URL: v.Upload.URL, File: file, Size: info.Size(), Rate: c.Rate,
		Sent:   func(offset int64) { show.Progress(video.Uploading, offset, info.Size(), "bytes") },
		Paused: func(is bool) { show.Paused(video.Uploading, is) },
	}
	if err := upload.Run(s.ctx); err != nil {
		show.Close()
		return c.stopped(s, unfinished, v.ID, err)
	}
	if err := unfinished.forget(); err != nil {
		return err
	}
	return follow(s, gateway, v.ID, show, "The upload is complete; its processing")
}

func openFile(path string) (*os.File, os.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, wrongUse{err.Error()}
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = wrongUse{path + " is not a file"}
	case info.Size() == 0:
		err = wrongUse{path + " is empty"}
	default:
		return file, info, nil
	}
	return nil, nil, errors.Join(err, file.Close())
}

// begin takes up the upload of this file that was interrupted, if the gateway
// still has it, or makes a new video.
func (c *uploadCommand) begin(s *shell, gateway *client.Client, u unfinished, file *os.File, info os.FileInfo) (v client.Video, again bool, err error) {
	if id, ok := u.recall(); ok {
		v, err := gateway.Video(s.ctx, id)
		switch {
		case err == nil && v.Stage == video.Uploading && v.Upload != nil:
			return v, true, nil
		case err != nil && !video.CodeOf(err).Permanent():
			return v, false, err
		}
	}
	kind, err := contentType(file)
	if err != nil {
		return v, false, err
	}
	made, err := c.newVideo(client.Source{Size: info.Size(), Filename: filepath.Base(c.File), ContentType: kind})
	if err != nil {
		return v, false, err
	}
	v, err = gateway.Create(s.ctx, made)
	if err != nil {
		return v, false, err
	}
	if v.Upload == nil {
		return v, false, errors.New("the gateway did not say where to send the video")
	}
	return v, false, u.remember(v.ID)
}

// contentType goes by the name, else by the first bytes.
func contentType(file *os.File) (string, error) {
	if kind := mime.TypeByExtension(filepath.Ext(file.Name())); kind != "" {
		return kind, nil
	}
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	if n == 0 {
		return "", err
	}
	return http.DetectContentType(head[:n]), nil
}

// stopped says how to go on, where one can.
func (c *uploadCommand) stopped(s *shell, u unfinished, id video.ID, err error) error {
	if s.ctx.Err() == nil && video.CodeOf(err).Permanent() {
		return errors.Join(err, u.forget())
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(s.err, "starter: %s\n", explain(s.ctx, err))
	fmt.Fprintf(s.err, "What was sent is kept. To go on, run again:  starter upload %q\nTo drop it:  starter cancel %s\n", c.File, id)
	return said{err}
}

// follow shows the video on its way and ends where nothing is left to be done by
// its author; with an error where that is not what they wanted. Interrupted, it
// says what goes on.
func follow(s *shell, gateway *client.Client, id video.ID, show display, what string) error {
	var end error
	err := gateway.Follow(s.ctx, id, func(v client.Video) error {
		show.Video(v)
		var ended bool
		if ended, end = outcome(v); ended {
			return client.Done
		}
		return nil
	})
	show.Close()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(s.err, "%s goes on without you. To see it:  starter status %s --watch\n", what, id)
		return said{err}
	case err != nil:
		return err
	}
	return end
}

// outcome reports whether the story of an upload has come to its end.
func outcome(v client.Video) (ended bool, err error) {
	switch v.Stage {
	case video.Published, video.Reviewing, video.Scheduled:
		return true, nil
	case video.Rejected:
		if v.Failure != nil {
			return true, fmt.Errorf("the video was refused: %s", v.Failure.Message)
		}
		return true, errors.New("the video was refused")
	case video.Draft:
		return true, fmt.Errorf("the video was canceled and kept as a draft; to go on:  starter resume %s", v.ID)
	case video.Canceled, video.PendingDeletion, video.Purging, video.Purged:
		return true, fmt.Errorf("the video is gone: %s", v.Ending)
	}
	return false, nil
}
