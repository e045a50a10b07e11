package gateway

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"

	"github.com/reelflow/reelflow/internal/gateway/requests"
	"github.com/reelflow/reelflow/video"
)

// Interceptor sends the id of a request along with the commands that come of it, as a
// header: the workers' logs have it, the workflow's memo and input don't. A start has none:
// every run of the life would carry it on.
// The Temporal client of a gateway is to be made with it.
func Interceptor() interceptor.ClientInterceptor { return &propagator{} }

type propagator struct {
	interceptor.ClientInterceptorBase
}

// InterceptClient implements interceptor.ClientInterceptor.
func (*propagator) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	out := &propagating{}
	out.Next = next
	return out
}

type propagating struct {
	interceptor.ClientOutboundInterceptorBase
}

func addRequest(ctx context.Context) {
	id := requests.ID(ctx)
	header := interceptor.Header(ctx)
	if id == "" || header == nil {
		return
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(id)
	if err != nil {
		payload = &commonpb.Payload{} // of a string, which can't fail
	}
	header[video.RequestHeader] = payload
}

// SignalWorkflow implements interceptor.ClientOutboundInterceptor.
func (p *propagating) SignalWorkflow(ctx context.Context, in *interceptor.ClientSignalWorkflowInput) error {
	if in.SignalName != video.UploadedSignal {
		addRequest(ctx)
	}
	return p.Next.SignalWorkflow(ctx, in)
}

// UpdateWorkflow implements interceptor.ClientOutboundInterceptor.
func (p *propagating) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (client.WorkflowUpdateHandle, error) {
	addRequest(ctx)
	return p.Next.UpdateWorkflow(ctx, in)
}
