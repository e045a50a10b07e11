package vault_test

import (
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
)

func TestPostgresVault(t *testing.T) {
	vaulttest.Run(t, func(t *testing.T) vault.Vault {
		v, err := vault.OpenPostgres(t.Context(), vault.Settings{Address: vault.Postgres.Schema(t)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}
