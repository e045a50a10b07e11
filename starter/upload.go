package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

type uploadCommand struct {
	clientOnly `kong:"-"`
	File       string `arg:"" help:"The video."`
	about      `embed:""`
	Video      string `placeholder:"ID" help:"Go on with this upload or draft, wherever it was begun."`
	Rate       int64  `placeholder:"BYTES" help:"Send at most so many bytes a second."`
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
	if _, err := c.newVideo(client.Source{}); err != nil {
		return err // before anything is sent
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	content, err := identify(file, info)
	if err != nil {
		return err
	}
	unfinished := unfinishedUpload(s, content)
	v, err := c.begin(s, gateway, unfinished, content)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.ID)
	show := newDisplay(s)
	defer show.Close()
	if goesOn(v) {
		sender := newSender(s, gateway, v, content, show)
		sender.upload.Rate = c.Rate
		if err := sender.run(); err != nil {
			show.Close()
			return c.stopped(s, gateway, unfinished, v.ID, err)
		}
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
	default:
		return file, info, nil
	}
	return nil, nil, errors.Join(err, file.Close())
}

// begin takes up the upload that is named, or that of these bytes which was
// interrupted, if the gateway still has it; else it makes a new video. An upload that
// was complete when its command was killed is only followed.
func (c *uploadCommand) begin(s *shell, gateway *client.Client, u unfinished, file *content) (v client.Video, err error) {
	if c.Video != "" {
		return c.named(s, gateway, u, file)
	}
	if id, ok := u.recall(); ok {
		v, err := gateway.Video(s.ctx, id)
		switch {
		case err == nil && (goesOn(v) || v.Ends() == "" && (v.Stage.OnTheWay() || v.Stage == video.Published)):
			return c.takeUp(s, gateway, v, file)
		case err != nil && !video.CodeOf(err).Permanent():
			return v, err
		}
	}
	source, err := announced(file)
	if err != nil {
		return v, err
	}
	made, err := c.newVideo(source)
	if err != nil {
		return v, err
	}
	v, err = gateway.Create(s.ctx, made)
	if err != nil {
		return v, err
	}
	if v.Upload == nil {
		return v, errors.New("the gateway did not say where to send the video")
	}
	return v, u.remember(v.ID)
}

// named takes up the upload of --video, which another machine or the page may
// have begun.
func (c *uploadCommand) named(s *shell, gateway *client.Client, u unfinished, file *content) (v client.Video, err error) {
	id, err := video.ParseID(c.Video)
	if err != nil {
		return v, err
	}
	if v, err = gateway.Video(s.ctx, id); err != nil {
		return v, err
	}
	if _, err := outcome(v); err != nil && v.Stage != video.Draft {
		return v, err
	}
	if v.UploadURL() == "" {
		return v, video.Errorf(video.Conflict, "%s takes no upload: the gateway fetches it itself, or everything was sent long ago.", id)
	}
	if v, err = c.takeUp(s, gateway, v, file); err != nil {
		return v, err
	}
	return v, u.remember(id)
}

// takeUp goes on with an upload where it stood, which for a draft begins with a
// resume. It refuses a file that can't be the one that was begun.
func (c *uploadCommand) takeUp(s *shell, gateway *client.Client, v client.Video, file *content) (client.Video, error) {
	if length := lengthOf(v); length != nil && *length != file.size {
		return v, video.Errorf(video.Conflict, "%s is another file: it has %d bytes, and the one that was begun as %s has %d. Nothing was sent.",
			c.File, file.size, v.ID, *length)
	}
	what := "going on with the upload that was interrupted"
	switch {
	case v.Stage == video.Draft:
		resumed, err := gateway.Command(s.ctx, v.ID, video.Resume, video.CommandBody{})
		if err != nil {
			return v, err
		}
		what, v = "taking up the draft", resumed
	case !goesOn(v):
		what = "nothing is left to be sent"
	}
	if there := stored(v); there != "" {
		what += ", " + there
	}
	fmt.Fprintf(s.err, "%s; what was said of the video then still holds\n", what)
	return v, nil
}

// lengthOf is how long the upload is, as far as anybody has said.
func lengthOf(v client.Video) *int64 {
	if v.Upload == nil {
		return nil
	}
	return v.Upload.Length
}

// goesOn reports whether bytes of the video can still be sent; of a draft once it
// is resumed.
func goesOn(v client.Video) bool {
	u := v.Upload
	return (v.Stage == video.Uploading && v.Ends() == "" || v.Stage == video.Draft) &&
		v.UploadURL() != "" && (u.Length == nil || u.Offset < *u.Length)
}

// stopped says how to go on, where one can, and until when.
func (c *uploadCommand) stopped(s *shell, gateway *client.Client, u unfinished, id video.ID, err error) error {
	if errors.Is(err, errChanged) {
		fmt.Fprintf(s.err, "starter: %s\nRun it again once nothing writes to the file: that makes a new video.\nTo drop what was sent:  starter cancel %s\n",
			explain(s.ctx, err), id)
		return said{err}
	}
	interrupted := s.ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 3*time.Second)
	defer cancel()
	v, lookErr := gateway.Video(ctx, id)
	switch {
	case !interrupted && video.CodeOf(err).Permanent() && lookErr != nil && video.CodeOf(lookErr).Permanent():
		return errors.Join(err, u.forget())
	case !interrupted && video.CodeOf(err).Permanent() && lookErr == nil && !goesOn(v):
		return err // remembered: it may be restored
	case interrupted:
		err = errors.New("interrupted")
	}
	kept := "What was sent is kept"
	if lookErr == nil && v.Stage == video.Draft {
		kept = "It is kept as a draft" + until(v.PurgeAt)
	} else if lookErr == nil && v.Upload != nil {
		kept += until(v.Upload.ExpiresAt)
	}
	fmt.Fprintf(s.err, "starter: %s\n%s.\n", explain(s.ctx, err), kept)
	fmt.Fprintf(s.err, "To go on, run again:  starter upload %q\n", c.File)
	fmt.Fprintf(s.err, "From elsewhere:       starter upload FILE --video %s\nTo drop it:           starter cancel %s\n", id, id)
	return said{err}
}
