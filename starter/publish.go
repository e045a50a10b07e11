package main

import "github.com/reelflow/reelflow/video"

type publishCommand struct {
	target `embed:""`
}

func (c *publishCommand) Run(s *shell) error {
	return c.command(s, video.Publish, video.CommandBody{})
}
