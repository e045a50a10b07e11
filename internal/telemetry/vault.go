package telemetry

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Vault returns the same vault, with what is asked of it for videos counted. Closing it
// closes the vault.
func (m *Metrics) Vault(v vault.Vault) vault.Vault { return &measuredVault{v, m} }

// measuredVault is a Vault whose calls are counted: those that people or workflows wait
// for. Its results are those of the vault.
type measuredVault struct {
	vault.Vault
	metrics *Metrics
}

func (v *measuredVault) observe(operation string, begun time.Time, err error) {
	v.metrics.vaultTime.WithLabelValues(operation, result(err)).Observe(time.Since(begun).Seconds())
}

func (v *measuredVault) Make(ctx context.Context, id video.ID) error {
	begun := time.Now()
	err := v.Vault.Make(ctx, id)
	v.observe("make", begun, err)
	return err
}

func (v *measuredVault) Confirm(ctx context.Context, id video.ID) error {
	begun := time.Now()
	err := v.Vault.Confirm(ctx, id)
	v.observe("confirm", begun, err)
	return err
}

func (v *measuredVault) Lend(ctx context.Context, id video.ID) (*vault.Loan, error) {
	begun := time.Now()
	loan, err := v.Vault.Lend(ctx, id)
	v.observe("lend", begun, err)
	return loan, err
}

func (v *measuredVault) Destroy(ctx context.Context, intent vault.Intent) (vault.Record, error) {
	begun := time.Now()
	record, err := v.Vault.Destroy(ctx, intent)
	v.observe("destroy", begun, err)
	return record, err
}

func (v *measuredVault) Ledger(ctx context.Context, idHash string) (vault.Record, bool, error) {
	begun := time.Now()
	record, found, err := v.Vault.Ledger(ctx, idHash)
	v.observe("ledger", begun, err)
	return record, found, err
}

func (v *measuredVault) Rotate(ctx context.Context) error {
	begun := time.Now()
	err := v.Vault.Rotate(ctx)
	v.observe("rotate", begun, err)
	return err
}
