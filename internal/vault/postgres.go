package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reelflow/reelflow/video"
)

// PostgresVault is a Vault in a database of PostgreSQL, shared by the processes of any
// number of hosts. Its tables (migrations/tree):
//
//	vault_head         the id of the root, pepper, installation: one row
//	vault_nodes        the sealed key tree (see node.go): noise without the root
//	vault_ledger       the records
//	vault_tentative    the ids of keys whose video may never come to be
//	vault_signing      the keys by which receipts are signed
//	vault_losses, vault_processes, vault_exclusions    how loans end (see heed.go)
//
// The root lies in a rootHome, which alone must be able to forget: in vault_roots beside
// these tables, on another server, or in a file. Tree and ledger are no more durable than
// their server: give it a synchronous standby.
//
// A change is one transaction, and between any two of its statements the process may
// die. One that changes the root holds the lock of the row in vault_head; a server ends
// it when nothing is heard of it for five seconds. Reading takes no lock.
type PostgresVault struct {
	pool    *pgxpool.Pool
	home    rootHome
	tree    treeID
	process processID
	shared  sharedKeys
	heeder  heeder
	log     *slog.Logger
	closed  atomic.Bool

	rootMu sync.Mutex
	root   rootBlock // the root that was used last; zero for none

	stop    context.CancelFunc // ends what runs in the background
	stopped sync.WaitGroup
}

// OpenPostgres opens the vault in a database, and makes it if that is empty. It completes
// destructions that were intended but not finished, which takes at most MaxLoan. Invalid
// for an address that names no database, one that has the catalog in it, or a server
// that doesn't forget.
func OpenPostgres(ctx context.Context, s Settings) (_ *PostgresVault, err error) {
	if s.Root == "" {
		s.Root = s.Address
	}
	if s.Rotation == 0 {
		s.Rotation = DefaultRotation
	}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	v := &PostgresVault{log: s.Log, stop: func() {}}
	rand.Read(v.process[:])
	v.shared.init()
	v.heeder.init()
	defer func() {
		if err != nil {
			v.Close()
		}
	}()
	if v.pool, err = connect(ctx, s.Address, s.tracer); err != nil {
		return nil, err
	}
	if err := v.mustBeAlone(ctx); err != nil {
		return nil, err
	}
	if err := migrate(ctx, v.pool, "tree"); err != nil {
		return nil, err
	}
	if err := v.readTreeID(ctx); err != nil {
		return nil, err
	}
	if v.home, err = openRootHome(ctx, s, v.tree); err != nil {
		return nil, err
	}
	if err := v.settle(ctx); err != nil {
		return nil, databaseFault(err)
	}
	if err := v.heed(ctx); err != nil {
		return nil, databaseFault(err)
	}
	v.startBackground()
	return v, v.finishIntents(ctx)
}

// mustBeAlone fails with Invalid in the catalog's database: that is backed up, restored, and
// given to more people than the keys of videos are.
func (v *PostgresVault) mustBeAlone(ctx context.Context) error {
	var catalog bool
	err := v.pool.QueryRow(ctx, `SELECT to_regclass('videos') IS NOT NULL AND to_regclass('replicas') IS NOT NULL`).Scan(&catalog)
	if err == nil && catalog {
		return video.Errorf(video.Invalid, "The vault can't be in the catalog's database, whose backups would keep what is to be forgotten: give it a database of its own, on a server of its own.")
	}
	return databaseFault(err)
}

// readTreeID reads the tree's id, and makes it first if there is none.
func (v *PostgresVault) readTreeID(ctx context.Context) error {
	var tree treeID
	pepper := make([]byte, 32)
	rand.Read(tree[:])
	rand.Read(pepper)
	_, err := v.pool.Exec(ctx, "INSERT INTO vault_head (tree, pepper) VALUES ($1, $2) ON CONFLICT DO NOTHING", tree[:], pepper)
	if err != nil {
		return databaseFault(err)
	}
	var kept []byte
	err = v.pool.QueryRow(ctx, "SELECT tree FROM vault_head").Scan(&kept)
	copy(v.tree[:], kept)
	return databaseFault(err)
}

// startBackground starts what ends with Close.
func (v *PostgresVault) startBackground() {
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	v.stopped.Go(func() { v.listen(ctx) })
	v.stopped.Go(func() { v.keepHeeding(ctx) })
	v.stopped.Go(func() { v.home.keepForgetting(ctx, v.log) })
}

// Close implements Vault.
func (v *PostgresVault) Close() error {
	if v.closed.Swap(true) {
		return nil
	}
	v.stop()
	v.stopped.Wait()
	if v.pool != nil {
		v.deregister()
		v.pool.Close()
	}
	if v.home != nil {
		v.home.close()
	}
	v.rootMu.Lock()
	v.root = rootBlock{}
	v.rootMu.Unlock()
	return nil
}

func (v *PostgresVault) usable(ctx context.Context) error {
	if v.closed.Load() {
		return unavailable(os.ErrClosed)
	}
	if ctx.Err() != nil {
		return unavailable(context.Cause(ctx))
	}
	return nil
}

// rootKey returns the key of the root that the head names. It is kept in memory until
// another one is asked for, or the process hears of it.
func (v *PostgresVault) rootKey(ctx context.Context, id rootID) (key [32]byte, err error) {
	v.rootMu.Lock()
	kept := v.root
	v.rootMu.Unlock()
	if kept.id == id && id != (rootID{}) {
		return kept.key, nil
	}
	key, found, err := v.home.load(ctx, id)
	if err == nil && !found {
		err = damaged(errNoRoot)
	}
	if err == nil {
		v.rootMu.Lock()
		v.root = rootBlock{id: id, key: key}
		v.rootMu.Unlock()
	}
	return key, err
}

// forgetRootBut forgets the root in memory unless it is this one.
func (v *PostgresVault) forgetRootBut(id rootID) {
	v.rootMu.Lock()
	defer v.rootMu.Unlock()
	if v.root.id != id {
		v.root = rootBlock{}
	}
}

var errNoRoot = errors.New("its home doesn't have the root that the tree is sealed by")

// transaction does change in one transaction. When its answer is lost the transaction may
// have been committed.
func (v *PostgresVault) transaction(ctx context.Context, change func(pgx.Tx) error) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	return databaseFault(pgx.BeginFunc(ctx, v.pool, change))
}

// Pepper implements Vault.
func (v *PostgresVault) Pepper(ctx context.Context) (pepper []byte, err error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	err = v.pool.QueryRow(ctx, "SELECT pepper FROM vault_head").Scan(&pepper)
	if err == nil && len(pepper) != 32 {
		err = damaged(fmt.Errorf("pepper of %d bytes", len(pepper)))
	}
	if err != nil {
		return nil, databaseFault(err)
	}
	return pepper, nil
}

// Installation implements Vault.
func (v *PostgresVault) Installation(ctx context.Context) (id string, err error) {
	if err := v.usable(ctx); err != nil {
		return "", err
	}
	err = v.pool.QueryRow(ctx, "SELECT installation FROM vault_head").Scan(&id)
	return id, databaseFault(err)
}

// SetInstallation implements Vault.
func (v *PostgresVault) SetInstallation(ctx context.Context, id, replaced string) error {
	if id == "" || strings.TrimSpace(id) != id {
		return video.Errorf(video.Invalid, "The id of an installation must not be empty.")
	}
	if err := v.usable(ctx); err != nil {
		return err
	}
	done, err := v.pool.Exec(ctx, "UPDATE vault_head SET installation = $1 WHERE installation IN ($1, $2)", id, replaced)
	if err == nil && done.RowsAffected() == 0 {
		return video.Errorf(video.Conflict, "The key vault belongs to another installation.")
	}
	return databaseFault(err)
}

// Unused implements Vault. A tree that has had a key has it still, or its record, or has
// grown beyond the one leaf that it began with; or all that it had were discarded.
func (v *PostgresVault) Unused(ctx context.Context) (unused bool, err error) {
	err = v.transaction(ctx, func(tx pgx.Tx) error {
		var recorded bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM vault_ledger)").Scan(&recorded); err != nil || recorded {
			return err
		}
		path, _, err := v.readPath(ctx, tx, idHash{})
		if err == nil {
			unused = len(path) == 1 && path[0].isLeaf() && len(path[0].entries()) == 0
			path.forget()
		}
		return err
	})
	return unused, err
}
