package video

import "slices"

// Visibility says who sees a video once it is published.
type Visibility string

// The visibilities. An unlisted video is seen by whoever has its link.
const (
	Public   Visibility = "public"
	Unlisted Visibility = "unlisted"
	Private  Visibility = "private"
)

// Facts are all that decides who sees a video and who watches it.
type Facts struct {
	State
	Visibility Visibility // of a published one
	Roles      []Role     // what the one who asks is to it
	Decided    bool       // as a reviewer they have approved or rejected it
	Interacted bool       // they liked, commented or shared it before the deletion, and have not taken it back
}

// Access is what somebody may do with a video: nil, or why not, as an Error for them.
type Access struct {
	Sees    error // NotFound or Gone
	Watches error // the same, or Conflict before it can be watched
}

var (
	noSuchVideo  = Errorf(NotFound, "There is no such video.")
	videoDeleted = Errorf(Gone, "This video was deleted.")
	notYet       = Errorf(Conflict, "The video can't be watched yet: it has to be uploaded and processed first.")
	noMore       = Errorf(Gone, "The video can't be watched any more.")
)

// Access is the one place that decides who sees a video and who watches it: routes,
// pages, lists and tokens all ask it. An ending counts from the moment it is asked
// for, before any stage has changed.
func (f Facts) Access() Access {
	sees := f.sees()
	if sees != nil {
		return Access{sees, sees}
	}
	return Access{nil, f.watches()}
}

func (f Facts) is(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(f.Roles, r) })
}

// Insider reports whether they see more of the video than the public does.
func (f Facts) Insider() bool { return f.is(Owner, Operator) }

func (f Facts) sees() error {
	switch {
	case f.Stage == Purged:
		return videoDeleted
	case f.Insider():
		return nil
	case f.Stage == Purging:
		return videoDeleted
	case f.reviews(), f.remembers():
		return nil
	case f.Stage != Published || f.Ending != "" || f.Visibility == Private:
		return noSuchVideo
	}
	return nil
}

// Captions says why somebody may not change the captions: nil, what Sees says, Forbidden
// where it isn't theirs, or Conflict and Gone where the video takes none now. It takes them from
// its first byte on, before and after publication, also while it is paused.
func (f Facts) Captions() error {
	if err := f.sees(); err != nil {
		return err
	}
	switch {
	case !f.Insider():
		return Errorf(Forbidden, "Only its author may change the captions of a video.")
	case f.Stage == Canceled, f.Stage == Rejected:
		return Errorf(Conflict, "The video takes no captions now: it is %s.", f.Stage)
	case f.Ending != "", f.Stage == PendingDeletion, f.Stage == Purging:
		return videoDeleted
	case f.Stage == Draft:
		return Errorf(Conflict, "The video is a draft; resume it first.")
	case f.Held:
		return Errorf(Conflict, "The video is under a legal hold: its captions stay as they are.")
	}
	return nil
}

// reviews is for reviewers: while it waits for them, and for the one who has decided
// until it is published or over.
func (f Facts) reviews() bool {
	if !f.is(Reviewer) || f.Ending == ByDeletion {
		return false
	}
	switch f.Stage {
	case Reviewing:
		return true
	case Scheduled, Publishing, Rejected:
		return f.Decided
	}
	return false
}

// remembers is for those who had interacted with a published video that was deleted.
func (f Facts) remembers() bool {
	return f.Interacted && f.Visibility != Private && f.Stage == PendingDeletion
}

// watches is asked for those who see it. Owner, operators and reviewers watch it before
// it is published, once it is packaged; a reviewer no longer than the review lasts.
func (f Facts) watches() error {
	if f.remembers() && !f.Insider() {
		return nil
	}
	if f.Stage == Rejected || f.Stage == Canceled {
		return noMore
	}
	if f.Ending != "" {
		return videoDeleted
	}
	switch f.Stage {
	case Published, Reviewing:
		return nil
	case Scheduled, Publishing:
		if f.Insider() {
			return nil
		}
		return noMore
	case PendingDeletion, Purging:
		return videoDeleted
	}
	return notYet
}
