package video

import "slices"

// Stage is where a video stands in its life. Being paused is a flag beside the
// stage, not a stage.
type Stage string

// The stages, in the order of a life that goes well, then those on the way out.
const (
	Uploading       Stage = "uploading"        // bytes are arriving
	Processing      Stage = "processing"       // probed, encoded and packaged
	Reviewing       Stage = "reviewing"        // waits for people
	Scheduled       Stage = "scheduled"        // waits for its time
	Publishing      Stage = "publishing"       // copied to the backup replicas
	Published       Stage = "published"        // visible
	PendingDeletion Stage = "pending_deletion" // hidden; the grace runs
	Purging         Stage = "purging"          // the key is being destroyed or is gone; bytes are being erased
	Purged          Stage = "purged"           // nothing is left but the receipt
	Draft           Stage = "draft"            // canceled, but kept to be taken up again
	Canceled        Stage = "canceled"         // canceled; its operator grace runs
	Rejected        Stage = "rejected"         // refused and hidden; bytes and key are kept for a time
)

// Stages lists every stage.
var Stages = []Stage{
	Uploading, Processing, Reviewing, Scheduled, Publishing, Published,
	PendingDeletion, Purging, Purged, Draft, Canceled, Rejected,
}

// BeforePublication lists the stages in which a video is on its way to be published.
var BeforePublication = []Stage{Uploading, Processing, Reviewing, Scheduled, Publishing}

// OnTheWay reports whether the video has yet to be published and nothing has stopped it for good.
func (s Stage) OnTheWay() bool { return slices.Contains(BeforePublication, s) }

// Ending is why a life ends; empty while it goes on.
type Ending string

// The reasons for which a video leaves, all of them through the same purge.
const (
	ByDeletion     Ending = "deleted"
	ByCancellation Ending = "canceled"
	ByRejection    Ending = "rejected"
	ByExpiry       Ending = "expired"
)
