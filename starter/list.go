package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/reelflow/reelflow/internal/client"
)

type listCommand struct {
	Stage string `help:"Only videos in this stage."`
	JSON  bool   `name:"json" help:"One JSON document a line."`
	Limit int    `default:"100" help:"At most so many; 0 for all."`
}

func (c *listCommand) Run(s *shell) error {
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	shown, cursor := 0, ""
	for {
		page, next, err := gateway.Videos(s.ctx, c.Stage, cursor)
		if err != nil {
			return err
		}
		for _, v := range page {
			if c.Limit > 0 && shown == c.Limit {
				return table.Flush()
			}
			shown++
			c.row(s, table, v)
		}
		if cursor = next; cursor == "" {
			return table.Flush()
		}
	}
}

func (c *listCommand) row(s *shell, table *tabwriter.Writer, v client.Video) {
	if c.JSON {
		fmt.Fprintf(s.out, "%s\n", v.Raw)
		return
	}
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.ID, v.CreatedAt.Local().Format(time.DateTime), stageOf(v), progressOf(v), v.Title)
}

func indented(raw []byte) (string, error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return "", err
	}
	out, err := json.MarshalIndent(document, "", "  ")
	return string(out), err
}
