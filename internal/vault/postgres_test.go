package vault_test

import (
	"path/filepath"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
)

func TestPostgresVault(t *testing.T) {
	vaulttest.Run(t, func(t *testing.T) vault.Vault { return openPostgres(t, "") })
}

func TestPostgresVaultWithItsRootInAFile(t *testing.T) {
	vaulttest.Run(t, func(t *testing.T) vault.Vault { return openPostgres(t, "file://"+filepath.Join(t.TempDir(), "root")) })
}

func openPostgres(t *testing.T, root string) *vault.PostgresVault {
	t.Helper()
	v, err := vault.OpenPostgres(t.Context(), vault.Settings{Address: vault.Postgres.Schema(t), Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}
