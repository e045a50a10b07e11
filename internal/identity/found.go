package identity

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// found makes the id where every place that answers is empty of ids, videos and keys,
// and returns the row that stands then. A place that doesn't answer is compared before
// its first use: if it belongs to another installation, nothing but a fresh id in empty
// places was written.
func (i *Installation) found(ctx context.Context) (catalog.Installation, error) {
	var used []string
	unused, err := i.places.Catalog.Unused(ctx)
	if err != nil {
		return catalog.Installation{}, err
	}
	if !unused {
		used = append(used, i.title)
	}
	var wrong error
	for m, err := range i.each(ctx, Reach, i.mustBeEmpty) {
		switch {
		case err == errUsed:
			used = append(used, m.label().title)
		case isMismatch(err):
			wrong = err
		case err != nil && m == i.vault:
			return catalog.Installation{}, err
		}
	}
	if wrong == nil && used != nil {
		wrong = i.nobodyKnows(used)
	}
	if wrong != nil {
		// Unless another program has founded meanwhile: the catalog has its id first.
		row, err := i.places.Catalog.Installation(ctx)
		if err == nil && row.ID == "" {
			err = wrong
		}
		return row, err
	}
	return i.places.Catalog.FoundInstallation(ctx, string(video.NewID()))
}

var errUsed = video.Errorf(video.Conflict, "It is in use already.")

// mustBeEmpty fails with a *Mismatch when a place has an id, and with errUsed when it
// has none and is in use.
func (i *Installation) mustBeEmpty(ctx context.Context, m *member) error {
	have, err := m.read(ctx)
	if err != nil {
		return err
	}
	if have != "" {
		return i.catalogLacks(m, have)
	}
	unused, err := m.unused(ctx)
	if err == nil && !unused {
		err = errUsed
	}
	return err
}

// give gives the id to a place that lacks it. That is allowed only while the
// installation is being founded, to a place that was never given it and is empty.
func (i *Installation) give(ctx context.Context, m *member) error {
	may, err := i.mayBeGiven(ctx, m)
	if err != nil {
		return err
	}
	wrong := i.lacks(m)
	if may {
		unused, err := m.unused(ctx)
		if err != nil {
			return err
		}
		if unused {
			return m.write(ctx, *i.id.Load(), "")
		}
		wrong = i.used(m)
	}
	// Unless another program has given it the id since it was read.
	have, err := m.read(ctx)
	if err == nil && have == "" {
		err = wrong
	}
	return err
}

// mayBeGiven looks into the catalog, as another program may have ended the founding.
func (i *Installation) mayBeGiven(ctx context.Context, m *member) (bool, error) {
	row, err := i.places.Catalog.Installation(ctx)
	if err != nil {
		return false, err
	}
	if row.ID != *i.id.Load() {
		return false, i.changed(row.ID)
	}
	given, err := i.places.Catalog.Adoptions(ctx)
	if err != nil || !row.FoundedAt.IsZero() {
		return false, err
	}
	for _, a := range given {
		if a.Place == m.label().name {
			return false, nil
		}
	}
	return true, nil
}

// recordFounding notes that a place has the id, as long as not all have.
func (i *Installation) recordFounding(ctx context.Context, m *member) error {
	if i.founded.Load() {
		return nil
	}
	founded, err := i.places.Catalog.RecordFounding(ctx, *i.id.Load(), m.label().name, i.names())
	if founded {
		i.founded.Store(true)
	}
	return err
}

// each asks all places but the catalog at the same time, and yields what came of each.
// All but the vault, which is needed, are waited for no longer than reach.
func (i *Installation) each(ctx context.Context, reach time.Duration, ask func(context.Context, *member) error) iter.Seq2[*member, error] {
	all := i.others()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for n, m := range all {
		group.Go(func() {
			ctx := ctx
			if m != i.vault {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, reach)
				defer cancel()
			}
			errs[n] = ask(ctx, m)
		})
	}
	group.Wait()
	return func(yield func(*member, error) bool) {
		for n, m := range all {
			if !yield(m, errs[n]) {
				return
			}
		}
	}
}
