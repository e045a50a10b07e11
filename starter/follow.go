package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// follow shows the video on its way and ends where nothing is left to be done by
// its author; with an error where that is not what they wanted. Interrupted, it
// says what goes on.
func follow(s *shell, gateway *client.Client, id video.ID, show display, what string) error {
	var end error
	err := gateway.Follow(s.ctx, id, func(v client.Video) error {
		show.Video(v)
		var ended bool
		if ended, end = outcome(v); ended {
			return client.Done
		}
		return nil
	})
	show.Close()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(s.err, "%s goes on without you.\nTo see it:   starter status %s --watch\nTo stop it:  starter cancel %s\n", what, id, id)
		return said{err}
	case err != nil:
		return err
	}
	return end
}

// outcome reports whether the story of an upload has come to its end.
func outcome(v client.Video) (ended bool, err error) {
	switch v.Stage {
	case video.Published, video.Reviewing, video.Scheduled:
		return true, nil
	case video.Rejected:
		if v.Failure != nil {
			why := v.Failure.Message
			if v.Failure.Comment != "" {
				why += " The reviewer says: " + v.Failure.Comment
			}
			return true, fmt.Errorf("the video was refused: %s", why)
		}
		return true, errors.New("the video was refused")
	case video.Draft:
		return true, fmt.Errorf("the video was canceled and kept as a draft%s; to go on:  starter resume %s", until(v.PurgeAt), v.ID)
	case video.Canceled, video.PendingDeletion, video.Purging, video.Purged:
		return true, fmt.Errorf("the video is gone: %s", v.Ends())
	}
	return false, nil
}
