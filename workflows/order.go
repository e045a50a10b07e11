package workflows

import (
	"encoding/json"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// Interceptors keeps command signals in the order in which the server took them:
// a Go workflow that reads one channel a signal name can't know it. Whoever runs
// or replays Lifecycle must use them; they are part of its determinism.
func Interceptors() []interceptor.WorkerInterceptor {
	return []interceptor.WorkerInterceptor{&orderedSignals{}}
}

// signalChannel is the one channel for command signals of all names.
const signalChannel = "commands in order"

// signaled is a command that came as a signal.
type signaled struct {
	Command video.Command        `json:"command"`
	Request video.CommandRequest `json:"request"`
}

type orderedSignals struct {
	interceptor.WorkerInterceptorBase
}

func (*orderedSignals) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &orderedInbound{}
	in.Next = next
	return in
}

type orderedInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (i *orderedInbound) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	command := video.Command(in.SignalName)
	if workflow.GetInfo(ctx).WorkflowType.Name != video.LifecycleWorkflow || !slices.Contains(video.Commands, command) {
		return i.Next.HandleSignal(ctx, in)
	}
	logCommand(ctx, in.SignalName)
	payload, err := converter.GetDefaultDataConverter().ToPayload(signaled{command, requestIn(in.Arg)})
	if err != nil {
		return err
	}
	return i.Next.HandleSignal(ctx, &interceptor.HandleSignalInput{
		SignalName: signalChannel, Arg: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload}},
	})
}

// ExecuteUpdate logs a command that came as an update.
func (i *orderedInbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	logCommand(ctx, in.Name)
	return i.Next.ExecuteUpdate(ctx, in)
}

// logCommand writes down that a command has come, with the id of the HTTP request that it
// was, if any: so that one request can be followed from the gateway to here.
func logCommand(ctx workflow.Context, name string) {
	var request string
	if payload := interceptor.WorkflowHeader(ctx)[video.RequestHeader]; payload != nil {
		_ = json.Unmarshal(payload.GetData(), &request) // any other payload is ignored
	}
	if request == "" {
		workflow.GetLogger(ctx).Debug("asked", "command", name)
		return
	}
	workflow.GetLogger(ctx).Info("asked", "command", name, "request", request)
}

// requestIn reads the optional payload. One that is something else is ignored:
// the UI's buttons and plain clients may send anything, and the command counts.
func requestIn(args *commonpb.Payloads) video.CommandRequest {
	var request video.CommandRequest
	if ps := args.GetPayloads(); len(ps) > 0 {
		if err := json.Unmarshal(ps[0].GetData(), &request); err != nil {
			return video.CommandRequest{}
		}
	}
	return request
}
