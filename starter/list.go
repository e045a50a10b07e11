package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

type listCommand struct {
	clientOnly `kong:"-"`
	Stage      string `help:"Only videos in this stage."`
	JSON       bool   `name:"json" help:"One JSON document a line."`
	Limit      int    `default:"100" help:"At most so many; 0 for all."`
}

func (c *listCommand) Run(s *shell) error {
	if stages := listedStages(); c.Stage != "" && !slices.Contains(stages, c.Stage) {
		return wrongUse{fmt.Sprintf("--stage: %q is no stage; there are %s", c.Stage, strings.Join(stages, ", "))}
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	err = each(s, gateway, c.Stage, c.Limit, func(v client.Video) {
		if c.JSON {
			fmt.Fprintf(s.out, "%s\n", v.Raw)
			return
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.ID, created(v), stageOf(v), progressOf(v), v.Title)
	})
	if err != nil {
		return err
	}
	return table.Flush()
}

// listedStages are the stages of videos that are there.
func listedStages() (names []string) {
	for _, stage := range video.Stages {
		if stage != video.Purged {
			names = append(names, string(stage))
		}
	}
	return names
}

// each shows the caller's own videos, newest first; all of them where limit is 0,
// and those of every stage where stage is empty.
func each(s *shell, gateway *client.Client, stage string, limit int, show func(client.Video)) error {
	for shown, cursor := 0, ""; ; {
		page, next, err := gateway.Videos(s.ctx, stage, cursor)
		if err != nil {
			return err
		}
		for _, v := range page {
			if limit > 0 && shown == limit {
				return nil
			}
			shown++
			show(v)
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

// created is when the video was made.
func created(v client.Video) string {
	if v.CreatedAt == nil {
		return ""
	}
	return v.CreatedAt.Local().Format(time.DateTime)
}

func indented(raw []byte) (string, error) {
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		return "", err
	}
	out, err := json.MarshalIndent(document, "", "  ")
	return string(out), err
}
