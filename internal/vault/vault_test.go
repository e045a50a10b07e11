package vault_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
)

func TestFileVault(t *testing.T) {
	t.Parallel()
	vaulttest.Run(t, func(t *testing.T) vault.Vault { return vaulttest.New(t) })
}

func TestOpenAt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "vault")
	id := video.NewID()
	for _, address := range []string{dir, "file://" + dir} {
		v, err := vault.OpenAt(t.Context(), vault.Settings{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Make(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{"", "file://host/path", "file://", "postgres://me:secret@db:port/vault", "://"} {
		_, err := vault.OpenAt(t.Context(), vault.Settings{Address: address})
		if err == nil || video.CodeOf(err) != video.Invalid {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %q", err)
		}
	}
}
