package main

import (
	"fmt"

	"github.com/reelflow/reelflow/video"
)

type resumeCommand struct {
	target `embed:""`
}

// Run lets a video go on. Bytes that are still to be sent are sent by whoever has
// the file: that may be an upload that waits elsewhere.
func (c *resumeCommand) Run(s *shell) error {
	v, err := c.ask(s, video.Resume, video.CommandBody{})
	if err == nil && goesOn(v) {
		fmt.Fprintf(s.err, "To send the rest, where nothing does so already:  starter upload FILE --video %s\n", v.ID)
	}
	return err
}
