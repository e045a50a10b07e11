package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/reelflow/reelflow/video"
)

// Mismatch says that places don't belong together, or that one of them can't be told
// to. Its text is for an operator: it names both sides, and what to do.
type Mismatch struct{ text string }

// Error implements error.
func (m *Mismatch) Error() string { return m.text }

// refuse is what those are told who were about to use a place: not permanent, because
// another process, or this one after it was started again, may do it.
func (m *Mismatch) refuse() error {
	return video.Errorf(video.Unavailable, "This server is not set up rightly, and stops.").Because(m)
}

func isMismatch(err error) bool {
	_, is := errors.AsType[*Mismatch](err)
	return is
}

// joined is one mismatch of several.
func joined(wrong []error) *Mismatch {
	var lines []string
	for _, err := range wrong {
		lines = append(lines, err.Error())
	}
	return &Mismatch{strings.Join(lines, "\n")}
}

// stop notes a mismatch, after which nothing that is guarded can be used. Other errors
// pass, and nil.
func (i *Installation) stop(err error) error {
	wrong, is := errors.AsType[*Mismatch](err)
	if is && i.failure.CompareAndSwap(nil, wrong) {
		close(i.stopped)
	}
	return err
}

// refused is stop for an error that is returned to whoever wanted to use a place.
func (i *Installation) refused(err error) error {
	if wrong, is := errors.AsType[*Mismatch](i.stop(err)); is {
		return wrong.refuse()
	}
	return err
}

// Wait returns the *Mismatch that the program must stop for when one is found, and nil
// when ctx ends.
func (i *Installation) Wait(ctx context.Context) error {
	select {
	case <-i.stopped:
		return i.failure.Load()
	case <-ctx.Done():
		return nil
	}
}

// label is how a place is called.
type label struct {
	name    string // as `starter adopt` takes it
	title   string // in a sentence
	setting string // what chooses it
	fresh   string // what a new one would be
}

func at(what, address string) string {
	if address == "" {
		return what
	}
	return what + " at " + address
}

func (i *Installation) other(m *member, have string) error {
	l := m.label()
	return &Mismatch{fmt.Sprintf("%s belongs to the installation %s, but %s to %s. Set %s rightly; only if %s is to change hands: starter adopt %s",
		upper(i.title), *i.id.Load(), l.title, have, l.setting, l.title, l.name)}
}

func (i *Installation) lacks(m *member) error {
	l := m.label()
	return &Mismatch{fmt.Sprintf("%s belongs to the installation %s, but %s knows of none. Set %s rightly; if this is %s for the same installation: starter adopt %s",
		upper(i.title), *i.id.Load(), l.title, l.setting, l.fresh, l.name)}
}

func (i *Installation) used(m *member) error {
	l := m.label()
	return &Mismatch{fmt.Sprintf("%s belongs to the installation %s, which is being founded, but %s knows of none and is in use already. Set %s rightly; if it belongs to this installation, as after an upgrade: starter adopt %s",
		upper(i.title), *i.id.Load(), l.title, l.setting, l.name)}
}

func (i *Installation) catalogLacks(m *member, have string) error {
	return &Mismatch{fmt.Sprintf("%s knows of no installation, but %s belongs to %s. Set REELFLOW_DATABASE_URL, or %s, rightly; if this is a new catalog for the same installation: starter adopt catalog",
		upper(i.title), m.label().title, have, m.label().setting)}
}

// nobodyKnows is said of places in use that were never founded.
func (i *Installation) nobodyKnows(used []string) error {
	adopt := []string{"starter adopt catalog"}
	for _, m := range i.others() {
		adopt = append(adopt, "starter adopt "+m.label().name)
	}
	return &Mismatch{fmt.Sprintf("No place knows of an installation yet, but in use are already: %s. If all addresses are right, as after an upgrade from a release without installations, say so once for each place: %s",
		strings.Join(used, ", "), strings.Join(adopt, "; "))}
}

func (i *Installation) changed(now string) error {
	if now == "" {
		now = "none"
	}
	return &Mismatch{fmt.Sprintf("%s belonged to the installation %s when this program started, and now belongs to %s. It stops, so that it compares all places at its next start.",
		upper(i.title), *i.id.Load(), now)}
}

// upper begins a sentence.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
