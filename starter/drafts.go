package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

type draftsCommand struct {
	clientOnly `kong:"-"`
	JSON       bool `name:"json" help:"One JSON document a line."`
}

// Run lists each draft with how much of it is there and until when it is kept.
func (c *draftsCommand) Run(s *shell) error {
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	err = each(s, gateway, string(video.Draft), 0, func(v client.Video) {
		if c.JSON {
			fmt.Fprintf(s.out, "%s\n", v.Raw)
			return
		}
		fmt.Fprintf(table, "%s\t%s\tkept%s\t%s\n", v.ID, stored(v), until(v.PurgeAt), v.Title)
	})
	if err != nil {
		return err
	}
	return table.Flush()
}
