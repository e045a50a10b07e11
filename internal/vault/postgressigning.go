package vault

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const signingColumns = "id, made_at, public, coalesce(seed, '')"

// readSigningKeys returns keys, the youngest first; rest is what follows FROM vault_signing.
func readSigningKeys(ctx context.Context, q queryer, rest string) (all []SigningKey, err error) {
	rows, err := q.Query(ctx, "SELECT "+signingColumns+" FROM vault_signing "+rest)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (SigningKey, error) {
		var k keptSigningKey
		if err := row.Scan(&k.ID, &k.MadeAt, &k.Public, &k.Seed); err != nil {
			return SigningKey{}, err
		}
		return k.key()
	})
}

// youngestSigningKey returns the key that signs: zero for none.
func youngestSigningKey(ctx context.Context, q queryer) (youngest SigningKey, err error) {
	found, err := readSigningKeys(ctx, q, "ORDER BY seed IS NULL, made_at DESC, id LIMIT 1")
	if err == nil && len(found) > 0 {
		youngest = found[0]
	}
	return youngest, err
}

// Signer implements Vault.
func (v *PostgresVault) Signer(ctx context.Context, lasts time.Duration) (SigningKey, error) {
	if err := v.usable(ctx); err != nil {
		return SigningKey{}, err
	}
	youngest, err := youngestSigningKey(ctx, v.pool)
	if err != nil || youngest.signs(lasts) {
		return youngest, databaseFault(err)
	}
	err = v.transaction(ctx, func(tx pgx.Tx) error {
		// Conflicts with itself and with writers, not with readers.
		if _, err := tx.Exec(ctx, "LOCK TABLE vault_signing IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		youngest, err = youngestSigningKey(ctx, tx)
		if err != nil || youngest.signs(lasts) { // somebody else was first
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE vault_signing SET seed = NULL"); err != nil {
			return err
		}
		youngest = newSigningKey()
		_, err := tx.Exec(ctx, "INSERT INTO vault_signing (id, public, seed, made_at) VALUES ($1, $2, $3, $4)",
			youngest.ID, []byte(youngest.Public), youngest.Private.Seed(), youngest.MadeAt)
		return err
	})
	if err != nil {
		return SigningKey{}, err
	}
	return youngest, nil
}

// PublicKeys implements Vault.
func (v *PostgresVault) PublicKeys(ctx context.Context) (all []SigningKey, err error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	all, err = readSigningKeys(ctx, v.pool, "ORDER BY made_at, id")
	for i := range all {
		all[i].Private = nil
	}
	return all, databaseFault(err)
}
