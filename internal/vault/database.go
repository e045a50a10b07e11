package vault

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/reelflow/reelflow/video"
)

// A migration that was released is never changed: the next one follows it.
//
//go:embed migrations
var migrations embed.FS

// Keys of advisory locks, under which one process at a time migrates a database, and
// takes the old roots out of a server's files ("reelvaul" and one more, in ASCII).
const (
	migrationLock = 0x7265656c7661756c
	forgetLock    = migrationLock + 1
)

// sessionSettings are of every connection. A process that freezes in the middle of a
// transaction must not keep others from the rows that it has locked, nor must one whose
// host is gone: the server ends their transactions. Nothing that was answered may be
// lost, whatever the server's default is.
const sessionSettings = `SELECT set_config('idle_in_transaction_session_timeout', '5s', false),
	set_config('lock_timeout', '10s', false), set_config('tcp_user_timeout', '5s', false),
	set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, false)`

// connections is how many a process has to one database of the vault, beside one that
// listens, unless the address has pool_max_conns.
const connections = 8

// connect opens a pool. Invalid for an address that isn't one of PostgreSQL.
func connect(ctx context.Context, address string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil { // which repeats parts of the address
		return nil, video.Errorf(video.Invalid, "The vault's address is not a valid postgres:// URL.")
	}
	if !strings.Contains(address, "pool_max_conns=") {
		config.MaxConns = connections
	}
	config.ConnConfig.Tracer = tracer
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sessionSettings)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, databaseFault(err)
	}
	return pool, nil
}

// migrate brings the tables of one kind, tree or root, up to date. Where they are it takes
// no lock.
func migrate(ctx context.Context, pool *pgxpool.Pool, kind string) error {
	files, err := fs.Sub(migrations, "migrations/"+kind)
	if err != nil {
		return err
	}
	done, err := isMigrated(ctx, pool, files, kind)
	if err != nil || done {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return databaseFault(err)
	}
	defer conn.Release()
	// The lock is of the session: it ends with the process. Another's migration may take long.
	_, err = conn.Exec(ctx, "SET lock_timeout = 0")
	if err == nil {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock))
	}
	if err != nil {
		return databaseFault(err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), sessionSettings)                                       // else only this connection waits longer
	defer conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock)) // else it ends with the connection
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() // not the pool
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("vault_"+kind+"_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return databaseFault(err)
}

// isMigrated reports whether as many migrations were done as there are files.
func isMigrated(ctx context.Context, pool *pgxpool.Pool, files fs.FS, kind string) (done bool, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return false, err
	}
	table := "vault_" + kind + "_version"
	err = pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&done)
	if err == nil && done {
		err = pool.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) >= $1 FROM "+table, len(names)).Scan(&done)
	}
	return done, databaseFault(err)
}

// databaseFault gives an error of the database its code. What PostgreSQL says of values
// isn't kept.
func databaseFault(err error) error {
	if known, ok := errors.AsType[*video.Error](err); ok || err == nil {
		if ok {
			return known
		}
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return unavailable(err)
	}
	cause := fmt.Errorf("postgres: SQLSTATE %s, table %q", pg.Code, pg.TableName)
	// Data, syntax, missing tables, constraints: waiting doesn't mend these.
	for _, class := range []string{"22", "23", "42", "XX"} {
		if strings.HasPrefix(pg.Code, class) {
			return damaged(cause)
		}
	}
	return unavailable(cause)
}
