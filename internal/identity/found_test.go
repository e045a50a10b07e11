package identity

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/catalog/catalogtest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// death ends a program before, or just after, its n-th step at any place. From then on
// it does nothing any more.
type death struct {
	mu    sync.Mutex
	n     int
	after bool // the step is done, and its answer lost
}

var errDied = errors.New("died here")

func (d *death) step(do func() error) error {
	d.mu.Lock() // one step at a time, so that the n-th is the last
	defer d.mu.Unlock()
	d.n--
	if d.n < 0 || d.n == 0 && !d.after {
		return errDied
	}
	err := do()
	if d.n == 0 {
		return errDied
	}
	return err
}

func (d *death) happened() bool { return d.n <= 0 }

type mortalPlace struct {
	place
	death *death
}

func (m mortalPlace) read(ctx context.Context) (id string, err error) {
	err = m.death.step(func() (err error) { id, err = m.place.read(ctx); return err })
	return id, err
}

func (m mortalPlace) unused(ctx context.Context) (is bool, err error) {
	err = m.death.step(func() (err error) { is, err = m.place.unused(ctx); return err })
	return is, err
}

func (m mortalPlace) write(ctx context.Context, id, replaced string) error {
	return m.death.step(func() error { return m.place.write(ctx, id, replaced) })
}

// Whoever founds may die at any step: the next program goes on with the same id.
func TestFoundingGoesOnAfterADeath(t *testing.T) {
	server := serverOf(t)
	for _, after := range []bool{false, true} {
		for n, died := 1, true; died; n++ {
			r := newRig(t, server)
			d := &death{n: n, after: after}
			mortal := r.worker()
			for _, m := range mortal.others() {
				m.place = mortalPlace{m.place, d}
			}
			mortal.Compare(t.Context()) // whatever it would have said
			died = d.happened()
			begun, err := r.rows.Installation(t.Context())
			r.ok(err)
			if id := r.found(); begun.ID != "" && id != begun.ID {
				t.Errorf("dead at step %d: the founding of %s was not gone on with, but %s founded", n, begun.ID, id)
			}
			if !died && n < 20 {
				t.Errorf("only %d steps", n)
			}
		}
	}
}

// Any number of workers and gateways may start at the same moment.
func TestFoundingAtOnce(t *testing.T) {
	server := serverOf(t)
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return catalogtest.URL(t) },
		"postgres": func(t *testing.T) string { return cluster.Schema(t) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				r := newRig(t, server)
				r.newCatalog(url(t))
				var all sync.WaitGroup
				for n := range 6 {
					i := r.another(n%2 == 0)
					all.Go(func() {
						if err := i.Compare(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				r.mustBeFounded()
			}
		})
	}
}

// another is a program of its own, with connections of its own.
func (r *rig) another(worker bool) *Installation {
	r.t.Helper()
	rows, err := catalog.Open(r.t.Context(), r.database)
	r.ok(err)
	r.t.Cleanup(func() { rows.Close() })
	keys, err := vault.Open(r.vaultDir)
	r.ok(err)
	mine := *r
	mine.rows, mine.keys = rows, keys
	if worker {
		return mine.worker()
	}
	return mine.gateway()
}

// A place that was given the id while the others were not reached, and has lost it
// since, is a wrong one: it isn't given it twice.
func TestAPlaceIsGivenTheIDOnce(t *testing.T) {
	r := newRig(t, serverOf(t))
	up := kinds[2].down(r) // the backup, so that the founding can't end
	r.ok(r.worker().Compare(t.Context()))
	up()
	r.unschedule()
	r.refusesToStart("starter adopt temporal")
	r.unchanged("temporal", "")
}

// What another program of the same installation does between two looks of ours is not
// taken for somebody else's.
func TestAnotherIsQuicker(t *testing.T) {
	server := serverOf(t)
	quicker := func(r *rig) func() {
		return sync.OnceFunc(func() {
			r.ok(r.worker().Compare(t.Context()))
			r.ok(r.keys.Make(t.Context(), video.NewID())) // and uses it
		})
	}
	t.Run("and has founded before the places are looked at", func(t *testing.T) {
		r := newRig(t, server)
		late := r.worker()
		late.vault.place = meanwhile{place: late.vault.place, beforeRead: quicker(r)}
		r.ok(late.Compare(t.Context()))
		r.mustBeFounded()
	})
	t.Run("and uses a place that was read without the id", func(t *testing.T) {
		r := newRig(t, server)
		_, err := r.rows.FoundInstallation(t.Context(), string(video.NewID()))
		r.ok(err)
		late := r.worker()
		late.vault.place = meanwhile{place: late.vault.place, afterRead: quicker(r)}
		r.ok(late.Compare(t.Context()))
		r.mustBeFounded()
	})
	t.Run("and uses a place that may be given the id", func(t *testing.T) {
		r := newRig(t, server)
		_, err := r.rows.FoundInstallation(t.Context(), string(video.NewID()))
		r.ok(err)
		late := r.worker()
		late.vault.place = meanwhile{place: late.vault.place, beforeUnused: quicker(r)}
		r.ok(late.Compare(t.Context()))
		r.mustBeFounded()
	})
}

type meanwhile struct {
	place
	beforeRead, afterRead, beforeUnused func()
}

func (m meanwhile) read(ctx context.Context) (string, error) {
	if m.beforeRead != nil {
		m.beforeRead()
	}
	id, err := m.place.read(ctx)
	if m.afterRead != nil {
		m.afterRead()
	}
	return id, err
}

func (m meanwhile) unused(ctx context.Context) (bool, error) {
	if m.beforeUnused != nil {
		m.beforeUnused()
	}
	return m.place.unused(ctx)
}
