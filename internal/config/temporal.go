package config

import (
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
)

// Temporal returns client options from Temporal's own variables
// (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS…) and
// its configuration file, with 127.0.0.1:7233 and the namespace default when
// they say nothing.
func Temporal(logger *slog.Logger) (client.Options, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, fmt.Errorf("TEMPORAL_ settings: %w", err)
	}
	if options.HostPort == "" {
		options.HostPort = "127.0.0.1:7233"
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	options.Logger = log.NewStructuredLogger(logger)
	// gRPC would look for a TXT record of the host's name, too: in a network in which nobody
	// answers that, each connection waits ten seconds for it.
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, grpc.WithDisableServiceConfig())
	return options, nil
}
