package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// queryer is what statements are sent by: the pool, or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// standing is what one statement sees of the key of a video, all of one moment.
type standing struct {
	root     rootID
	begun    bool // its destruction
	excluded bool // somebody looks whether it can be discarded
	fresh    bool // this process has lately said of which losses it has heard
	sealed   [][]byte
}

// look reads what stands about a key, in one statement and so of one moment.
func (v *PostgresVault) look(ctx context.Context, q queryer, h idHash) (s standing, err error) {
	var root []byte
	err = q.QueryRow(ctx, `SELECT root, EXISTS (SELECT FROM vault_ledger WHERE hash = $1),
		EXISTS (SELECT FROM vault_exclusions WHERE hash = $1 AND until > clock_timestamp()),
		EXISTS (SELECT FROM vault_processes WHERE id = $2 AND beat_at > clock_timestamp() - $3::interval),
		ARRAY (SELECT sealed FROM vault_nodes WHERE prefix = ANY($4) ORDER BY length(prefix)) FROM vault_head`,
		h[:], v.process[:], freshFor, h.prefixes()).Scan(&root, &s.begun, &s.excluded, &s.fresh, &s.sealed)
	copy(s.root[:], root)
	return s, err
}

// readPath reads and opens the way to a key. A root that is superseded between the look and
// its use is gone from its home: then it looks again.
func (v *PostgresVault) readPath(ctx context.Context, q queryer, h idHash) (nodePath, standing, error) {
	before := rootID{}
	for {
		s, err := v.look(ctx, q, h)
		if err != nil {
			return nil, s, err
		}
		key, err := v.rootKey(ctx, s.root)
		if errors.Is(err, errNoRoot) && s.root != before {
			before = s.root
			continue
		}
		if err != nil {
			return nil, s, err
		}
		path, err := openPath(h, key, s.sealed)
		return path, s, err
	}
}

// hasKey reports whether there is a key, and whether its destruction has begun.
func (v *PostgresVault) hasKey(ctx context.Context, q queryer, h idHash) (has, begun bool, err error) {
	path, s, err := v.readPath(ctx, q, h)
	if err != nil {
		return false, false, err
	}
	defer path.forget()
	var key [32]byte
	defer clear(key[:])
	return path.find(h, &key), s.begun, nil
}

// Make implements Vault.
func (v *PostgresVault) Make(ctx context.Context, id video.ID) error {
	for {
		err := v.transaction(ctx, func(tx pgx.Tx) error { return v.make(ctx, tx, id) })
		if !errors.Is(err, errGrown) {
			return err
		}
	}
}

// errGrown is of a node that another writer made an inner one before this one had its lock.
var errGrown = errors.New("the tree has grown meanwhile")

// make adds a key. It locks the lowest node on the way to it, the only one that it changes;
// a destruction locks all of them. Who has that lock sees an intent that was committed
// before, and is waited for by a destruction that was intended later.
func (v *PostgresVault) make(ctx context.Context, tx pgx.Tx, id video.ID) error {
	h := hashOf(id)
	var lowest string
	err := tx.QueryRow(ctx, "SELECT prefix FROM vault_nodes WHERE prefix = ANY($1) ORDER BY length(prefix) DESC LIMIT 1 FOR UPDATE",
		h.prefixes()).Scan(&lowest)
	if err != nil {
		return err
	}
	path, s, err := v.readPath(ctx, tx, h)
	if err != nil {
		return err
	}
	defer path.forget()
	var key [32]byte
	defer clear(key[:])
	switch {
	case s.begun:
		return gone()
	case path.find(h, &key):
		return nil
	case path.bottom().prefix != lowest:
		return unavailable(errGrown)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO vault_tentative (hash, id) VALUES ($1, $2) ON CONFLICT DO NOTHING", h[:], string(id)); err != nil {
		return err
	}
	return writeNodes(ctx, tx, append(path.add(h), path.bottom()))
}

// writeNodes seals nodes and writes them, new or not.
func writeNodes(ctx context.Context, tx pgx.Tx, nodes []*node) error {
	batch := &pgx.Batch{}
	for _, n := range nodes {
		batch.Queue("INSERT INTO vault_nodes (prefix, sealed) VALUES ($1, $2) ON CONFLICT (prefix) DO UPDATE SET sealed = EXCLUDED.sealed", n.prefix, n.sealed())
	}
	return tx.SendBatch(ctx, batch).Close()
}

// settle plants the tree if there is none, and drops the roots of those who died while
// they changed it.
func (v *PostgresVault) settle(ctx context.Context) error {
	return v.changeRoot(ctx, func(ctx context.Context, tx pgx.Tx, old rootID) (*node, error) {
		if old != (rootID{}) {
			_, err := v.rootKey(ctx, old)
			return nil, err
		}
		var used bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM vault_nodes) OR EXISTS (SELECT FROM vault_ledger)").Scan(&used)
		if err != nil || used {
			return nil, errors.Join(err, damaged(errors.New("there are keys or records, and no root")))
		}
		return newLeaf("", nil), nil
	})
}

// changeRoot does change while no other process can change the root. When change returns
// the top node, under a new key that is the new root, the tree is committed with it. All
// roots that are superseded are dropped at its end, those of earlier changes too that
// nobody lived to finish; unless it fails.
func (v *PostgresVault) changeRoot(ctx context.Context, change func(ctx context.Context, tx pgx.Tx, old rootID) (top *node, err error)) error {
	var superseded []rootID
	err := v.transaction(ctx, func(tx pgx.Tx) error {
		var head []byte
		if err := tx.QueryRow(ctx, "SELECT root FROM vault_head FOR UPDATE").Scan(&head); err != nil {
			return err
		}
		var old rootID
		copy(old[:], head)
		known, err := v.home.roots(ctx)
		if err != nil {
			return err
		}
		// What the head doesn't name is of somebody who died, or had lost the lock.
		known = slices.DeleteFunc(known, func(id rootID) bool { return id == old })
		if len(known) > 0 {
			if err := v.home.drop(ctx, known...); err != nil {
				return err
			}
		}
		top, err := change(ctx, tx, old)
		if err != nil || top == nil {
			return err
		}
		next := newRootID()
		if err := v.home.add(ctx, next, top.key); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE vault_head SET root = $1", next[:]); err != nil {
			return err
		}
		superseded = append(superseded, old)
		return writeNodes(ctx, tx, []*node{top})
	})
	if err != nil || len(superseded) == 0 {
		return err
	}
	return v.home.drop(ctx, superseded...)
}

// remove destroys the key of a video that may have none. What is noted of it as tentative
// goes in the same transaction.
func (v *PostgresVault) remove(ctx context.Context, h idHash, also func(ctx context.Context, tx pgx.Tx) error) error {
	return v.changeRoot(ctx, func(ctx context.Context, tx pgx.Tx, old rootID) (*node, error) {
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return nil, err
			}
		}
		if _, err := tx.Exec(ctx, "DELETE FROM vault_tentative WHERE hash = $1", h[:]); err != nil {
			return nil, err
		}
		path, err := v.lockPath(ctx, tx, h, old)
		if err != nil || !path.remove(h) {
			return nil, err
		}
		path.rekey()
		return path[0], writeNodes(ctx, tx, path[1:])
	})
}

// lockPath opens the way to a key and keeps it as it is. The nodes are locked from the top,
// as everybody does who locks more than one.
func (v *PostgresVault) lockPath(ctx context.Context, tx pgx.Tx, h idHash, root rootID) (nodePath, error) {
	key, err := v.rootKey(ctx, root)
	if err != nil {
		return nil, err
	}
	for {
		rows, err := tx.Query(ctx, "SELECT sealed FROM vault_nodes WHERE prefix = ANY($1) ORDER BY length(prefix) FOR UPDATE", h.prefixes())
		if err != nil {
			return nil, err
		}
		sealed, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return nil, err
		}
		path, err := openPath(h, key, sealed)
		if !errors.Is(err, errNodesMissing) {
			return path, err
		}
		// Somebody made the lowest node an inner one while it was waited for: now it is locked,
		// and what is below it can be seen.
		var there int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM vault_nodes WHERE prefix = ANY($1)", h.prefixes()).Scan(&there); err != nil {
			return nil, err
		}
		if there <= len(sealed) {
			return nil, damaged(fmt.Errorf("of the way to %s there are %d nodes", h, there))
		}
	}
}

// rotate puts the tree under a new root, without any other change.
func (v *PostgresVault) rotate(ctx context.Context) error {
	return v.changeRoot(ctx, func(ctx context.Context, tx pgx.Tx, old rootID) (*node, error) {
		path, err := v.lockPath(ctx, tx, idHash{}, old)
		if err != nil {
			return nil, err
		}
		rand.Read(path[0].key[:])
		return path[0], nil
	})
}
