package main

import (
	"fmt"

	"github.com/reelflow/reelflow/internal/client"
)

type importCommand struct {
	clientOnly `kong:"-"`
	Address    string `arg:"" name:"url" help:"Address of the video."`
	about      `embed:""`
}

// Run prints the id first and follows the video to where upload ends. A worker
// fetches it: interrupted, this command leaves that to go on.
func (c *importCommand) Run(s *shell) error {
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	made, err := c.newVideo(client.Source{URL: c.Address})
	if err != nil {
		return err
	}
	v, err := gateway.Create(s.ctx, made)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.ID)
	show := newDisplay(s)
	defer show.Close()
	return follow(s, gateway, v.ID, show, "The import")
}
