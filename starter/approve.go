package main

import "github.com/reelflow/reelflow/video"

type approveCommand struct {
	target `embed:""`
}

func (c *approveCommand) Run(s *shell) error {
	return c.command(s, video.Approve, video.CommandBody{})
}
