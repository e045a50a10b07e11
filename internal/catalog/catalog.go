// Package catalog keeps the rows of every video in SQLite or PostgreSQL: a
// projection for reading, the control row that fences its workers, the upload
// with its lease, and the manifest of the objects that lie in the stores.
//
// What exists where, and when it goes:
//
//	videos     one row a video; people's words only sealed under the video's key
//	controls   one row a video: epoch, paused, ending; the fence of every durable write
//	uploads    one row a video: how many bytes are stored, and the gateway that holds the lease
//	objects    one row an object in a store, written before the object is
//	replicas   one row a video and store: what was copied, listed and removed
//	ledger     one row an erased video, under the SHA-256 of its id; never goes
//	receipts   one row an erased video, the same; never goes
//
// Forget deletes all rows of a video but the last two in one transaction.
// Nothing here is a secret by itself: the files of a database keep what was
// deleted from them, so whatever names a person or a video is sealed before it
// comes here, and dies with its key.
//
// Errors are video.Errors: Conflict when a write was fenced off, Gone when the
// video is on its way out or erased, NotFound, Invalid, and Unavailable when the
// database could not be asked. After Unavailable the outcome is unknown; every
// method may be called again with the same arguments.
package catalog

import (
	"context"

	"gorm.io/gorm"
)

// Catalog is a connection to the database. Its methods may be called from many goroutines.
type Catalog struct {
	write *gorm.DB
	read  *gorm.DB
}

// Open connects to the database at url, sqlite://path or postgres://…, and brings
// its schema up to date. Any number of processes may open one at the same time.
// It fails with Invalid for a url that names no database and Unavailable when the
// database can't be reached; neither repeats the url, which may hold a password.
func Open(ctx context.Context, url string) (*Catalog, error) { panic("todo") }

// Close ends all connections.
func (c *Catalog) Close() error { panic("todo") }

// Ready returns Unavailable when the database can't answer a query.
func (c *Catalog) Ready(ctx context.Context) error { panic("todo") }
