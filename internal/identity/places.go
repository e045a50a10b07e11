package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// place is where the id is kept beside the catalog. Its errors are video.Errors or
// those of a context that has ended, but for a *Mismatch where what is there can't be
// read as an id.
type place interface {
	label() label
	// read returns the id that is there, empty for none.
	read(ctx context.Context) (string, error)
	// unused reports whether there is nothing of any installation.
	unused(ctx context.Context) (bool, error)
	// write writes the id in place of the one that was read before, empty for none.
	write(ctx context.Context, id, replaced string) error
}

type vaultPlace struct {
	vault   vault.Vault
	address string
}

func (p vaultPlace) label() label {
	return label{name: "vault", title: at("the vault", p.address), setting: "REELFLOW_VAULT", fresh: "a new vault"}
}

func (p vaultPlace) read(ctx context.Context) (string, error) { return p.vault.Installation(ctx) }

func (p vaultPlace) unused(ctx context.Context) (bool, error) { return p.vault.Unused(ctx) }

func (p vaultPlace) write(ctx context.Context, id, replaced string) error {
	err := p.vault.SetInstallation(ctx, id, replaced)
	if video.CodeOf(err) == video.Conflict && err != nil {
		return nil // another was quicker; what is there is read again
	}
	return err
}

// storeKey is the object that names the installation in every store.
const storeKey = "ledger/installation.json"

type named struct {
	Installation string `json:"installation"`
}

type storePlace struct {
	store objects.Store
	vault vault.Vault
}

func (p storePlace) label() label {
	return label{
		name: p.store.Name(), title: fmt.Sprintf("the store %q", p.store.Name()),
		setting: "REELFLOW_PRIMARY and REELFLOW_BACKUPS", fresh: "a new store",
	}
}

func (p storePlace) read(ctx context.Context) (string, error) {
	body, err := p.store.Get(ctx, storeKey, "", 0, -1)
	if video.CodeOf(err) == video.NotFound && err != nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close() // only read
	text, err := io.ReadAll(io.LimitReader(body, 4<<10))
	if err != nil {
		return "", err
	}
	var found named
	if json.Unmarshal(text, &found) != nil || found.Installation == "" {
		return "", &Mismatch{fmt.Sprintf("%s has an object %s that can't be read as the id of an installation. Is it ours?", upper(p.label().title), storeKey)}
	}
	return found.Installation, nil
}

var errFound = errors.New("found")

func (p storePlace) unused(ctx context.Context) (bool, error) {
	_, err := p.store.Inventory(ctx, "", func(objects.Entry) error { return errFound })
	if errors.Is(err, errFound) {
		return false, nil
	}
	return err == nil, err
}

// write can't make sure that nobody writes another id at the same time: what is there
// is read again afterwards, and before everything that erases.
func (p storePlace) write(ctx context.Context, id, _ string) error {
	body, err := json.Marshal(named{id})
	if err != nil {
		return err
	}
	_, err = p.store.Put(ctx, storeKey, body, objects.PutOptions{ContentType: "application/json"})
	return err
}

// ledgerPrefix is where a store keeps its copies of the ledger's records, and
// ledgerSample how many of them are looked at: named by hashes, the first are as good
// as any.
const (
	ledgerPrefix = "ledger/v/"
	ledgerSample = 1000
)

// checkVault fails with a *Mismatch when the store has the record of an erasure that
// the vault's ledger lacks: then the vault is older than the store, as after a restore
// from a backup, and keys that were destroyed would be in it again.
func (p storePlace) checkVault(ctx context.Context) error {
	hashes, err := p.records(ctx, ledgerSample)
	if err != nil {
		return err
	}
	for hash := range hashes {
		_, known, err := p.vault.Ledger(ctx, hash)
		if video.CodeOf(err) == video.Invalid && err != nil {
			continue // not a record
		}
		if err != nil {
			return err
		}
		if !known {
			return &Mismatch{fmt.Sprintf("The vault lacks the record of an erasure that %s has (%s): it is older than the store, as after a restore from a backup, and may hold keys that were destroyed. Put the latest vault back, or set REELFLOW_VAULT rightly; only if that vault is lost for good: starter adopt vault",
				p.label().title, hash)}
		}
	}
	return nil
}

// records returns the hashes of the records that the store has, so many at most; zero is
// all of them.
func (p storePlace) records(ctx context.Context, most int) (map[string]bool, error) {
	hashes := map[string]bool{}
	_, err := p.store.Inventory(ctx, ledgerPrefix, func(e objects.Entry) error {
		hash, isRecord := strings.CutSuffix(strings.TrimPrefix(e.Key, ledgerPrefix), ".json")
		if isRecord && e.Kind != objects.Multipart && e.Kind != objects.DeleteMarker {
			hashes[hash] = true
		}
		if most > 0 && len(hashes) == most {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return hashes, err
}
