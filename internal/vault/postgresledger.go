package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// recordPage is how many records are read at a time.
const recordPage = 1000

const recordColumns = "hash, reason, hidden_at, key_destroyed_at, root_forgotten_at, token"

func scanRecord(row pgx.CollectableRow) (r Record, err error) {
	var hash, token []byte
	var destroyed, forgotten *time.Time
	err = row.Scan(&hash, &r.Reason, &r.HiddenAt, &destroyed, &forgotten, &token)
	r.VideoSHA256, r.TokenSHA256, r.HiddenAt = hex.EncodeToString(hash), hex.EncodeToString(token), inLedger(r.HiddenAt)
	if destroyed != nil {
		r.KeyDestroyedAt = inLedger(*destroyed)
	}
	if forgotten != nil {
		r.RootForgottenAt = inLedger(*forgotten)
	}
	return r, err
}

// selectRecords reads records; rest is what follows FROM vault_ledger.
func selectRecords(ctx context.Context, q queryer, rest string, args ...any) ([]Record, error) {
	rows, err := q.Query(ctx, "SELECT "+recordColumns+" FROM vault_ledger "+rest, args...)
	if err != nil {
		return nil, databaseFault(err)
	}
	records, err := pgx.CollectRows(rows, scanRecord)
	return records, databaseFault(err)
}

// findRecord returns the record of a video, if its destruction has begun.
func findRecord(ctx context.Context, q queryer, h idHash) (Record, bool, error) {
	found, err := selectRecords(ctx, q, "WHERE hash = $1", h[:])
	if err != nil || len(found) == 0 {
		return Record{}, false, err
	}
	return found[0], true, nil
}

// insertRecord writes a record, and reports whether there was none.
func insertRecord(ctx context.Context, tx pgx.Tx, r Record) (fresh bool, err error) {
	hash, err := hex.DecodeString(r.VideoSHA256)
	if err != nil {
		return false, err
	}
	token, err := hex.DecodeString(r.TokenSHA256)
	if err != nil {
		return false, video.Errorf(video.Invalid, "The hash of an upload's token must be a SHA-256.")
	}
	done, err := tx.Exec(ctx, "INSERT INTO vault_ledger ("+recordColumns+") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		hash, r.Reason, r.HiddenAt, orNull(r.KeyDestroyedAt), orNull(r.RootForgottenAt), token)
	return done.RowsAffected() > 0, err
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Ledger implements Vault.
func (v *PostgresVault) Ledger(ctx context.Context, idHash string) (Record, bool, error) {
	if err := v.usable(ctx); err != nil {
		return Record{}, false, err
	}
	h, err := parseHash(idHash)
	if err != nil {
		return Record{}, false, err
	}
	return findRecord(ctx, v.pool, h)
}

// Records implements Vault.
func (v *PostgresVault) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for after := (idHash{}); ; {
			err := v.usable(ctx)
			var page []Record
			if err == nil {
				page, err = selectRecords(ctx, v.pool, "WHERE hash > $1 ORDER BY hash LIMIT $2", after[:], recordPage)
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < recordPage {
				return
			}
			after, _ = parseHash(page[len(page)-1].VideoSHA256) // of our own making
		}
	}
}

// Destroy implements Vault.
func (v *PostgresVault) Destroy(ctx context.Context, intent Intent) (Record, error) {
	fresh, err := intent.record()
	if err != nil {
		return Record{}, err
	}
	h := hashOf(intent.ID)
	if err := v.intend(ctx, h, fresh); err != nil {
		return Record{}, err
	}
	return v.finish(ctx, h, time.Now().Add(MaxLoan))
}

// intend commits the intent, unless a record stands already.
func (v *PostgresVault) intend(ctx context.Context, h idHash, r Record) error {
	return v.transaction(ctx, func(tx pgx.Tx) error {
		fresh, err := insertRecord(ctx, tx, r)
		if err != nil || !fresh {
			return err
		}
		return announceLoss(ctx, tx, h)
	})
}

// finish destroys a key whose intent stands, if that isn't done, and returns the record. All
// loans of the key are void at voidAt.
func (v *PostgresVault) finish(ctx context.Context, h idHash, voidAt time.Time) (Record, error) {
	if err := v.usable(ctx); err != nil {
		return Record{}, err
	}
	r, found, err := findRecord(ctx, v.pool, h)
	if err == nil && !found {
		err = damaged(errors.New("the intent of " + h.String() + " has vanished"))
	}
	if err != nil || !r.KeyDestroyedAt.IsZero() {
		return r, err
	}
	if err := v.awaitLoss(ctx, h, voidAt); err != nil {
		return Record{}, err
	}
	if err := v.remove(ctx, h, nil); err != nil {
		return Record{}, err
	}
	// Only now, when no root is left that opens an older tree. Somebody else may have
	// finished it meanwhile: then that record stands.
	at := inLedger(time.Now())
	var forgotten time.Time
	if wait := v.home.forgetsIn(); wait > 0 {
		forgotten = at.Add(wait)
	}
	_, err = v.pool.Exec(ctx, "UPDATE vault_ledger SET key_destroyed_at = $2, root_forgotten_at = $3 WHERE hash = $1 AND key_destroyed_at IS NULL",
		h[:], at, orNull(forgotten))
	if err != nil {
		return Record{}, databaseFault(err)
	}
	r, _, err = findRecord(ctx, v.pool, h)
	return r, err
}

// finishIntents completes what earlier processes intended. All intents were there before it
// began, so the waits for their loans end together.
func (v *PostgresVault) finishIntents(ctx context.Context) error {
	voidAt := time.Now().Add(MaxLoan)
	pending, err := selectRecords(ctx, v.pool, "WHERE key_destroyed_at IS NULL")
	for _, r := range pending {
		if err != nil {
			break
		}
		var h idHash
		if h, err = parseHash(r.VideoSHA256); err == nil {
			_, err = v.finish(ctx, h, voidAt)
		}
	}
	return err
}

// Restore implements Vault. Without a key here the record is complete as it is; with
// one it is an intent until that is destroyed, and its time is then.
func (v *PostgresVault) Restore(ctx context.Context, lost Record) error {
	h, err := parseHash(lost.VideoSHA256)
	if err == nil {
		err = mustBeReason(lost.Reason)
	}
	if err != nil {
		return err
	}
	err = v.transaction(ctx, func(tx pgx.Tx) error {
		has, _, err := v.hasKey(ctx, tx, h)
		if err != nil {
			return err
		}
		if has || lost.KeyDestroyedAt.IsZero() {
			lost.KeyDestroyedAt, lost.RootForgottenAt = time.Time{}, time.Time{}
		}
		fresh, err := insertRecord(ctx, tx, lost)
		if err == nil && fresh {
			err = announceLoss(ctx, tx, h)
		}
		return err
	})
	if err == nil {
		_, err = v.finish(ctx, h, time.Now().Add(MaxLoan))
	}
	return err
}
