package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reelflow/reelflow/video"
)

// Temporal is a namespace of a Temporal server. The id is the memo "installation" of
// the schedule that runs the audit.
type Temporal struct {
	Client    client.Client
	Namespace string
	Address   string
	// AuditEvery is the interval of the schedule when it is made. Only a program whose
	// Makes is set makes it: a worker, which waits for Temporal and readies it for lives.
	AuditEvery time.Duration
	Makes      bool
}

const (
	memoKey = "installation"
	// catchup is how late an audit may begin that was due while Temporal was down. The
	// server's own is a year: every one that was missed would run at once.
	catchup = time.Minute
)

// AuditSpec is when the audit runs.
func AuditSpec(every time.Duration) client.ScheduleSpec {
	return client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}}
}

// AuditPolicy is how audits follow each other: one runs at a time, and those that were
// missed are not made up for.
func AuditPolicy() client.SchedulePolicies {
	return client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchup}
}

func (t Temporal) label() label {
	return label{
		name: "temporal", title: fmt.Sprintf("Temporal at %s, namespace %q", t.Address, t.Namespace),
		setting: "TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE", fresh: "a new namespace",
	}
}

// ours marks the calls of the comparison itself, which the guard lets pass.
type ours struct{}

func own(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, ours{}, true), 10*time.Second)
}

func (t Temporal) read(ctx context.Context) (string, error) {
	id, _, err := t.describe(ctx)
	return id, err
}

// describe returns the id in the schedule's memo, empty for none, and the schedule,
// nil if there is none.
func (t Temporal) describe(ctx context.Context) (string, *workflowservice.DescribeScheduleResponse, error) {
	ctx, cancel := own(ctx)
	defer cancel()
	d, err := t.Client.WorkflowService().DescribeSchedule(ctx,
		&workflowservice.DescribeScheduleRequest{Namespace: t.Namespace, ScheduleId: video.AuditSchedule})
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, unreachable(err)
	}
	payload, there := d.GetMemo().GetFields()[memoKey]
	if !there {
		return "", d, nil
	}
	var id string
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &id); err != nil || id == "" {
		return "", d, &Mismatch{fmt.Sprintf("%s has a schedule %q whose memo %q can't be read as the id of an installation. Is it ours?",
			t.label().title, video.AuditSchedule, memoKey)}
	}
	return id, d, nil
}

// unused looks for workflows, too, those that have ended included.
func (t Temporal) unused(ctx context.Context) (bool, error) {
	_, schedule, err := t.describe(ctx)
	if err != nil || schedule != nil {
		return false, err
	}
	ctx, cancel := own(ctx)
	defer cancel()
	found, err := t.Client.WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: t.Namespace, PageSize: 1, Query: fmt.Sprintf("WorkflowType = '%s'", video.LifecycleWorkflow),
	})
	if err != nil {
		return false, unreachable(err)
	}
	return len(found.GetExecutions()) == 0, nil
}

// write makes the schedule, or makes the one that is there anew with another memo.
func (t Temporal) write(ctx context.Context, id, replaced string) error {
	if !t.Makes {
		return video.Errorf(video.Unavailable, "Temporal does not know this installation yet; the first worker that starts will tell it.")
	}
	ctx, cancel := own(ctx)
	defer cancel()
	policy := AuditPolicy()
	_, err := t.Client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: video.AuditSchedule, Spec: AuditSpec(t.AuditEvery), Memo: map[string]any{memoKey: id},
		Overlap: policy.Overlap, CatchupWindow: policy.CatchupWindow,
		Action: &client.ScheduleWorkflowAction{
			ID: video.AuditSchedule, Workflow: video.AuditWorkflow, TaskQueue: video.ControlQueue,
			StaticSummary: "look for videos without a workflow, and workflows without a video",
		},
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return t.rename(ctx, id, replaced)
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// rename makes the schedule anew as it was, paused if it was, but with another memo: a
// server can't change that of a schedule. Who dies in between leaves none, and does it
// again.
func (t Temporal) rename(ctx context.Context, id, replaced string) error {
	have, schedule, err := t.describe(ctx)
	if err != nil || schedule == nil || have != replaced {
		return err // another was quicker; what is there is read again
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(id)
	if err != nil {
		return video.Errorf(video.Internal, "The installation's id could not be written.").Because(err)
	}
	service, kept := t.Client.WorkflowService(), schedule
	_, err = service.DeleteSchedule(ctx, &workflowservice.DeleteScheduleRequest{Namespace: t.Namespace, ScheduleId: video.AuditSchedule})
	for err == nil && schedule != nil { // until its end shows
		time.Sleep(20 * time.Millisecond)
		_, schedule, err = t.describe(ctx)
	}
	if err == nil {
		_, err = service.CreateSchedule(ctx, &workflowservice.CreateScheduleRequest{
			Namespace: t.Namespace, ScheduleId: video.AuditSchedule, Schedule: kept.GetSchedule(), RequestId: string(video.NewID()),
			Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{memoKey: payload}},
		})
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

func unreachable(err error) error {
	return video.Errorf(video.Unavailable, "The Temporal server does not answer.").Because(err)
}

// AwaitTemporal waits until Temporal answers and was compared. It fails with a *Mismatch
// when it doesn't belong here, and with the last error when ctx ends.
func (i *Installation) AwaitTemporal(ctx context.Context) error {
	for tries := 0; ; tries++ {
		err := i.admit(ctx, i.temporal)
		if err == nil {
			return nil
		}
		if wrong, is := errors.AsType[*Mismatch](err); is {
			return wrong
		}
		if tries%10 == 0 {
			i.places.Log.Warn("waiting until Temporal can be compared", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// GuardTemporal makes a client compare Temporal before its first use. The calls by
// which a connection is made and looked after pass.
func (i *Installation) GuardTemporal(o *client.Options) {
	guard := func(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if ctx.Value(ours{}) == nil && !strings.HasSuffix(method, "/GetSystemInfo") && !strings.HasPrefix(method, "/grpc.health.") {
			if err := i.admit(ctx, i.temporal); err != nil {
				return refusal(err)
			}
		}
		return invoke(ctx, method, request, reply, cc, options...)
	}
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(guard))
}

// refusal is what the client's caller is told. What may pass is Unavailable, which the
// client repeats for as long as its caller waits.
func refusal(err error) error {
	if isMismatch(err) {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}
