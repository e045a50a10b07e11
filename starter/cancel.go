package main

import "github.com/reelflow/reelflow/video"

type cancelCommand struct {
	target    `embed:""`
	KeepDraft bool `name:"keep-draft" help:"Keep the video as a draft, to be taken up again with resume."`
}

func (c *cancelCommand) Run(s *shell) error {
	return c.command(s, video.Cancel, video.CommandRequest{KeepDraft: c.KeepDraft})
}
