package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reelflow/reelflow/video"
)

// postgresRoots is a rootHome in a PostgreSQL server that is there for this alone. A row
// that was deleted stays in the table's file, and in the write-ahead log (WAL), until these
// are written anew, which forget does: it puts what is left of the table into a new file, and
// goes through all segments of the WAL, so that each of them is removed or overwritten.
// WAL and base backups are of a server, not of a database: so no archive may
// be kept of it, and no base backup taken. What a streaming standby has it forgets by
// itself, as its own segments go round.
//
// What the disk below keeps of overwritten blocks is beyond it; see root.go.
type postgresRoots struct {
	pool     *pgxpool.Pool
	tree     treeID
	rotation time.Duration
}

func openPostgresRoots(ctx context.Context, s Settings, tree treeID) (_ *postgresRoots, err error) {
	pool, err := connect(ctx, s.Root, s.tracer)
	if err != nil {
		return nil, err
	}
	r := &postgresRoots{pool: pool, tree: tree, rotation: s.Rotation}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.mustForget(ctx); err != nil {
		return nil, err
	}
	return r, migrate(ctx, pool, "root")
}

// mustForget fails with Invalid when the server keeps what it is told to forget, or doesn't let
// this role make it forget.
func (r *postgresRoots) mustForget(ctx context.Context) error {
	var archives, standby, logs, may bool
	err := r.pool.QueryRow(ctx, `SELECT current_setting('archive_mode') <> 'off', pg_is_in_recovery(),
		current_setting('log_parameter_max_length') <> '0' AND (current_setting('log_statement') IN ('mod', 'all')
			OR current_setting('log_min_duration_statement') <> '-1' OR current_setting('log_min_duration_sample') <> '-1'),
		has_function_privilege('pg_switch_wal()', 'EXECUTE') AND has_function_privilege('pg_ls_waldir()', 'EXECUTE')
			AND (current_setting('is_superuser') = 'on' OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint' AND pg_has_role(oid, 'USAGE')))`).
		Scan(&archives, &standby, &logs, &may)
	switch {
	case err != nil:
		return databaseFault(err)
	case standby:
		return video.Errorf(video.Invalid, "The vault's address is of a PostgreSQL standby: give that of the primary.")
	case archives:
		return video.Errorf(video.Invalid, "The PostgreSQL server of the vault's root archives its WAL, so that it never forgets a key: set archive_mode = off there, or take a server of its own.")
	case logs:
		return video.Errorf(video.Invalid, "The PostgreSQL server of the vault's root writes what it is given into its log: set log_parameter_max_length = 0 there.")
	case !may:
		return video.Errorf(video.Invalid, "The vault's role may not make its PostgreSQL server forget: GRANT pg_checkpoint, pg_monitor TO it, and EXECUTE ON FUNCTION pg_switch_wal().")
	}
	return nil
}

func (r *postgresRoots) load(ctx context.Context, id rootID) (key [32]byte, found bool, err error) {
	var kept []byte
	err = r.pool.QueryRow(ctx, "SELECT key FROM vault_roots WHERE id = $1 AND tree = $2", id[:], r.tree[:]).Scan(&kept)
	if errors.Is(err, pgx.ErrNoRows) {
		return key, false, nil
	}
	if err == nil && len(kept) != len(key) {
		err = damaged(fmt.Errorf("a root of %d bytes", len(kept)))
	}
	copy(key[:], kept)
	clear(kept)
	return key, err == nil, databaseFault(err)
}

func (r *postgresRoots) roots(ctx context.Context) ([]rootID, error) {
	rows, err := r.pool.Query(ctx, "SELECT id FROM vault_roots WHERE tree = $1", r.tree[:])
	if err != nil {
		return nil, databaseFault(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	all := make([]rootID, len(ids))
	for i, id := range ids {
		copy(all[i][:], id)
	}
	return all, databaseFault(err)
}

func (r *postgresRoots) add(ctx context.Context, id rootID, key [32]byte) error {
	_, err := r.pool.Exec(ctx, "INSERT INTO vault_roots (id, tree, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", id[:], r.tree[:], key[:])
	return databaseFault(err)
}

// drop notes in the same transaction since when something is to be forgotten.
func (r *postgresRoots) drop(ctx context.Context, ids ...rootID) error {
	list := make([][]byte, len(ids))
	for i := range ids {
		list[i] = ids[i][:]
	}
	_, err := r.pool.Exec(ctx, `WITH dropped AS (DELETE FROM vault_roots WHERE id = ANY($1) AND tree = $2 RETURNING id)
		UPDATE vault_root_home SET dropped_at = clock_timestamp(), owed_since = coalesce(owed_since, clock_timestamp())
		WHERE EXISTS (SELECT FROM dropped)`, list, r.tree[:])
	return databaseFault(err)
}

func (r *postgresRoots) forgetsIn() time.Duration { return r.rotation }

// overdue implements rootHome.
func (r *postgresRoots) overdue(ctx context.Context) (since time.Time, err error) {
	var owed *time.Time
	err = r.pool.QueryRow(ctx, "SELECT owed_since FROM vault_root_home WHERE owed_since < clock_timestamp() - $1::interval", r.rotation).Scan(&owed)
	if err == nil && owed != nil {
		since = *owed
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return since, databaseFault(err)
}

// keepForgetting looks eight times in a rotation, and forgets what is owed for a quarter of it:
// so a server that is down for a while, or an attempt that fails, costs no promise.
func (r *postgresRoots) keepForgetting(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(min(max(r.rotation/8, time.Second/8), 10*time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.forgetWhatIsOwed(ctx); err != nil && ctx.Err() == nil {
			log.Error("the vault's old root could not be taken out of its server's files", "error", err)
		}
	}
}

func (r *postgresRoots) forgetWhatIsOwed(ctx context.Context) error {
	var due bool
	err := r.pool.QueryRow(ctx, "SELECT coalesce(owed_since < clock_timestamp() - $1::interval, false) FROM vault_root_home", r.rotation/4).Scan(&due)
	if err != nil || !due {
		return databaseFault(err)
	}
	_, err = r.tryForget(ctx)
	return err
}

// forget implements rootHome. Another process that is at it may have begun before what is to be
// forgotten was dropped: so it is waited for, and then all is done once more.
func (r *postgresRoots) forget(ctx context.Context) error {
	for {
		done, err := r.tryForget(ctx)
		if err != nil || done {
			return err
		}
		if err := pause(ctx, time.Second/10); err != nil {
			return unavailable(err)
		}
	}
}

// tryForget forgets unless another process is at it.
func (r *postgresRoots) tryForget(ctx context.Context) (done bool, err error) {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return false, databaseFault(err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(forgetLock)).Scan(&mine); err != nil || !mine {
		return false, databaseFault(err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(forgetLock)) // else it ends with the connection
	begun, err := r.rewrite(ctx, conn)
	if err == nil {
		err = passWAL(ctx, conn, begun)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `UPDATE vault_root_home SET forgot_at = $1, owed_since = CASE WHEN dropped_at >= $1 THEN $1::timestamptz END`, begun)
	}
	return err == nil, databaseFault(err)
}

// rewrite puts the roots that are there into a new file, and returns a moment after which
// nobody has dropped one of which the old file's content is known. The old file is
// emptied by the commit.
func (r *postgresRoots) rewrite(ctx context.Context, conn *pgxpool.Conn) (begun time.Time, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&begun); err != nil {
			return err
		}
		// CLUSTER and VACUUM FULL would keep rows that an old snapshot can still see.
		_, err := tx.Exec(ctx, `LOCK TABLE vault_roots IN ACCESS EXCLUSIVE MODE`)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT id, tree, key FROM vault_roots")
		if err != nil {
			return err
		}
		kept, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "TRUNCATE vault_roots"); err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"vault_roots"}, []string{"id", "tree", "key"}, pgx.CopyFromRows(kept))
		return err
	})
	return begun, err
}

// passWAL makes the server remove or overwrite every segment of its WAL that was written
// before now. A segment that a checkpoint doesn't need any more is removed, or renamed to
// be used later, with its old content; switching to the next segment fills the rest of
// one with zeros. So after a checkpoint it switches once for each segment that is there.
func passWAL(ctx context.Context, conn *pgxpool.Conn, begun time.Time) error {
	const segments = ` FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'`
	switchWAL := func() error {
		if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(false, 'reelflow', '')"); err != nil { // an empty segment isn't left
			return err
		}
		_, err := conn.Exec(ctx, "SELECT pg_switch_wal()")
		return err
	}
	var last string
	err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())").Scan(&last)
	if err == nil {
		err = switchWAL()
	}
	if err == nil {
		_, err = conn.Exec(ctx, "CHECKPOINT")
	}
	var there, old int
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT count(*)"+segments).Scan(&there)
	}
	for i := 0; i <= there && err == nil; i++ {
		err = switchWAL()
	}
	if err == nil {
		_, err = conn.Exec(ctx, "CHECKPOINT")
	}
	if err == nil { // file times are in whole seconds
		err = conn.QueryRow(ctx, "SELECT count(*)"+segments+" AND (name <= $1 OR modification < date_trunc('second', $2::timestamptz))", last, begun).Scan(&old)
	}
	if err == nil && old > 0 {
		err = unavailable(fmt.Errorf("%d segments of the WAL are kept by wal_keep_size or a replication slot", old))
	}
	return err
}

func (r *postgresRoots) close() { r.pool.Close() }
