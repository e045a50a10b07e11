package identity

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/reelflow/reelflow/video"
)

// catalogName is what Adopt calls the catalog.
const catalogName = "catalog"

// Adopted says what an operator changed.
type Adopted struct {
	Place    string // in words
	ID       string // the installation that it belongs to now
	Replaced string // the one before; empty for none

	// Restored is how many records of erasures a vault was given that it lacked, and Lost,
	// of a vault, what can't be put back; empty for other places.
	Restored int
	Lost     string
}

// Adopt makes a place belong to the installation: "catalog", "vault", "temporal" or a
// store's name. It is on record before it is done, and may be repeated. The catalog
// adopts the id that the other places have, the vault's before all others, or a new
// one where none has any. The vault is given the records of erasures that stores and
// catalog have and it lacks, for the one before may be lost for good. Invalid for a place
// that isn't there, Conflict while the catalog belongs to no installation, or when the
// places to adopt from differ, Unavailable when one that is needed doesn't answer.
func (i *Installation) Adopt(ctx context.Context, name string) (Adopted, error) {
	if name == catalogName {
		return i.adoptCatalog(ctx)
	}
	all := i.others()
	at := slices.IndexFunc(all, func(m *member) bool { return m.label().name == name })
	if at < 0 {
		places := catalogName
		for _, m := range all {
			places += ", " + m.label().name
		}
		return Adopted{}, video.Errorf(video.Invalid, "There is no place %q; it is one of %s.", name, places)
	}
	row, err := i.places.Catalog.Installation(ctx)
	if err == nil && row.ID == "" {
		err = video.Errorf(video.Conflict, "The catalog belongs to no installation yet: starter adopt catalog comes first.")
	}
	if err != nil {
		return Adopted{}, err
	}
	return i.adoptOther(ctx, all[at], row.ID)
}

func (i *Installation) adoptOther(ctx context.Context, m *member, id string) (Adopted, error) {
	done := Adopted{Place: m.label().title, ID: id}
	var err error
	if done.Replaced, err = m.read(ctx); err != nil {
		return done, err
	}
	// A person's word counts also where the id is there: the audit goes by it when a
	// Temporal that was restored lacks many lives.
	if err := i.places.Catalog.RecordAdoption(ctx, m.label().name, done.Replaced); err != nil {
		return done, err
	}
	if m == i.vault {
		// Before it is ours: whoever dies in between leaves one that nobody uses yet.
		if done.Restored, err = i.restoreLedger(ctx); err != nil {
			return done, err
		}
		done.Lost = lostWithAVault
	}
	if done.Replaced != id {
		if err := m.write(ctx, id, done.Replaced); err != nil {
			return done, err
		}
	}
	now, err := m.read(ctx)
	if err == nil && now != id {
		err = video.Errorf(video.Conflict, "Somebody else has changed it at the same time. Look, and try again.")
	}
	if err != nil {
		return done, err
	}
	_, err = i.places.Catalog.RecordFounding(ctx, id, m.label().name, i.names())
	return done, err
}

func (i *Installation) adoptCatalog(ctx context.Context) (Adopted, error) {
	done := Adopted{Place: i.title}
	row, err := i.places.Catalog.Installation(ctx)
	if err != nil {
		return done, err
	}
	theirs, err := i.agreed(ctx)
	if err != nil {
		return done, err
	}
	done.ID, done.Replaced = theirs, row.ID
	switch {
	case theirs == "" && row.ID != "":
		done.ID = row.ID
		return done, nil
	case theirs == "":
		done.ID = string(video.NewID())
	}
	return done, i.places.Catalog.ReplaceInstallation(ctx, catalogName, done.ID, theirs != "")
}

// agreed returns the vault's id, or where it has none the one that all others have;
// empty when none has any.
func (i *Installation) agreed(ctx context.Context) (string, error) {
	var id, whose string
	for m, found := range i.readAll(ctx) {
		switch title := m.label().title; {
		case isMismatch(found.err):
			return "", found.err
		case found.err != nil:
			return "", video.Errorf(video.Unavailable, "All places must answer before the catalog adopts an id, and one does not.").At(m.label().name).Because(found.err)
		case found.id == "":
		case m == i.vault:
			return found.id, nil
		case id == "":
			id, whose = found.id, title
		case id != found.id:
			return "", video.Errorf(video.Conflict, "%s belongs to the installation %s, and %s to %s: one of the addresses is wrong.",
				upper(whose), id, title, found.id)
		}
	}
	return id, nil
}

// reading is the id that a place has, or why it can't be told.
type reading struct {
	id  string
	err error
}

// readAll reads the id of every place but the catalog, the vault's first.
func (i *Installation) readAll(ctx context.Context) iter.Seq2[*member, reading] {
	var mu sync.Mutex
	ids := map[*member]string{}
	answers := i.each(ctx, Reach, func(ctx context.Context, m *member) error {
		id, err := m.read(ctx)
		mu.Lock()
		defer mu.Unlock()
		ids[m] = id
		return err
	})
	return func(yield func(*member, reading) bool) {
		for m, err := range answers {
			if !yield(m, reading{ids[m], err}) {
				return
			}
		}
	}
}

// Survey says of every place in a line to which installation it belongs.
func (i *Installation) Survey(ctx context.Context) []string {
	say := func(name string, found reading) string {
		switch {
		case found.err != nil:
			return fmt.Sprintf("%-10s %v", name, found.err)
		case found.id == "":
			return fmt.Sprintf("%-10s belongs to no installation: starter adopt %s", name, name)
		}
		return fmt.Sprintf("%-10s %s", name, found.id)
	}
	row, err := i.places.Catalog.Installation(ctx)
	lines := []string{say(catalogName, reading{row.ID, err})}
	for m, found := range i.readAll(ctx) {
		lines = append(lines, say(m.label().name, found))
	}
	return lines
}
