// Package identity makes sure that catalog, vault, stores and Temporal belong
// together: a program with one wrong address must stop before it erases, or hands
// out, what belongs to others.
//
// One random id, the installation's, is kept in each of the four:
//
//	catalog    table installation; its id is the one that the others are compared with
//	vault      as the vault keeps it (see vault.Vault)
//	stores     object ledger/installation.json in each
//	Temporal   memo "installation" of the schedule that runs the audit
//
// It is made where all of them are empty: founding writes it into the catalog, which
// decides among programs that found at the same time, and then gives it to each
// place that holds nothing yet. Each place that was given the id is on record in the
// catalog, which ends the founding with the last. Whoever dies on the way leaves a
// state from which the next goes on. Afterwards only [Installation.Adopt], by an
// operator's word, gives a place the id. It stays for good.
//
// A program compares at its start ([Installation.Compare]), before the first use of
// a place that did not answer then ([Installation.Stores], [Installation.GuardTemporal])
// and before everything that erases ([Installation.Check]).
package identity

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Reach is how long a start waits for a store, or for Temporal, to answer. One that
// doesn't is compared before its first use.
const Reach = 2 * time.Second

// Before something is erased, stores and Temporal are asked again, but not more often
// than every checkEvery, and none is waited for longer than checkReach.
const (
	checkEvery = time.Second
	checkReach = time.Second
)

// Places are the four that must belong together. CatalogAt and VaultAt are their
// addresses as an operator may read them, without passwords.
type Places struct {
	Catalog            *catalog.Catalog
	Vault              vault.Vault
	Stores             objects.Set
	CatalogAt, VaultAt string
	Log                *slog.Logger
}

// Checker is what activities need of an Installation.
type Checker interface {
	// Check fails with Unavailable when the places can't be told to belong together.
	Check(ctx context.Context) error
}

// Installation is one program's knowledge of whether its places belong together. Its
// methods may be called from any number of goroutines, but for SetTemporal, which
// goes before everything else.
type Installation struct {
	places   Places
	title    string // of the catalog
	vault    *member
	stores   []*member
	temporal *member // nil until SetTemporal
	guarded  objects.Set

	id      atomic.Pointer[string] // nil until it was compared
	founded atomic.Bool
	looked  atomic.Int64 // when Check last asked everybody, in Unix nanoseconds
	failure atomic.Pointer[Mismatch]
	stopped chan struct{} // closed with the first failure
}

var _ Checker = (*Installation)(nil)

// New knows the places, and has asked none of them yet.
func New(p Places) *Installation {
	i := &Installation{places: p, title: at("the catalog", p.CatalogAt), stopped: make(chan struct{})}
	i.vault = &member{place: vaultPlace{p.Vault, p.VaultAt}}
	for _, store := range p.Stores.All() {
		m := &member{place: storePlace{store, p.Vault}}
		i.stores = append(i.stores, m)
		guard := &guardedStore{store: store, admit: func(ctx context.Context) error { return i.admit(ctx, m) }}
		if i.guarded.Primary == nil {
			i.guarded.Primary = guard
		} else {
			i.guarded.Backups = append(i.guarded.Backups, guard)
		}
	}
	return i
}

// SetTemporal adds Temporal, whose client may need the Installation to be made.
func (i *Installation) SetTemporal(t Temporal) { i.temporal = &member{place: t} }

// Stores returns the stores, each behind a guard: before the first use of one that was
// not compared yet it is, and when it doesn't belong here nothing of it is read,
// written or removed.
func (i *Installation) Stores() objects.Set { return i.guarded }

// member is a place, and whether it was found to belong here.
type member struct {
	place
	compared atomic.Bool
}

// others are all places but the catalog, which the others are compared with.
func (i *Installation) others() []*member {
	all := append([]*member{i.vault}, i.stores...)
	if i.temporal != nil {
		all = append(all, i.temporal)
	}
	return all
}

// names are those of all places that have the id when the installation is founded.
func (i *Installation) names() []string {
	names := []string{"vault", "temporal"}
	for _, m := range i.stores {
		names = append(names, m.label().name)
	}
	return names
}

// Compare founds the installation, or goes on with its founding, and compares every
// place that answers. It fails with a *Mismatch, which a program must stop for, and
// with Unavailable when catalog or vault can't be reached. A store, or Temporal, that
// doesn't answer is compared before its first use.
func (i *Installation) Compare(ctx context.Context) error {
	row, err := i.places.Catalog.Installation(ctx)
	if err == nil && row.ID == "" {
		row, err = i.found(ctx)
	}
	if err != nil {
		return i.stop(err)
	}
	i.id.Store(&row.ID)
	i.founded.Store(!row.FoundedAt.IsZero())
	var wrong []error
	for m, err := range i.each(ctx, Reach, i.first) {
		switch {
		case err == nil:
		case isMismatch(err):
			wrong = append(wrong, err)
		case m == i.vault:
			return err
		default:
			i.places.Log.Warn("a place does not answer; before it is used it will be compared", "place", m.label().title, "error", err)
		}
	}
	if len(wrong) > 0 {
		return i.stop(joined(wrong))
	}
	return ctx.Err()
}

// first compares a place for the first time.
func (i *Installation) first(ctx context.Context, m *member) error {
	if err := i.compare(ctx, m); err != nil {
		return err
	}
	if s, ok := m.place.(storePlace); ok {
		if err := s.checkVault(ctx); err != nil {
			return err
		}
	}
	m.compared.Store(true)
	return nil
}

// compare looks whether a place has the id. While the installation is being founded
// a place that is empty is given it.
func (i *Installation) compare(ctx context.Context, m *member) error {
	want := *i.id.Load()
	have, err := m.read(ctx)
	if err == nil && have == "" {
		if err := i.give(ctx, m); err != nil {
			return err
		}
		have, err = m.read(ctx) // two installations may have been founded here at once
	}
	switch {
	case err != nil:
		return err
	case have != want:
		return i.other(m, have)
	}
	return i.recordFounding(ctx, m)
}

// admit lets a place be used once it was compared. Several uses may compare it at the
// same time; each of them only reads, or writes the same.
func (i *Installation) admit(ctx context.Context, m *member) error {
	if wrong := i.failure.Load(); wrong != nil {
		return wrong.refuse()
	}
	if m.compared.Load() {
		return nil
	}
	if i.id.Load() == nil {
		return video.Errorf(video.Unavailable, "It is not known yet whether what is stored belongs together.")
	}
	return i.refused(i.first(ctx, m))
}

// Check compares all places that answer once more. It fails with Unavailable, and the
// program is to stop, when one of them doesn't belong here; and with Unavailable when
// catalog or vault can't be asked. What is under way on their word must not go on.
func (i *Installation) Check(ctx context.Context) error {
	if wrong := i.failure.Load(); wrong != nil {
		return wrong.refuse()
	}
	if i.id.Load() == nil {
		return video.Errorf(video.Unavailable, "It is not known yet whether what is stored belongs together.")
	}
	row, err := i.places.Catalog.Installation(ctx)
	if err != nil {
		return err
	}
	if row.ID != *i.id.Load() {
		return i.refused(i.changed(row.ID))
	}
	if err := i.again(ctx, i.vault); err != nil {
		return i.refused(err)
	}
	if time.Since(time.Unix(0, i.looked.Load())) < checkEvery {
		return nil
	}
	for m, err := range i.each(ctx, checkReach, i.again) {
		if isMismatch(err) || m == i.vault && err != nil {
			return i.refused(err)
		}
	}
	i.looked.Store(time.Now().UnixNano())
	return ctx.Err()
}

// again compares a place that may have been compared before; then it must have the id.
func (i *Installation) again(ctx context.Context, m *member) error {
	if !m.compared.Load() {
		return i.first(ctx, m)
	}
	have, err := m.read(ctx)
	switch {
	case err != nil:
		return err
	case have == "":
		return i.lacks(m)
	case have != *i.id.Load():
		return i.other(m, have)
	}
	return nil
}
