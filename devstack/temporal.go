package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/api/workflowservice/v1"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// temporalAddrs are where the four services of Temporal and what belongs to them listen; only the first three are
// told to anybody.
type temporalAddrs struct {
	frontend, ui, metrics                   string
	frontendHTTP, history, matching, worker string
}

// serveTemporal is a Temporal server and its web UI until ctx ends.
func serveTemporal(ctx context.Context, o options, announce func(report) error) error {
	lock, err := lockFile(filepath.Join(o.dir, "temporal.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	held := &ports{}
	defer held.close()
	addrs, err := takeAddrs(held, o)
	if err != nil {
		return err
	}
	os.Stdout = os.Stderr // standard output is for the report; the UI server logs its failures there
	sql, err := openDatabase(o)
	if err != nil {
		return err
	}
	held.release()
	level := zap.NewAtomicLevelAt(zap.WarnLevel)
	server, err := newServer(addrs, sql, newLogger(level))
	if err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	ui := uiserver.NewServer(uioptions.WithConfigProvider(uiConfig(addrs)))

	if err := server.Start(); err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	go ui.Start() // ends the process if it cannot listen, and returns nil after Stop
	r := report{Temporal: addrs.frontend, UI: "http://" + addrs.ui, Metrics: "http://" + addrs.metrics + "/metrics"}
	if err = r.awaitTemporal(ctx); err == nil {
		err = announce(r)
	}
	if err == nil || ctx.Err() != nil {
		<-ctx.Done()
		err = nil
	}
	level.SetLevel(zap.FatalLevel) // the services complain of each other's going
	ui.Stop()
	return errors.Join(err, server.Stop())
}

func takeAddrs(held *ports, o options) (a temporalAddrs, err error) {
	for _, want := range []struct {
		to         *string
		addr, flag string
	}{
		{&a.frontend, o.temporal, "temporal-addr"},
		{&a.ui, o.ui, "ui-addr"},
		{&a.metrics, o.metrics, "metrics-addr"},
		{&a.frontendHTTP, anyPort, ""}, {&a.history, anyPort, ""}, {&a.matching, anyPort, ""}, {&a.worker, anyPort, ""},
	} {
		if *want.to, err = held.take(want.addr, want.flag); err != nil {
			return a, err
		}
	}
	return a, nil
}

// awaitTemporal waits until the frontend knows the namespace and the UI and the metrics answer.
func (r report) awaitTemporal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+r.Temporal, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer conn.Close()
	frontend := workflowservice.NewWorkflowServiceClient(conn)
	if err := retry(ctx, func() error {
		_, err := frontend.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		return err
	}); err != nil {
		return fmt.Errorf("temporal did not get ready: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{}} // no proxy from the environment
	defer client.CloseIdleConnections()
	for _, url := range []string{r.UI, r.Metrics} {
		if err := retry(ctx, func() error { return get(ctx, client, url) }); err != nil {
			return fmt.Errorf("temporal did not get ready: %w", err)
		}
	}
	return nil
}

// retry calls f until it succeeds; when ctx ends, it returns what f failed with last.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
