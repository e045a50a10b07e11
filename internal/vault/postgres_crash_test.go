package vault

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// mortal marks the statements of what is to die; others of the same vault, as the beats in
// the background, live on.
type mortal struct{}

// death is a tracer that lets what is mortal die before its n-th statement, counted from 0:
// from then on no statement of it is sent.
type death struct {
	mu   sync.Mutex
	n    int
	from string // what is in the first statement that counts; empty for any
	died string // the statement that it died before
}

// stride is from one death to the next that is looked at: in short, some will do.
func stride() int {
	if testing.Short() {
		return 5
	}
	return 1
}

func (d *death) before(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n, d.died = n, ""
}

func (d *death) diedBefore() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

func (d *death) next(ctx context.Context, what string) context.Context {
	if ctx.Value(mortal{}) == nil {
		return ctx
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !strings.Contains(what, d.from) {
		return ctx
	}
	d.from = ""
	if d.died == "" {
		if d.n--; d.n >= 0 {
			return ctx
		}
		d.died = what
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (d *death) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return d.next(ctx, data.SQL)
}
func (d *death) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (d *death) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return d.next(ctx, "batch")
}
func (d *death) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (d *death) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func openTest(t testing.TB, s Settings) *PostgresVault {
	t.Helper()
	s.Log = slog.New(slog.DiscardHandler)
	v := must(OpenPostgres(t.Context(), s))(t)
	t.Cleanup(func() { v.Close() })
	return v
}

// rig is a vault with some keys that must survive whatever dies.
type rig struct {
	*testing.T
	address string
	other   *PostgresVault // lives
	mortal  *PostgresVault
	death   death
	keys    map[video.ID][]byte
}

func newRig(t *testing.T, keys int) *rig {
	r := &rig{T: t, address: Postgres.Schema(t), keys: map[video.ID][]byte{}}
	r.other = openTest(t, Settings{Address: r.address})
	r.mortal = openTest(t, Settings{Address: r.address, tracer: &r.death})
	for range keys {
		r.keep(video.NewID())
	}
	return r
}

// keep makes a key that must survive.
func (r *rig) keep(id video.ID) {
	r.Helper()
	must(0, r.other.Make(r.Context(), id))(r)
	must(0, r.other.Confirm(r.Context(), id))(r)
	r.keys[id] = sealUnder(r, r.other, id)
}

// everyDeath runs op again and again until it has died before each of its statements, and checks
// after each death, with a vault that was open all along, as it is and after what
// opening one does.
func (r *rig) everyDeath(op func(ctx context.Context, id video.ID) error, prepare func(id video.ID), check func(t *testing.T, v *PostgresVault, id video.ID)) {
	for n := 0; ; n += stride() {
		for _, reopen := range []bool{false, true} {
			id := video.NewID()
			prepare(id)
			r.death.before(n)
			err := op(context.WithValue(r.Context(), mortal{}, true), id)
			died := r.death.diedBefore()
			if died == "" {
				if err != nil || n < 2 {
					r.Fatalf("after %d statements: %v", n, err)
				}
				return
			}
			r.Run(fmt.Sprintf("%d reopened %v before %.40s", n, reopen, died), func(t *testing.T) {
				v := r.other
				if reopen {
					must(0, v.settle(t.Context()))(t)
					must(0, v.finishIntents(t.Context()))(t)
				}
				check(t, v, id)
				r.checkKept(t, v)
				if err == nil {
					t.Log("it was done nevertheless")
				} else {
					wantCode(t, err, video.Unavailable)
				}
			})
		}
	}
}

// checkKept makes sure that everything opens, and as many keys are there as were kept.
func (r *rig) checkKept(t *testing.T, v *PostgresVault) {
	t.Helper()
	report := must(v.Check(t.Context()))(t)
	if len(report.Damage) > 0 || report.Keys < len(r.keys) || report.Keys > len(r.keys)+1 {
		t.Errorf("%d keys were kept; found: %+v", len(r.keys), report)
	}
	some := 5
	for id, sealed := range r.keys {
		if some--; some < 0 {
			return
		}
		openUnder(t, v, id, sealed)
	}
}

// checkOneRoot makes sure that no root but the one in use is left.
func checkOneRoot(t *testing.T, v *PostgresVault) {
	t.Helper()
	if roots := must(v.home.roots(t.Context()))(t); len(roots) != 1 {
		t.Errorf("%d roots are kept", len(roots))
	}
}

func TestPostgresDeathWhileMaking(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.everyDeath(func(ctx context.Context, id video.ID) error { return r.mortal.Make(ctx, id) }, func(video.ID) {},
		func(t *testing.T, v *PostgresVault, id video.ID) {
			l, err := v.Lend(t.Context(), id)
			noted := slices.Contains(must(v.tentative(t.Context()))(t), string(id))
			if err != nil {
				wantCode(t, err, video.NotFound)
			} else {
				l.Release()
			}
			if noted != (err == nil) {
				t.Errorf("the key is there: %v, noted: %v", err == nil, noted)
			}
			r.keep(id) // after some deaths the leaf is full and splits
		})
	for range 2 * leafMax {
		r.keep(video.NewID())
	}
	for id, sealed := range r.keys {
		openUnder(t, r.other, id, sealed)
	}
}

func TestPostgresDeathWhileDestroying(t *testing.T) {
	t.Parallel()
	r := newRig(t, leafMax+6)
	reason := Intent{Reason: "deleted", HiddenAt: time.Now().Add(-time.Hour)}
	r.everyDeath(func(ctx context.Context, id video.ID) error {
		reason.ID = id
		_, err := r.mortal.Destroy(ctx, reason)
		return err
	}, func(id video.ID) {
		must(0, r.other.Make(r.Context(), id))(r)
	}, func(t *testing.T, v *PostgresVault, id video.ID) {
		record, intended := must2(v.Ledger(t.Context(), id.Hash()))(t)
		if intended {
			_, err := v.Lend(t.Context(), id)
			wantCode(t, err, video.Gone)
		} else {
			sealUnder(t, v, id)
		}
		final := must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
		if intended && final.HiddenAt != record.HiddenAt {
			t.Errorf("the record was %+v and became %+v", record, final)
		}
		if !record.KeyDestroyedAt.IsZero() && final != record {
			t.Errorf("the complete record %+v became %+v", record, final)
		}
		if slices.Contains(must(v.tentative(t.Context()))(t), string(id)) {
			t.Error("a destroyed key is tentative")
		}
		checkOneRoot(t, v)
	})
}

func TestPostgresDeathWhileDiscarding(t *testing.T) {
	t.Parallel()
	r := newRig(t, leafMax+6)
	unused := func(context.Context) error { return nil }
	r.everyDeath(func(ctx context.Context, id video.ID) error { return r.mortal.Discard(ctx, id, unused) }, func(id video.ID) {
		must(0, r.other.Make(r.Context(), id))(r)
	}, func(t *testing.T, v *PostgresVault, id video.ID) {
		must(v.pool.Exec(t.Context(), "UPDATE vault_exclusions SET until = now()"))(t) // as in some seconds
		if l, err := v.Lend(t.Context(), id); err == nil {
			l.Release()
			if !slices.Contains(must(v.tentative(t.Context()))(t), string(id)) {
				t.Error("the key is there, and nobody would find it")
			}
		}
		must(0, v.Discard(t.Context(), id, unused))(t)
		_, err := v.Lend(t.Context(), id)
		wantCode(t, err, video.NotFound)
		checkOneRoot(t, v)
	})
}

func TestPostgresDeathWhileOpening(t *testing.T) {
	t.Parallel()
	address := Postgres.Schema(t)
	openTest(t, Settings{Address: address}).Close() // migrations are a transaction each, and not looked at here
	db := must(connect(t.Context(), address, nil))(t)
	defer db.Close()
	for n := 0; ; n += stride() {
		must(db.Exec(t.Context(), "DELETE FROM vault_head; DELETE FROM vault_nodes; DELETE FROM vault_roots"))(t)
		d := &death{from: "INSERT INTO vault_head", n: n}
		v, err := OpenPostgres(context.WithValue(t.Context(), mortal{}, true), Settings{Address: address, tracer: d})
		if err == nil {
			v.Close()
		}
		if d.diedBefore() == "" {
			must(0, err)(t)
			return
		}
		v = openTest(t, Settings{Address: address})
		id := video.NewID()
		must(0, v.Make(t.Context(), id))(t)
		openUnder(t, v, id, sealUnder(t, v, id))
		checkOneRoot(t, v)
		v.Close()
	}
}
