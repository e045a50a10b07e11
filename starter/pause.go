package main

import "github.com/reelflow/reelflow/video"

type pauseCommand struct {
	target `embed:""`
}

func (c *pauseCommand) Run(s *shell) error { return c.command(s, video.Pause, video.CommandBody{}) }
