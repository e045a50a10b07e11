package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// about is what an author says of a video.
type about struct {
	Title         string        `help:"Title."`
	Caption       string        `help:"Caption."`
	Hashtags      []string      `help:"Hashtags, comma separated."`
	Music         string        `help:"Music."`
	Visibility    string        `help:"Who may see it: public, unlisted or private."`
	PublishAt     string        `name:"publish-at" placeholder:"TIME" help:"Publish at this time (RFC 3339, such as 2030-01-31T18:00:00Z)."`
	Delay         time.Duration `help:"Least time between upload and publication."`
	Review        bool          `help:"Publish only what reviewers have approved."`
	Reviewers     []string      `help:"Names of the reviewers."`
	KeepDraft     bool          `name:"keep-draft" help:"Keep the video as a draft when it is canceled."`
	AllowDownload bool          `name:"allow-download" help:"Let people download it."`
}

// newVideo fails with wrongUse for what can be seen to be wrong before anything is sent.
func (a about) newVideo(source client.Source) (client.NewVideo, error) {
	n := client.NewVideo{
		Title: a.Title, Caption: a.Caption, Hashtags: a.Hashtags, Music: a.Music, Visibility: a.Visibility,
		Review: a.Review, Reviewers: a.Reviewers, KeepDraft: a.KeepDraft, AllowDownload: a.AllowDownload,
		Source: source,
	}
	visibilities := []string{string(video.Public), string(video.Unlisted), string(video.Private)}
	if a.Visibility != "" && !slices.Contains(visibilities, a.Visibility) {
		return n, wrongUse{fmt.Sprintf("--visibility: %q is not one of %s", a.Visibility, strings.Join(visibilities, ", "))}
	}
	if a.Delay < 0 {
		return n, wrongUse{"--delay: it can't be less than nothing"}
	}
	if a.PublishAt != "" {
		at, err := time.Parse(time.RFC3339, a.PublishAt)
		if err != nil {
			return n, wrongUse{"--publish-at: write a time such as 2030-01-31T18:00:00Z"}
		}
		n.PublishAt = &at
	}
	if a.Delay > 0 {
		n.PublishDelay = a.Delay.String()
	}
	return n, nil
}
