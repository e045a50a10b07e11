package main

import (
	"fmt"

	"github.com/reelflow/reelflow/video"
)

type cancelCommand struct {
	target    `embed:""`
	KeepDraft bool `name:"keep-draft" help:"Keep the video as a draft, to be taken up again with resume."`
}

func (c *cancelCommand) Run(s *shell) error {
	v, err := c.ask(s, video.Cancel, video.CommandBody{KeepDraft: c.KeepDraft})
	switch {
	case err != nil:
		return err
	case v.Ends() == "" && v.Stage.OnTheWay():
		fmt.Fprintf(s.err, "The cancel is on record, and no more bytes are taken. It takes hold as soon as the video's workflow can answer:  starter status %s\n", v.ID)
	case v.Stage == video.Draft:
		fmt.Fprintf(s.err, "To take it up:      starter resume %s\nTo throw it away:   starter cancel %s\nHow long it keeps:  starter drafts\n", v.ID, v.ID)
	case v.Stage == video.Canceled:
		fmt.Fprintf(s.err, "Until its grace is over, support can bring it back. When that is:  starter status %s\n", v.ID)
	}
	return nil
}
