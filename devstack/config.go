package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	schema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	clusterName = "active"
	clusterID   = "5f1d3c1e-6d0b-4c8e-9a53-7b1f0a6e2d49" // any UUID; one for all, since they never meet
	namespace   = "default"
	retention   = 72 * time.Hour // how long the histories of closed workflows stay
)

// dynamicConfig are the settings that differ from the server's defaults.
func dynamicConfig() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// A cancelled activity hears of it by a push from the server, within a fraction of a second, not at its next heartbeat.
		dynamicconfig.WorkerCommandsEnabled.Key():             true,
		dynamicconfig.EnableCancelActivityWorkerCommand.Key(): true,
		// The UI's button Pause, and "temporal workflow pause".
		dynamicconfig.WorkflowPauseEnabled.Key(): true,
		// Tasks are dispatched in turn among fairness keys.
		dynamicconfig.MatchingEnableFairness.Key(): true,
		// Search attributes can be used as soon as they are registered.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		dynamicconfig.NamespaceCacheRefreshInterval.Key():           200 * time.Millisecond,
		// Programs that start, and tests, ask for lists and schedules many times a second; by
		// default ten lists, and one query of a schedule at a time, are the limit.
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 1000,
		dynamicconfig.MaxBufferedQueryCount.Key():                        100,
		// Nothing calls home.
		dynamicconfig.EnableServerVersionCheck.Key(): false,
	}
}

// openDatabase makes Temporal's SQLite database unless it is there. It appears under its name only when its schema
// is complete, so a devstack killed meanwhile leaves nothing that the next would take for a database.
func openDatabase(o options) (*config.SQL, error) {
	db := sqliteAt(filepath.Join(o.dir, "temporal.db"))
	if o.memory {
		db.DatabaseName, db.ConnectAttributes = "devstack", map[string]string{"mode": "memory", "cache": "shared"}
		return db, createNamespace(db)
	}
	path := filepath.Join(o.dir, "temporal.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		unfinished := path + ".new"
		if err := os.RemoveAll(unfinished); err != nil {
			return nil, err
		}
		fresh := sqliteAt(unfinished)
		delete(fresh.ConnectAttributes, "journal_mode") // all of it in the one file that is renamed
		if err := schema.SetupSchema(fresh); err != nil {
			return nil, fmt.Errorf("temporal's database: %w", err)
		}
		if err := os.Rename(unfinished, path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, refusal{fmt.Sprintf("cannot keep state: %v; choose another folder with --dir", err)}
	}
	return db, createNamespace(db)
}

// sqliteAt is a database file. With a write-ahead log and NORMAL it loses nothing when the process is killed.
func sqliteAt(path string) *config.SQL {
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: (&url.URL{Path: path}).EscapedPath(), // the plugin puts it into a URI
		ConnectAttributes: map[string]string{
			"mode": "rwc", "journal_mode": "wal", "synchronous": "normal", "busy_timeout": "5000",
		},
	}
}

// createNamespace registers the namespace unless it is there.
func createNamespace(db *config.SQL) error {
	ns, err := schema.NewNamespaceConfig(clusterName, namespace, false, nil)
	if err != nil {
		return fmt.Errorf("temporal's namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(retention)
	if err := schema.CreateNamespaces(db, ns); err != nil {
		return fmt.Errorf("temporal's namespace: %w", err)
	}
	return nil
}

// newLogger writes to standard error what is at or above the level.
func newLogger(level zap.AtomicLevel) log.Logger {
	format := zap.NewProductionEncoderConfig()
	format.EncodeTime = zapcore.ISO8601TimeEncoder
	return log.NewZapLogger(zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(format), zapcore.Lock(os.Stderr), level)))
}

// newServer puts the four services of Temporal into one server.
func newServer(a temporalAddrs, db *config.SQL, logger log.Logger) (temporal.Server, error) {
	cfg := serverConfig(a, db)
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, err
	}
	return temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: static.SingleLocalHost(a.frontend),
			primitives.HistoryService:  static.SingleLocalHost(a.history),
			primitives.MatchingService: static.SingleLocalHost(a.matching),
			primitives.WorkerService:   static.SingleLocalHost(a.worker),
		}),
		temporal.WithAuthorizer(authorizer),
		temporal.WithDynamicConfigClient(dynamicConfig()),
		temporal.WithLogger(logger),
	)
}

func serverConfig(a temporalAddrs, db *config.SQL) *config.Config {
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore: "sqlite", VisibilityStore: "sqlite", NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{"sqlite": {SQL: db}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: a.frontend, ClusterID: clusterID},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: a.frontend},
		Services: map[string]config.Service{
			"frontend": {RPC: rpc(a.frontend, portOf(a.frontendHTTP))},
			"history":  {RPC: rpc(a.history, 0)},
			"matching": {RPC: rpc(a.matching, 0)},
			"worker":   {RPC: rpc(a.worker, 0)},
		},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	cfg.Global.Metrics = &metrics.Config{
		ClientConfig: metrics.ClientConfig{WithoutCounterSuffix: true}, // action, as by default, not action_total
		Prometheus:   &metrics.PrometheusConfig{ListenAddress: a.metrics, HandlerPath: "/metrics", Framework: "opentelemetry"},
	}
	cfg.Archival.History.State, cfg.Archival.Visibility.State = "disabled", "disabled"
	cfg.NamespaceDefaults.Archival.History.State, cfg.NamespaceDefaults.Archival.Visibility.State = "disabled", "disabled"
	return cfg
}

func rpc(addr string, httpPort int) config.RPC {
	host, _, _ := net.SplitHostPort(addr) // checked when it was taken
	return config.RPC{BindOnIP: host, GRPCPort: portOf(addr), HTTPPort: httpPort}
}

func uiConfig(a temporalAddrs) *uiconfig.Config {
	host, _, _ := net.SplitHostPort(a.ui) // checked when it was taken
	return &uiconfig.Config{
		Host: host, Port: portOf(a.ui), TemporalGRPCAddress: a.frontend, DefaultNamespace: namespace, EnableUI: true,
		CORS:             uiconfig.CORS{CookieInsecure: true}, // it is served over plain HTTP
		HideLogs:         true,
		DisableNewsFetch: true,
	}
}

// portOf returns the port of an address that was checked when it was taken.
func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}
