package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/reelflow/reelflow/video"
)

// Installation implements Vault.
func (v *FileVault) Installation(ctx context.Context) (string, error) {
	if err := v.usable(ctx); err != nil {
		return "", err
	}
	id, err := v.installation()
	return id, fault(err)
}

func (v *FileVault) installationPath() string { return filepath.Join(v.dir, "installation") }

func (v *FileVault) installation() (string, error) {
	text, err := os.ReadFile(v.installationPath())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// SetInstallation implements Vault.
func (v *FileVault) SetInstallation(ctx context.Context, id, replaced string) error {
	if id == "" || strings.TrimSpace(id) != id {
		return video.Errorf(video.Invalid, "The id of an installation must not be empty.")
	}
	return fault(v.writing(ctx, func() error {
		have, err := v.installation()
		switch {
		case err != nil:
			return err
		case have == id: // whoever wrote it may have died before it was durable
			return v.disk.syncDir(v.dir)
		case have != replaced:
			return video.Errorf(video.Conflict, "The key vault belongs to another installation.")
		}
		return v.disk.replace(v.installationPath(), []byte(id+"\n"))
	}))
}

// Unused implements Vault.
func (v *FileVault) Unused(ctx context.Context) (bool, error) {
	if err := v.usable(ctx); err != nil {
		return false, err
	}
	used, err := v.tree.holdsKeys()
	if err != nil || used {
		return false, fault(err)
	}
	for _, err := range v.ledger.all() {
		return false, fault(err)
	}
	return true, nil
}
