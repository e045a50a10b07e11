package main

import "github.com/reelflow/reelflow/video"

type resumeCommand struct {
	target `embed:""`
}

func (c *resumeCommand) Run(s *shell) error {
	return c.command(s, video.Resume, video.CommandRequest{})
}
