package main

import (
	"fmt"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// target is the video that a command is about.
type target struct {
	ID string `arg:"" name:"id" help:"Id of the video."`
}

func (t target) id() (video.ID, error) { return video.ParseID(t.ID) }

// command sends a command and prints what the video is then.
func (t target) command(s *shell, command video.Command, request video.CommandRequest) error {
	id, err := t.id()
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	v, err := gateway.Command(s.ctx, id, command, request)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.ID, stageOf(v))
	return nil
}

// stageOf is where a video stands, in words. One that was ended on its way is
// still in the stage that it leaves for a moment.
func stageOf(v client.Video) string {
	switch {
	case v.Paused:
		return string(v.Stage) + ", paused"
	case v.Ending != "" && v.Stage.OnTheWay():
		return string(v.Ending)
	}
	return string(v.Stage)
}
