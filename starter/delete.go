package main

import "fmt"

type deleteCommand struct {
	target `embed:""`
}

// Run ends when the video is hidden; its purge goes on without us.
func (c *deleteCommand) Run(s *shell) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	if err := gateway.Delete(s.ctx, id); err != nil {
		return err
	}
	fmt.Fprintln(s.out, id, "hidden")
	return nil
}
