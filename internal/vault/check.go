package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Report is what a check has found of a vault.
type Report struct {
	Installation string
	Keys         int // that can be opened
	Tentative    int
	Records      int
	Pending      int // of these, whose key is still to be destroyed

	// ForgettingOverdue is since when something that was destroyed may still be found in the
	// files of the root's server, if that is for longer than it may be.
	ForgettingOverdue time.Time

	Damage []string // what can't be opened, or doesn't belong there
}

// Check opens everything in the vault, all as it is at one moment, and counts it. Damage is in the
// report; the error is of a check that couldn't be done.
func (v *PostgresVault) Check(ctx context.Context) (r Report, err error) {
	if err := v.usable(ctx); err != nil {
		return r, err
	}
	if r.ForgettingOverdue, err = v.home.overdue(ctx); err != nil {
		return r, err
	}
	// Who changes the root may drop the one that this moment's tree needs: then once more.
	for range 3 {
		err = pgx.BeginTxFunc(ctx, v.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return v.check(ctx, tx, &r)
		})
		if !errors.Is(err, errNoRoot) {
			break
		}
	}
	return r, databaseFault(err)
}

func (v *PostgresVault) check(ctx context.Context, tx pgx.Tx, r *Report) error {
	var root []byte
	err := tx.QueryRow(ctx, `SELECT root, installation, (SELECT count(*) FROM vault_tentative), (SELECT count(*) FROM vault_ledger),
		(SELECT count(*) FROM vault_ledger WHERE key_destroyed_at IS NULL) FROM vault_head`).
		Scan(&root, &r.Installation, &r.Tentative, &r.Records, &r.Pending)
	if err != nil {
		return err
	}
	key, err := v.rootKey(ctx, rootID(root))
	if err != nil {
		return err
	}
	r.Keys, r.Damage, err = checkNodes(ctx, tx, key)
	return err
}

// checkNodes opens all nodes from the top down, and counts the keys in them.
func checkNodes(ctx context.Context, q queryer, root [32]byte) (keys int, damage []string, err error) {
	rows, err := q.Query(ctx, "SELECT prefix, sealed FROM vault_nodes ORDER BY length(prefix), prefix")
	if err != nil {
		return 0, nil, err
	}
	expected := map[string][32]byte{"": root} // nodes that those above them name
	var prefix string
	var sealed []byte
	_, err = pgx.ForEachRow(rows, []any{&prefix, &sealed}, func() error {
		key, named := expected[prefix]
		delete(expected, prefix)
		if !named {
			damage = append(damage, fmt.Sprintf("node %q: nothing leads to it", prefix))
			return nil
		}
		n, err := openNode(prefix, key[:], sealed)
		if err != nil {
			damage = append(damage, fmt.Sprintf("node %q: it doesn't open", prefix))
			return nil
		}
		defer n.forget()
		if n.isLeaf() {
			keys += len(n.entries()) / entrySize
			return nil
		}
		for digit := range fanOut {
			if key := n.childKey(digit); !isZero(key) {
				expected[fmt.Sprintf("%s%x", prefix, digit)] = [32]byte(key)
			}
		}
		return nil
	})
	for prefix := range expected {
		damage = append(damage, fmt.Sprintf("node %q: it is missing", prefix))
	}
	return keys, damage, err
}
