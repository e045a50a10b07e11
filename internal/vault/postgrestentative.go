package vault

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// excludeFor is how long a key is not lent at most while somebody looks whether it can
// be discarded. Who takes longer discards nothing.
const excludeFor = 5 * time.Second

// Tentative implements Vault.
func (v *PostgresVault) Tentative(ctx context.Context) iter.Seq2[video.ID, error] {
	return func(yield func(video.ID, error) bool) {
		ids, err := v.tentative(ctx)
		for _, id := range ids {
			if !yield(video.ID(id), nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (v *PostgresVault) tentative(ctx context.Context) ([]string, error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	rows, err := v.pool.Query(ctx, "SELECT id FROM vault_tentative")
	if err != nil {
		return nil, databaseFault(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, databaseFault(err)
}

// Confirm implements Vault.
func (v *PostgresVault) Confirm(ctx context.Context, id video.ID) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	h := hashOf(id)
	_, err := v.pool.Exec(ctx, "DELETE FROM vault_tentative WHERE hash = $1", h[:])
	return databaseFault(err)
}

// Discard implements Vault. While it looks and removes, nobody is lent the key: so nobody can
// have sealed anything in between.
func (v *PostgresVault) Discard(ctx context.Context, id video.ID, unused func(context.Context) error) error {
	h := hashOf(id)
	holder := newRootID() // any random bytes
	if err := v.exclude(ctx, h, holder); err != nil {
		return err
	}
	defer v.readmit(ctx, h, holder)
	if err := v.awaitUnlent(ctx, h); err != nil {
		return err
	}
	if err := unused(ctx); err != nil {
		return err
	}
	if err := v.usable(ctx); err != nil {
		return err
	}
	return v.remove(ctx, h, func(ctx context.Context, tx pgx.Tx) error { return v.mustBeDiscardable(ctx, tx, h, holder) })
}

// exclude keeps a key from being lent until readmit, and announces it as a loss. Conflict
// while it is excluded already.
func (v *PostgresVault) exclude(ctx context.Context, h idHash, holder rootID) error {
	return v.transaction(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `INSERT INTO vault_exclusions AS e (hash, holder, until) VALUES ($1, $2, clock_timestamp() + $3::interval)
			ON CONFLICT (hash) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until WHERE e.until < clock_timestamp()`, h[:], holder[:], excludeFor)
		if err == nil && done.RowsAffected() == 0 {
			err = inUse()
		}
		if err == nil {
			err = announceLoss(ctx, tx, h)
		}
		return err
	})
}

func inUse() error { return video.Errorf(video.Conflict, "The key of this video is in use.") }

// readmit lets a key be lent again. Without it that is so excludeFor after it began.
func (v *PostgresVault) readmit(ctx context.Context, h idHash, holder rootID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := v.pool.Exec(ctx, "DELETE FROM vault_exclusions WHERE hash = $1 AND holder = $2", h[:], holder[:])
	if err != nil {
		v.log.Warn("a key is not lent for some seconds", "error", databaseFault(err))
	}
}

// mustBeDiscardable fails with Gone once the destruction of the key has begun, with Conflict
// when the key was confirmed, and with Unavailable when looking took so long that it
// may have been lent meanwhile.
func (v *PostgresVault) mustBeDiscardable(ctx context.Context, tx pgx.Tx, h idHash, holder rootID) error {
	var excluded, noted bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM vault_exclusions WHERE hash = $1 AND holder = $2 AND until > clock_timestamp()),
		EXISTS (SELECT FROM vault_tentative WHERE hash = $1)`, h[:], holder[:]).Scan(&excluded, &noted)
	if err != nil {
		return err
	}
	has, begun, err := v.hasKey(ctx, tx, h)
	switch {
	case err != nil:
		return err
	case begun:
		return gone()
	case !excluded:
		return unavailable(errors.New("it took too long to see whether the key is used"))
	case !noted && has:
		return video.Errorf(video.Conflict, "The key of this video was confirmed.")
	}
	return nil
}
