package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/activities"
	"github.com/reelflow/reelflow/internal/config"
	"github.com/reelflow/reelflow/internal/telemetry"
	"github.com/reelflow/reelflow/video"
)

// newIdentity names this process from its start to its end. It goes into every history, so
// it names no machine and no person.
func newIdentity(role string) string { return fmt.Sprintf("%s-%06x", role, rand.Uint32()>>8) }

// dial connects to Temporal under an identity and waits for as long as it isn't there.
func dial(ctx context.Context, c *config.Config, as string, m *telemetry.Metrics, h *telemetry.Health, log *slog.Logger) (_ client.Client, namespace, address string, err error) {
	options, err := config.Temporal(slog.New(activities.Quiet(log.Handler())))
	if err != nil {
		return nil, "", "", err
	}
	options.MetricsHandler = m.Temporal()
	options.Identity = as
	for attempt := 0; ; attempt++ {
		trying, cancel := context.WithTimeout(ctx, 5*time.Second)
		temporal, err := client.DialContext(trying, options)
		cancel()
		if err == nil {
			log.Info("connected to Temporal", "address", options.HostPort, "namespace", options.Namespace, "identity", options.Identity)
			return temporal, options.Namespace, options.HostPort, nil
		}
		if refused(err) {
			return nil, "", "", fmt.Errorf("temporal at %s: %w", options.HostPort, err)
		}
		h.Waiting(video.Errorf(video.Unavailable, "Temporal can't be reached.").Because(err))
		if attempt%10 == 0 {
			log.Warn("waiting for Temporal", "address", options.HostPort, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, "", "", fmt.Errorf("temporal at %s was not reached: %w", options.HostPort, err)
		case <-time.After(time.Second):
		}
	}
}

// refused tells an answer that won't change from one that may.
func refused(err error) bool {
	if _, denied := errors.AsType[*serviceerror.PermissionDenied](err); denied {
		return true
	}
	_, missing := errors.AsType[*serviceerror.NamespaceNotFound](err)
	return missing
}

var attributes = map[string]enumspb.IndexedValueType{
	video.StageAttribute:   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	video.OwnerAttribute:   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	video.PausedAttribute:  enumspb.INDEXED_VALUE_TYPE_BOOL,
	video.OverdueAttribute: enumspb.INDEXED_VALUE_TYPE_BOOL,
	video.TroubleAttribute: enumspb.INDEXED_VALUE_TYPE_BOOL,
}

// registerAttributes adds the search attributes that the namespace lacks. Several
// workers may do so at once. Where the server allows nobody to add them (Temporal
// Cloud), it says which to make by hand.
func registerAttributes(ctx context.Context, temporal client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		missing, err := missingAttributes(ctx, temporal, namespace)
		if err != nil || len(missing) == 0 {
			return err
		}
		_, err = temporal.OperatorService().AddSearchAttributes(ctx,
			&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
		if _, exists := errors.AsType[*serviceerror.AlreadyExists](err); err != nil && !exists {
			return fmt.Errorf("the namespace %q lacks the search attributes %v, and they could not be added: %w", namespace, missing, err)
		}
		// Look again: they are used only once they show.
		select {
		case <-ctx.Done():
			return fmt.Errorf("the search attributes %v don't show: %w", missing, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// missingAttributes fails when one is there with another type.
func missingAttributes(ctx context.Context, temporal client.Client, namespace string) (map[string]enumspb.IndexedValueType, error) {
	there, err := temporal.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of the namespace %q: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, want := range attributes {
		got, ok := there.GetCustomAttributes()[name]
		switch {
		case !ok:
			missing[name] = want
		case got != want:
			return nil, fmt.Errorf("the search attribute %s is of type %v in the namespace %q; it must be %v", name, got, namespace, want)
		}
	}
	return missing, nil
}
