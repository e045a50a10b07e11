package main

import "github.com/reelflow/reelflow/video"

type holdCommand struct {
	target `embed:""`
}

func (c *holdCommand) Run(s *shell) error {
	return c.command(s, video.Hold, video.CommandBody{})
}
