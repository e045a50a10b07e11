package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

type statusCommand struct {
	target `embed:""`
	Watch  bool `help:"Show each change until the video is gone or you interrupt."`
	JSON   bool `name:"json" help:"The whole document as JSON; with --watch one a line."`
}

func (c *statusCommand) Run(s *shell) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(s, gateway, id)
	}
	v, err := gateway.Video(s.ctx, id)
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprint(s.out, describe(v))
		return nil
	}
	text, err := indented(v.Raw)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, text)
	return nil
}

// watch ends well when the video is gone: that is the end of its story.
func (c *statusCommand) watch(s *shell, gateway *client.Client, id video.ID) error {
	last, seen := "", false
	err := gateway.Follow(s.ctx, id, func(v client.Video) error {
		seen = true
		if c.JSON {
			fmt.Fprintf(s.out, "%s\n", v.Raw)
			return nil
		}
		if line := strings.TrimSpace(stageOf(v) + " " + progressOf(v)); line != last {
			fmt.Fprintln(s.out, time.Now().Format(time.TimeOnly), line)
			last = line
		}
		return nil
	})
	switch {
	case seen && video.CodeOf(err) == video.Gone:
		if !c.JSON {
			fmt.Fprintln(s.out, time.Now().Format(time.TimeOnly), "gone")
		}
		return nil
	case errors.Is(err, s.ctx.Err()):
		return nil // the watcher has seen enough
	}
	return err
}

// describe is a video for people, a line each thing there is to say.
func describe(v client.Video) string {
	var b strings.Builder
	line := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, value)
		}
	}
	line("id", string(v.ID))
	line("title", v.Title)
	line("stage", stageOf(v)+" "+progressOf(v))
	line("ending", string(v.Ending))
	line("waits for", v.WaitingFor)
	line("publishes", moment(v.PublishAt))
	line("purged", moment(v.PurgeAt))
	if v.Upload != nil && v.Upload.Stalled && v.Upload.URL != "" {
		line("upload", "stalled; send the rest with: starter upload FILE")
	}
	if v.Failure != nil {
		line("refused", v.Failure.Message)
	}
	for _, warning := range v.Warnings {
		line("warning", warning)
	}
	for _, r := range v.Replicas {
		line("store", fmt.Sprintf("%s: %s, %d objects, %s", r.Store, r.State, r.Objects, bytesOf(r.Bytes)))
	}
	var can []string
	for _, action := range v.Actions {
		can = append(can, string(action))
	}
	line("you can", strings.Join(can, ", "))
	line("watch", v.Links.Watch)
	return b.String()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.RFC1123)
}
