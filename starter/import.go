package main

import (
	"fmt"
	"net/url"

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
	if u, err := url.Parse(c.Address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return wrongUse{c.Address + " can't be fetched: an address begins with https:// or http://, and a host"}
	}
	made, err := c.newVideo(client.Source{URL: c.Address})
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
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
