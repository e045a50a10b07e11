package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	sqlitedriver "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reelflow/reelflow/video"
)

// codedError turns what a driver returned into a video.Error whose cause holds no
// value of any row. video.Errors pass.
func codedError(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*video.Error](err); ok {
		return known
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// The message, and still more the detail, may quote values.
		cause := fmt.Errorf("postgres: SQLSTATE %s, table %q, constraint %q, column %q", pg.Code, pg.TableName, pg.ConstraintName, pg.ColumnName)
		return postgresFault(pg.Code).Because(cause)
	}
	if lite, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		return sqliteFault(lite.Code()).Because(lite)
	}
	if lostConnection(err) {
		return errUnreachable(err)
	}
	return video.Errorf(video.Internal, "The catalog failed.").Because(err)
}

func errUnreachable(cause error) *video.Error {
	return video.Errorf(video.Unavailable, "The catalog can't be reached at the moment.").Because(cause)
}

func errExists() *video.Error {
	return video.Errorf(video.Conflict, "This exists already.")
}

// postgresFault goes by the class of the SQLSTATE (PostgreSQL manual, appendix A).
func postgresFault(state string) *video.Error {
	const uniqueViolation, lockNotAvailable, readOnly, idleTransaction = "23505", "55P03", "25006", "25P03"
	if state == uniqueViolation {
		return errExists()
	}
	// Connection, rolled back for concurrency, out of resources, shutting down, system error.
	for _, class := range []string{"08", "40", "53", "57", "58", lockNotAvailable, readOnly, idleTransaction} {
		if strings.HasPrefix(state, class) {
			return errUnreachable(nil)
		}
	}
	return video.Errorf(video.Internal, "The catalog failed.")
}

// sqliteFault goes by the result code (https://www.sqlite.org/rescode.html).
func sqliteFault(code int) *video.Error {
	const uniqueConstraint, primaryKeyConstraint = 2067, 1555
	const busy, locked, readOnly, interrupted, ioError, full, cantOpen = 5, 6, 8, 9, 10, 13, 14
	if code == uniqueConstraint || code == primaryKeyConstraint {
		return errExists()
	}
	switch code & 0xff {
	case busy, locked, readOnly, interrupted, ioError, full, cantOpen:
		return errUnreachable(nil)
	}
	return video.Errorf(video.Internal, "The catalog failed.")
}

// lostConnection reports whether err says that the connection, or the time for a statement,
// is over. A transaction whose context ends is rolled back by database/sql itself, and the
// next statement in it learns no more than that it is done.
func lostConnection(err error) bool {
	for _, lost := range []error{context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	_, connect := errors.AsType[*pgconn.ConnectError](err)
	return network || connect || pgconn.SafeToRetry(err)
}
