package main

import (
	"fmt"

	"github.com/reelflow/reelflow/video"
)

type restoreCommand struct {
	target `embed:""`
}

// Run answers with a plain yes or no: a canceled video comes back as it stood, or
// it can't and nothing has changed.
func (c *restoreCommand) Run(s *shell) error {
	_, err := c.ask(s, video.Restore, video.CommandBody{})
	switch code := video.CodeOf(err); {
	case err == nil:
		fmt.Fprintln(s.out, "yes, it is back")
	case code == video.Gone, code == video.Conflict:
		return fmt.Errorf("no, it can't be brought back. %s", explain(s.ctx, err))
	}
	return err
}
