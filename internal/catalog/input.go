package catalog

import "github.com/reelflow/reelflow/video"

// Input is what the workflow of the video is started with, made of what is durable:
// the row, the stores of the settings, and their policy.
func (v Video) Input(primary string, backups []string, p video.Policy) video.LifecycleInput {
	if v.PublishDelay != nil {
		p.PublishDelay = *v.PublishDelay
	}
	return video.LifecycleInput{
		ID: v.ID, Owner: v.Owner, Primary: primary, Backups: backups, Policy: p,
		Review: v.Review, PublishAt: v.PublishAt, KeepDraft: v.KeepDraft, Import: v.Import,
	}
}
