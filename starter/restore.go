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
	id, err := c.id()
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	v, err := gateway.Command(s.ctx, id, video.Restore, video.CommandRequest{})
	switch video.CodeOf(err) {
	case video.Gone, video.Conflict:
		return fmt.Errorf("no, it can't be brought back. %s", explain(s.ctx, err))
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.ID, stageOf(v))
	fmt.Fprintln(s.out, "yes, it is back")
	return nil
}
