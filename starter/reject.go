package main

import "github.com/reelflow/reelflow/video"

type rejectCommand struct {
	target `embed:""`
}

func (c *rejectCommand) Run(s *shell) error {
	return c.command(s, video.Reject, video.CommandRequest{})
}
