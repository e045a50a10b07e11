package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway"
	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
)

type serveCommand struct{}

// Run serves until it is told to stop. Requests under way have a moment to end;
// an upload that doesn't keeps every byte stored and goes on elsewhere.
func (serveCommand) Run(s *shell) error {
	g, done, err := openGateway(s)
	if err != nil {
		return err
	}
	defer done()
	listener, err := net.Listen("tcp", s.HTTPAddr)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --http-addr (REELFLOW_HTTP_ADDR)", err)
	}
	fmt.Fprintf(s.out, "ready http://%s\n", listener.Addr())
	return serve(s.ctx, listener, g)
}

// openGateway connects to everything. Temporal is connected to when it is first
// needed: reading works without it.
func openGateway(s *shell) (_ *gateway.Gateway, done func(), err error) {
	var closers []func()
	done = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	log := s.Logger(os.Stderr)
	rows, err := catalog.Open(s.ctx, string(s.DatabaseURL))
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() { rows.Close() })
	keys, err := vault.OpenURL(string(s.Vault))
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() { keys.Close() })
	// A catalog restored from a backup has again what was erased since.
	if _, err := ledger.Apply(s.ctx, keys, rows); err != nil {
		return nil, nil, err
	}
	stores, err := objects.OpenAll(string(s.Primary), s.Backups.Strings())
	if err != nil {
		return nil, nil, err
	}
	options, err := config.Temporal(log)
	if err != nil {
		return nil, nil, err
	}
	options.Identity = "gateway" // it goes into every history: no machine, no person
	temporal, err := client.NewLazyClient(options)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, temporal.Close)
	g, err := gateway.New(gatewaySettings(s.Config), rows, keys, stores, temporal, log)
	return g, done, err
}

func gatewaySettings(c *config.Config) gateway.Settings {
	return gateway.Settings{
		Auth: c.Auth, MaxBytes: c.MaxBytes, MaxDuration: c.MaxDuration, Policy: c.Policy(), PublicURL: c.PublicURL,
		Import: fetch.Policy{Allow: fetch.Hosts(c.ImportAllow), MaxBytes: c.MaxBytes},
		Limits: gateway.Limits{
			Creates: c.RateCreates, Commands: c.RateCommands, Reads: c.RateReads, Uploads: c.MaxOpenUploads, Bytes: c.QuotaBytes,
		},
		Issuer: issuer.Settings{
			Audience: c.OIDCAudience, ClientID: c.OIDCClientID, SecretFile: c.OIDCClientSecretFile,
			Scopes: strings.Fields(c.OIDCScopes), NameClaim: c.OIDCNameClaim, OperatorClaim: c.OperatorClaim,
		},
	}
}

const (
	headerTimeout   = 10 * time.Second // to send the head of a request
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 8 * time.Second
)

// serve ends when ctx does, or when either the server or the gateway's own work fails.
func serve(ctx context.Context, listener net.Listener, g *gateway.Gateway) error {
	// No timeout for whole requests: an upload and a stream of events may take
	// hours. Whoever sends slowly is bounded by the head's timeout, and by the
	// gateway, which expects an upload's bytes to move.
	server := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(graceful) != nil {
			return server.Close() // what is stored stays; the rest is sent again
		}
		return nil
	})
	return group.Wait()
}
