package main

import "github.com/reelflow/reelflow/video"

type rejectCommand struct {
	target  `embed:""`
	Comment string `help:"Why, for the author to read."`
}

func (c *rejectCommand) Run(s *shell) error {
	return c.command(s, video.Reject, video.CommandBody{Comment: c.Comment})
}
