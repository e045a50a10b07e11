package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// Check implements Vault. It looks at everything as it is at one moment.
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
	if err == nil {
		_, err = v.PublicKeys(ctx)
		err = r.checkSigning(err)
	}
	return r, databaseFault(err)
}

// checkSigning notes that the keys which sign receipts can't be read. Nothing makes another in their
// place by itself: by the public halves the receipts that there are are checked.
func (r *Report) checkSigning(err error) error {
	if err == nil || video.CodeOf(err) != video.Internal {
		return err
	}
	r.Damage = append(r.Damage, "the keys that sign receipts: they can't be read, and no receipt is closed until they can")
	return nil
}

// Rotate implements Vault.
func (v *PostgresVault) Rotate(ctx context.Context) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	if err := v.rotate(ctx); err != nil {
		return err
	}
	return v.home.forget(ctx)
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

// Check implements Vault. Nobody writes meanwhile.
func (v *FileVault) Check(ctx context.Context) (r Report, err error) {
	err = v.writing(ctx, func() error {
		if r.Installation, err = v.installation(); err != nil {
			return err
		}
		tentative, err := v.new.all()
		if err != nil {
			return err
		}
		r.Tentative = len(tentative)
		if r.Keys, r.Damage, err = v.tree.check(); err != nil {
			return err
		}
		return v.checkLedger(&r)
	})
	if err == nil {
		_, err = v.PublicKeys(ctx)
		err = r.checkSigning(err)
	}
	return r, fault(err)
}

func (v *FileVault) checkLedger(r *Report) error {
	for dir, count := range map[string]*int{v.ledger.dir: new(int), filepath.Join(v.ledger.dir, "pending"): &r.Pending} {
		for hash, err := range hashes(dir) {
			if err != nil {
				return err
			}
			*count++
			r.Records++
			if _, _, err := v.ledger.find(hash); err != nil {
				r.Damage = append(r.Damage, "record "+hash+": it can't be read")
			}
		}
	}
	return nil
}

// check opens all buckets and counts the keys in them. The caller holds the lock.
func (t tree) check() (keys int, damage []string, err error) {
	v, err := t.load()
	if err != nil {
		return 0, nil, err
	}
	defer v.forget()
	for i := range buckets {
		entries, err := t.readBucket(v, i)
		if err != nil {
			damage = append(damage, v.bucketName(i)+": it doesn't open")
		}
		keys += len(entries) / entrySize
		clear(entries)
	}
	return keys, damage, nil
}

// Rotate implements Vault.
func (v *FileVault) Rotate(ctx context.Context) error {
	return fault(v.writing(ctx, func() error {
		view, err := v.tree.load()
		if err != nil {
			return err
		}
		defer view.forget()
		old := view.tableName()
		if err := v.tree.commit(view); err != nil {
			return err
		}
		return v.tree.disk.remove(filepath.Join(v.tree.dir, old))
	}))
}
