package main

import "github.com/reelflow/reelflow/video"

type releaseCommand struct {
	target `embed:""`
}

func (c *releaseCommand) Run(s *shell) error {
	return c.command(s, video.Release, video.CommandBody{})
}
