package activities

import "context"

// checkInstallation fails with Unavailable unless catalog, vault, stores and Temporal
// belong together. It comes first in whatever erases: what a wrong database or an empty
// Temporal says must not cost a video.
func (a *Activities) checkInstallation(ctx context.Context) error {
	if a.Identity == nil {
		return nil
	}
	return a.Identity.Check(ctx)
}
