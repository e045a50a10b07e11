package main

import (
	"log/slog"
	"os"
	"slices"

	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/gateway"
	"github.com/reelflow/reelflow/internal/identity"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/internal/vault"
)

// atPlaces is embedded in commands that go round the gateway, to what an installation keeps
// its things in.
type atPlaces struct{}

// Uses implements config.Chooser.
func (atPlaces) Uses(setting string) bool {
	return slices.Contains([]string{"data-dir", "database-url", "vault", "vault-root", "root-rotation",
		"primary", "backups", "audit-every", "log-level", "log-format"}, setting)
}

// UsesTemporal implements config.Chooser.
func (atPlaces) UsesTemporal() bool { return true }

// places are what an installation keeps its things in, as the settings name them. They
// are not compared yet.
type places struct {
	rows         *catalog.Catalog
	keys         vault.Vault
	installation *identity.Installation
	metrics      *telemetry.Metrics
	namespace    string // of Temporal, once it is connected to
}

func openPlaces(s *shell, log *slog.Logger) (_ *places, err error) {
	p := &places{metrics: telemetry.New(config.Version())}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.rows, err = catalog.Open(s.ctx, string(s.DatabaseURL)); err != nil {
		return nil, err
	}
	if p.keys, err = vault.OpenAt(s.ctx, vaultSettings(s.Config, log)); err != nil {
		return nil, err
	}
	stores, err := objects.OpenAll(string(s.Primary), s.Backups.Strings())
	if err != nil {
		return nil, err
	}
	p.keys, stores = p.metrics.Vault(p.keys), p.metrics.Stores(stores)
	p.installation = identity.New(identity.Places{
		Catalog: p.rows, Vault: p.keys, Stores: stores, Log: log,
		CatalogAt: s.DatabaseURL.String(), VaultAt: s.Vault.String(),
	})
	return p, nil
}

func vaultSettings(c *config.Config, log *slog.Logger) vault.Settings {
	return vault.Settings{Address: string(c.Vault), Root: string(c.VaultRoot), Rotation: c.RootRotation, Log: log}
}

// connect returns a client that connects when it is first needed, and compares before
// it is used. Makes says that it may make the schedule of the audit.
func (p *places) connect(s *shell, log *slog.Logger, makes bool) (client.Client, error) {
	options, err := config.Temporal(log)
	if err != nil {
		return nil, err
	}
	options.MetricsHandler = p.metrics.Temporal()
	p.namespace = options.Namespace
	options.Identity = "gateway" // it goes into every history: no machine, no person
	options.Interceptors = append(options.Interceptors, gateway.Interceptor())
	p.installation.GuardTemporal(&options)
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, err
	}
	p.installation.SetTemporal(identity.Temporal{
		Client: c, Namespace: options.Namespace, Address: options.HostPort, AuditEvery: s.AuditEvery, Makes: makes,
	})
	return c, nil
}

func (p *places) close() {
	if p.keys != nil {
		p.keys.Close()
	}
	if p.rows != nil {
		p.rows.Close()
	}
}

// withPlaces opens the places that the settings name, once they were found to belong
// together, for a command that works on them itself.
func (s *shell) withPlaces(do func(*places, client.Client) error) error {
	log := s.Logger(os.Stderr)
	p, err := openPlaces(s, log)
	if err != nil {
		return err
	}
	defer p.close()
	temporal, err := p.connect(s, log, false)
	if err != nil {
		return err
	}
	defer temporal.Close()
	if err := p.installation.Compare(s.ctx); err != nil {
		return err
	}
	return do(p, temporal)
}
