package main

import (
	"encoding/json"
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

// Run answers whether the video is still on the server. Of one that was erased it
// shows the receipt, and fails: there is no such video any more.
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
	if video.CodeOf(err) == video.Gone {
		return errors.Join(err, c.erased(s, gateway, id))
	}
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

// erased prints what is left of a video: its receipt, once that is closed.
func (c *statusCommand) erased(s *shell, gateway *client.Client, id video.ID) error {
	raw, err := gateway.Receipt(s.ctx, id)
	if video.CodeOf(err) == video.NotFound {
		return nil // the stores are still being emptied
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{"id": id, "stage": video.Purged, "receipt": json.RawMessage(raw)})
	}
	receipt, err := readReceipt(raw)
	if err != nil {
		return err
	}
	fmt.Fprint(s.out, describeErased(id, receipt))
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
