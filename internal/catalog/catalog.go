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
//	caption_tasks  one row a video whose captions are still to be copied or removed
//	ledger     one row an erased video, under the SHA-256 of its id; never goes
//	receipts   one row an erased video, the same; never goes
//
// Forget deletes all rows of a video but the last two in one transaction.
// Nothing here is a secret by itself: the files of a database keep what was
// deleted from them, so whatever names a person or a video is sealed before it
// comes here, and dies with its key.
//
// Errors are video.Errors: Conflict when a write was fenced off, Gone when the
// video is on its way out or erased, NotFound when neither the rows nor the ledger
// know it - which may be the fault of this catalog, restored from a backup or not the
// right one, and so is never the end of a video -, Invalid, and Unavailable when the
// database could not be asked. After Unavailable the outcome is unknown; every
// method may be called again with the same arguments.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync/atomic"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Catalog is a connection to the database. Its methods may be called from many goroutines.
type Catalog struct {
	write    *gorm.DB
	read     *gorm.DB // the same as write on PostgreSQL
	scrubber *gorm.DB // SQLite only: empties the write-ahead log of what was deleted
	clock    clock
	playback atomic.Pointer[sql.Stmt] // see PlaybackState

	// BeforeWrite, unless nil, is called with the context of a write before its
	// transaction begins; its error is the write's. Tests hold a writer there, or let
	// it die; it is set before the first use.
	BeforeWrite func(context.Context) error
}

// Close ends all connections.
func (c *Catalog) Close() error {
	var errs []error
	for _, db := range []*gorm.DB{c.scrubber, c.read, c.write} {
		if db == nil {
			continue
		}
		pool, err := db.DB()
		if err == nil {
			err = pool.Close() // closing twice is harmless
		}
		errs = append(errs, err)
	}
	return codedError(errors.Join(errs...))
}

// Ready returns Unavailable when the database can't answer a query.
func (c *Catalog) Ready(ctx context.Context) error {
	var any []video.ID
	err := c.read.WithContext(ctx).Model(&Control{}).Limit(1).Pluck("video", &any).Error
	if err != nil {
		return errUnreachable(codedError(err))
	}
	return nil
}

// transact runs work in a transaction of its own. Whoever locks more than one row
// of a video locks the control row first.
func (c *Catalog) transact(ctx context.Context, work func(tx *gorm.DB) error) error {
	if c.BeforeWrite != nil {
		if err := c.BeforeWrite(ctx); err != nil {
			return codedError(err)
		}
	}
	return codedError(c.write.WithContext(ctx).Transaction(work))
}

// absent says what it means that there is no row of a video: Gone when it has been
// erased, NotFound when it was never there.
func absent(db *gorm.DB, id video.ID) error {
	known, err := inLedger(db, id)
	switch {
	case err != nil:
		return err
	case known:
		return errErased()
	}
	return video.Errorf(video.NotFound, "There is no such video.")
}

// ignore returns err, but nil for these codes.
func ignore(err error, codes ...video.Code) error {
	if err != nil && slices.Contains(codes, video.CodeOf(err)) {
		return nil
	}
	return err
}

func errErased() *video.Error {
	return video.Errorf(video.Gone, "This video has been erased.")
}

// oneRow returns the row that a query found, or what absent says.
func oneRow[Row any](query *gorm.DB, db *gorm.DB, id video.ID) (Row, error) {
	var rows []Row
	if err := query.Limit(1).Find(&rows).Error; err != nil {
		return *new(Row), err
	}
	if len(rows) == 0 {
		return *new(Row), absent(db, id)
	}
	return rows[0], nil
}
