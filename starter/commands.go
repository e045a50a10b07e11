package main

import (
	"fmt"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// target is the video that a command is about.
type target struct {
	clientOnly `kong:"-"`
	ID         string `arg:"" name:"id" help:"Id of the video."`
}

func (t target) id() (video.ID, error) { return video.ParseID(t.ID) }

// command sends a command and prints what the video is then.
func (t target) command(s *shell, command video.Command, request video.CommandBody) error {
	_, err := t.ask(s, command, request)
	return err
}

// ask is command for those who have more to say of the video.
func (t target) ask(s *shell, command video.Command, request video.CommandBody) (v client.Video, err error) {
	id, err := t.id()
	if err != nil {
		return v, err
	}
	gateway, err := s.gateway()
	if err != nil {
		return v, err
	}
	if v, err = gateway.Command(s.ctx, id, command, request); err == nil {
		fmt.Fprintln(s.out, v.ID, stageOf(v))
	}
	return v, err
}

// stageOf is where a video stands, in words. One that was ended on its way is
// still in the stage that it leaves for a moment.
func stageOf(v client.Video) string {
	text := string(v.Stage)
	switch {
	case v.Paused:
		text += ", paused"
	case v.Ends() != "" && v.Stage.OnTheWay():
		text = string(v.Ends())
	case v.Stage == video.Uploading && v.Upload != nil && v.Upload.Stalled:
		text += ", stalled"
	}
	if v.Held {
		text += ", under legal hold"
	}
	return text
}
