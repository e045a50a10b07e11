package vault

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// How loans end when a key is to be destroyed. A destruction is announced as a loss, with the
// next number, in the transaction that commits the intent. Every process hears of it by
// NOTIFY, or else when it looks, once a second; lends that key to nobody who doesn't
// ask the database first, which refuses; and says in its row up to which number it has
// heard, and which of these keys it still lends. Who destroys waits for these rows.
//
// Nobody waits for longer than MaxLoan, since a loan ends by itself. A process that was
// not heard of for freshFor is refused loans: so the row of one that is dead
// needn't be heeded once another MaxLoan is over.
const (
	heedEvery = time.Second
	freshFor  = 3 * time.Second
	keepLoss  = time.Minute // rows of losses, and of processes that are dead

	lossChannel = "vault_losses"
)

// processID names a process in its row.
type processID [16]byte

// heeder is what a process knows of losses.
type heeder struct {
	turn  chan struct{} // holds a token while somebody looks
	bell  chan struct{} // rung when there may be a loss, or a lost key is lent no more
	seen  int64         // the last loss that it has heard of; under turn
	swept time.Time     // when old rows were last removed; under turn
}

func (h *heeder) init() {
	h.turn, h.bell, h.seen = make(chan struct{}, 1), make(chan struct{}, 1), -1
}

func (h *heeder) ring() {
	select {
	case h.bell <- struct{}{}:
	default: // it rings already
	}
}

// announceLoss makes known, with the end of the transaction, that a key is lost. Numbers are
// taken one transaction after the other, so who sees one sees all before it.
func announceLoss(ctx context.Context, tx pgx.Tx, h idHash) error {
	var number int64
	err := tx.QueryRow(ctx, "UPDATE vault_loss_count SET number = number + 1 RETURNING number").Scan(&number)
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO vault_losses (number, hash) VALUES ($1, $2)", number, h[:])
	}
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT pg_notify($1, '')", lossChannel)
	}
	return err
}

// listen rings the bell at each notification, on a connection of its own, until ctx ends.
func (v *PostgresVault) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := v.listenOnce(ctx); err != nil && ctx.Err() == nil {
			v.log.Debug("the vault's notifications can't be heard; it looks once a second", "error", databaseFault(err))
			pause(ctx, heedEvery) // ends early only with ctx
		}
	}
}

func (v *PostgresVault) listenOnce(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, v.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // nothing was written
	if _, err := conn.Exec(ctx, "LISTEN "+lossChannel); err != nil {
		return err
	}
	for {
		v.heeder.ring() // what was announced before it listened counts, too
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// keepHeeding heeds losses as they are heard of, and once a second, until ctx ends.
func (v *PostgresVault) keepHeeding(ctx context.Context) {
	tick := time.NewTicker(heedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.heeder.bell:
		case <-tick.C:
		}
		if err := v.heedWithin(ctx, heedPatience); err != nil && ctx.Err() == nil {
			v.log.Warn("the vault can't be told that this process is alive; without that it lends no keys", "error", databaseFault(err))
		}
	}
}

// heedPatience is how long the background waits for the database before it begins anew.
const heedPatience = 10 * time.Second

func (v *PostgresVault) heedWithin(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return v.heed(ctx)
}

// heed takes note of the losses since it last did, and says so in the row of this process.
func (v *PostgresVault) heed(ctx context.Context) error {
	select {
	case v.heeder.turn <- struct{}{}:
		defer func() { <-v.heeder.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := v.hearLosses(ctx); err != nil {
		return err
	}
	var root []byte
	err := v.pool.QueryRow(ctx, `INSERT INTO vault_processes (id, seen, held, beat_at) VALUES ($1, $2, $3, clock_timestamp())
		ON CONFLICT (id) DO UPDATE SET seen = EXCLUDED.seen, held = EXCLUDED.held, beat_at = EXCLUDED.beat_at
		RETURNING (SELECT root FROM vault_head)`, v.process[:], v.heeder.seen, v.shared.held()).Scan(&root)
	if err != nil {
		return err
	}
	v.forgetRootBut(rootID(root))
	return v.sweepRows(ctx)
}

// hearLosses marks the keys that were lost since it last looked. A process that has just
// begun has lent none.
func (v *PostgresVault) hearLosses(ctx context.Context) error {
	if v.heeder.seen < 0 {
		return v.pool.QueryRow(ctx, "SELECT number FROM vault_loss_count").Scan(&v.heeder.seen)
	}
	rows, err := v.pool.Query(ctx, "SELECT number, hash FROM vault_losses WHERE number > $1", v.heeder.seen)
	if err != nil {
		return err
	}
	var number int64
	var hash []byte
	last := v.heeder.seen
	_, err = pgx.ForEachRow(rows, []any{&number, &hash}, func() error {
		v.shared.lose(idHash(hash))
		last = max(last, number)
		return nil
	})
	if err == nil {
		v.heeder.seen = last
	}
	return err
}

// sweepRows removes, now and then, what no process can need any more.
func (v *PostgresVault) sweepRows(ctx context.Context) error {
	if time.Since(v.heeder.swept) < keepLoss/4 {
		return nil
	}
	for _, table := range []string{"vault_losses WHERE at", "vault_processes WHERE beat_at", "vault_exclusions WHERE until"} {
		if _, err := v.pool.Exec(ctx, "DELETE FROM "+table+" < clock_timestamp() - $1::interval", keepLoss); err != nil {
			return err
		}
	}
	v.heeder.swept = time.Now()
	return nil
}

// deregister removes the row of this process, unless it still lends keys: then it is left
// for the others to wait for, as long as these loans may last.
func (v *PostgresVault) deregister() {
	if v.shared.lending() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), heedEvery)
	defer cancel()
	v.pool.Exec(ctx, "DELETE FROM vault_processes WHERE id = $1", v.process[:]) // or it is as if it had died
}

// awaitLoss waits until no process lends a key whose loss was announced, or until the
// deadline, when all of its loans are void.
func (v *PostgresVault) awaitLoss(ctx context.Context, h idHash, deadline time.Time) error {
	for time.Now().Before(deadline) {
		unheard, lending, err := v.lenders(ctx, h)
		if err != nil || unheard+lending == 0 {
			return err
		}
		if err := pause(ctx, lookAgain); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// awaitUnlent waits until every process has heard that a key is not to be lent, or until
// MaxLoan is over. Conflict when one lends it.
func (v *PostgresVault) awaitUnlent(ctx context.Context, h idHash) error {
	for deadline := time.Now().Add(MaxLoan); time.Now().Before(deadline); {
		unheard, lending, err := v.lenders(ctx, h)
		if err == nil && lending > 0 {
			err = inUse()
		}
		if err != nil || unheard == 0 {
			return err
		}
		if err := pause(ctx, lookAgain); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// lookAgain is how often somebody looks into the rows of processes while waiting for them.
const lookAgain = 5 * time.Millisecond

// lenders counts the processes that have not heard yet of the loss of a key, and those that
// have and still lend it.
func (v *PostgresVault) lenders(ctx context.Context, h idHash) (unheard, lending int, err error) {
	err = v.pool.QueryRow(ctx, `WITH loss AS (SELECT coalesce(max(number), 0) AS number FROM vault_losses WHERE hash = $1)
		SELECT count(*) FILTER (WHERE seen < loss.number), count(*) FILTER (WHERE seen >= loss.number AND $1 = ANY(held))
		FROM vault_processes, loss WHERE beat_at > clock_timestamp() - $2::interval`, h[:], freshFor+MaxLoan).Scan(&unheard, &lending)
	return unheard, lending, databaseFault(err)
}
