package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway"
	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/gateway/requests"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/internal/telemetry"
)

type serveCommand struct{}

// Uses implements config.Chooser.
func (serveCommand) Uses(setting string) bool {
	return !slices.Contains([]string{"url", "token", "ui-addr", "scratch", "sandbox", "audit-settle", "role"}, setting)
}

// UsesTemporal implements config.Chooser.
func (serveCommand) UsesTemporal() bool { return true }

// Run serves until it is told to stop. Requests under way have a moment to end;
// an upload that doesn't keeps every byte stored and goes on elsewhere.
func (serveCommand) Run(s *shell) error {
	if err := mustServeHere(s.Config); err != nil {
		return err
	}
	o, err := openGateway(s)
	if err != nil {
		return err
	}
	defer o.close()
	listener, err := net.Listen("tcp", s.HTTPAddr)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --http-addr (REELFLOW_HTTP_ADDR)", err)
	}
	scheme := "http"
	if o.tls != nil {
		scheme, listener = "https", tls.NewListener(listener, o.tls)
	}
	fmt.Fprintf(s.out, "ready %s://%s\n", scheme, listener.Addr())
	return o.serve(s.ctx, listener)
}

// mustServeHere fails where everybody on a network could be whom they like.
func mustServeHere(c *config.Config) error {
	if c.Auth != "dev" || c.DevAnywhere {
		return nil
	}
	at, err := net.ResolveTCPAddr("tcp", c.HTTPAddr)
	if err == nil && at.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("in development mode everybody is who they say, operators too, so that %s is no address to listen on: take one of this machine, as 127.0.0.1:8080, "+
		"set REELFLOW_AUTH to the URL of an issuer, or say that it shall be so by REELFLOW_DEV_ANYWHERE=true", c.HTTPAddr)
}

// opened is a gateway with what it was made of.
type opened struct {
	*places
	temporal client.Client
	gateway  *gateway.Gateway
	tls      *tls.Config       // nil without
	health   *telemetry.Server // nil without
	drainFor time.Duration     // how long it goes on after it was told to stop
}

func (o *opened) close() {
	o.health.Close()
	if o.temporal != nil {
		o.temporal.Close()
	}
	o.places.close()
}

// openGateway connects to everything, once it was found to belong together. Temporal
// is connected to when it is first needed: reading works without it.
func openGateway(s *shell) (_ *opened, err error) {
	log := slog.New(requests.Log{Handler: s.Logger(os.Stderr).Handler()})
	p, err := openPlaces(s, log)
	if err != nil {
		return nil, err
	}
	o := &opened{places: p, drainFor: s.Drain}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	if o.tls, err = tlsConfig(s.Config); err != nil {
		return nil, err
	}
	if o.temporal, err = p.connect(s, log, false); err != nil {
		return nil, err
	}
	if err := p.installation.Compare(s.ctx); err != nil {
		return nil, err
	}
	// A catalog restored from a backup has again what was erased since.
	if _, err := ledger.Apply(s.ctx, p.keys, p.rows); err != nil {
		return nil, err
	}
	stores := p.installation.Stores()
	p.metrics.Catalog(p.rows, stores.Names(), log)
	p.metrics.Queues(o.temporal, p.namespace, log)
	settings := gatewaySettings(s.Config)
	settings.Meter = p.metrics
	if o.gateway, err = gateway.New(settings, p.rows, p.keys, stores, o.temporal, log); err != nil {
		return nil, err
	}
	if s.HealthAddr != "" {
		register := func(mux *http.ServeMux) { o.gateway.RegisterHealth(mux) }
		if o.health, err = telemetry.Listen(s.HealthAddr, p.metrics, register, log); err != nil {
			return nil, fmt.Errorf("%w; choose another address with --health-addr (REELFLOW_HEALTH_ADDR)", err)
		}
	}
	return o, nil
}

func gatewaySettings(c *config.Config) gateway.Settings {
	return gateway.Settings{
		Auth: c.Auth, MaxBytes: c.MaxBytes, MaxDuration: c.MaxDuration, Policy: c.Policy(), PublicURL: c.PublicURL,
		Proxies: c.Proxies(), DevAnywhere: c.DevAnywhere,
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

// drain returns some time after the program was told to stop, so that a load balancer
// sees it go before the listener closes; or at once when it can't go on.
func (o *opened) drain(stopped, failed context.Context) {
	select {
	case <-stopped.Done():
	case <-failed.Done():
		return
	}
	o.gateway.Drain()
	select {
	case <-time.After(o.drainFor):
	case <-failed.Done():
	}
}

// serve ends when ctx does, when either the server or the gateway's own work fails, or
// when a place is found not to belong here.
func (o *opened) serve(ctx context.Context, listener net.Listener) error {
	g := o.gateway
	// No timeout for whole requests: an upload and a stream of events may take
	// hours. The head of a request has its time here; for the rest the gateway sets
	// deadlines that move with progress: for bodies that don't come, and for answers
	// that nobody reads.
	server := &http.Server{Handler: g.Handler(), TLSConfig: o.tls, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10}
	stopped := ctx
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		o.drain(stopped, ctx)
		return nil
	})
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error { return o.installation.Wait(ctx) })
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
