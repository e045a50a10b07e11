package catalog

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/reelflow/reelflow/video"
)

// Open connects to the database at url, sqlite://path or postgres://…, and brings
// its schema up to date. Any number of processes may open one at the same time.
// It fails with Invalid for a url that names no database and Unavailable when the
// database can't be reached; neither repeats the url, which may hold a password.
func Open(ctx context.Context, url string) (*Catalog, error) {
	schema.RegisterSerializer("instant", instant{}) // gorm knows no other place for it; again is harmless
	scheme, path, _ := strings.Cut(url, "://")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, path)
	case "postgres", "postgresql":
		return openPostgres(ctx, url)
	}
	return nil, video.Errorf(video.Invalid, "The database's address must begin with sqlite:// or postgres://.")
}

// gormConfig keeps gorm silent: every error is returned, and what gorm would log
// holds the values of rows.
func gormConfig() *gorm.Config {
	return &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true}
}

const postgresConnections = 16

// A process that freezes in the middle of a transaction must not keep others
// from the rows that it has locked: the server ends such a transaction. None of
// ours waits for anything but the server while it is open.
const boundIdleTransactions = "SET idle_in_transaction_session_timeout = '5s'"

func openPostgres(ctx context.Context, url string) (*Catalog, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil { // which repeats parts of the url
		return nil, video.Errorf(video.Invalid, "The database's address is not a valid postgres:// URL.")
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, boundIdleTransactions)
		return err
	}))
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig())
	if err != nil {
		pool.Close()
		return nil, codedError(err)
	}
	c := &Catalog{write: db, read: db, clock: databaseClock}
	pool.SetMaxOpenConns(postgresConnections)
	pool.SetMaxIdleConns(postgresConnections)
	pool.SetConnMaxIdleTime(time.Minute)
	if err := migrate(ctx, goose.DialectPostgres, pool, goose.WithSessionLocker(advisoryLock{})); err != nil {
		c.Close()
		return nil, codedError(err)
	}
	return c, nil
}

// How SQLite connections are set up. Deleted content is overwritten; a commit is
// on the disk before it is answered; a transaction takes the write lock when it
// begins, because one that has read first can't wait for it.
const (
	sqliteReaders  = 4
	sqliteLockPoll = 20 * time.Millisecond
)

func sqliteDSN(path string, pragmas ...string) string {
	pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(ON)", "foreign_keys(ON)")
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// openSQLite opens two pools: a single connection for writing, so that the
// writers of this process queue up in Go and only those of different processes
// contend for the file, and a few for reading, which in WAL mode wait for nobody.
func openSQLite(ctx context.Context, path string) (_ *Catalog, err error) {
	if path == "" || strings.HasPrefix(path, ":") || strings.ContainsAny(path, "?#") {
		return nil, video.Errorf(video.Invalid, "The database's address must be sqlite:// and the path of a file.")
	}
	unlock, err := prepareFile(ctx, path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := &Catalog{clock: machineClock}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	const patient, hasty = "busy_timeout(10000)", "busy_timeout(250)" // milliseconds
	if c.write, err = openPool(sqliteDSN(path, patient), 1); err != nil {
		return nil, err
	}
	pool, err := c.write.DB()
	if err != nil {
		return nil, codedError(err)
	}
	if err := migrate(ctx, goose.DialectSQLite3, pool); err != nil {
		return nil, codedError(err)
	}
	if c.read, err = openPool(sqliteDSN(path, patient, "query_only(ON)"), sqliteReaders); err != nil {
		return nil, err
	}
	// Its wait for readers holds up every writer, so it must not last.
	c.scrubber, err = openPool(sqliteDSN(path, hasty), 1)
	return c, err
}

func openPool(dsn string, connections int) (*gorm.DB, error) {
	db, err := gorm.Open(sqlite.Open(dsn), gormConfig())
	if err != nil {
		return nil, codedError(err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, codedError(err)
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return db, nil
}

// prepareFile makes the file, readable by nobody else, if it is not there, and
// takes the lock beside it under which one process at a time switches it to WAL
// and migrates it: SQLite refuses the switch at once while another is at it.
// The lock ends with its process.
func prepareFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, errUnreachable(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errUnreachable(err)
	}
	if err := file.Close(); err != nil {
		return nil, errUnreachable(err)
	}
	return lockFile(ctx, path+".lock")
}

func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errUnreachable(err)
	}
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { lock.Close() }, nil
		}
		if err == syscall.EWOULDBLOCK || err == syscall.EINTR {
			select {
			case <-time.After(sqliteLockPoll):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		lock.Close()
		return nil, errUnreachable(err)
	}
}
