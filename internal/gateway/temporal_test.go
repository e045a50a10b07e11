package gateway

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// livesSuite is what every Lives must do; begun is called before a life is started.
func livesSuite(t *testing.T, lives Lives, begun func(video.ID)) {
	ctx := t.Context()
	if err := lives.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	unknown := video.NewID()
	if _, err := commanded(ctx, lives, unknown, video.Pause, video.CommandRequest{}); video.CodeOf(err) != video.NotFound {
		t.Errorf("a command for nobody: %v", err)
	}
	if err := lives.Signal(ctx, unknown, video.Delete, video.CommandRequest{}); video.CodeOf(err) != video.NotFound {
		t.Errorf("a signal for nobody: %v", err)
	}
	if o, err := lives.Obstacle(ctx, unknown); o != nil || video.CodeOf(err) != video.NotFound {
		t.Errorf("in the way of nobody: %v, %v", o, err)
	}
	if err := lives.Uploaded(ctx, unknown); video.CodeOf(err) != video.NotFound {
		t.Errorf("word for nobody: %v", err)
	}

	id := video.NewID()
	begun(id)
	for range 2 {
		if err := lives.Start(ctx, video.LifecycleInput{ID: id, Owner: "opaque"}); err != nil {
			t.Fatal(err)
		}
		if err := lives.Uploaded(ctx, id); err != nil {
			t.Error(err)
		}
		status, err := commanded(ctx, lives, id, video.Pause, video.CommandRequest{})
		if err != nil || !status.Paused || status.ID != id || status.Stage != video.Uploading {
			t.Errorf("pause: %+v %v", status, err)
		}
	}
	_, err := commanded(ctx, lives, id, video.Approve, video.CommandRequest{})
	if video.CodeOf(err) != video.Conflict || !strings.Contains(problem.Of(err).Detail, "uploading") {
		t.Errorf("approve: %v", err)
	}
	status, err := commanded(ctx, lives, id, video.Cancel, video.CommandRequest{KeepDraft: true})
	if err != nil || status.Stage != video.Draft {
		t.Errorf("cancel: %+v %v", status, err)
	}
	if o, err := lives.Obstacle(ctx, id); o != nil || err != nil {
		t.Errorf("in the way of a life that answers: %+v, %v", o, err)
	}
	if err := lives.Signal(ctx, id, video.Delete, video.CommandRequest{}); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// commanded gives a command and waits until it has taken hold.
func commanded(ctx context.Context, lives Lives, id video.ID, c video.Command, r video.CommandRequest) (video.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	hold, err := lives.Command(ctx, id, c, r)
	if err != nil {
		return video.Status{}, err
	}
	return hold(ctx)
}

func TestLivesInTests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	livesSuite(t, s.lives, func(id video.ID) {
		row := catalog.Video{ID: id, Owner: "somebody", Visibility: "public", Stage: video.Uploading}
		hash := sha256.Sum256([]byte(id))
		err := s.catalog.Admit(t.Context(), row, catalog.Upload{Video: id, TokenHash: hash[:], Length: -1}, catalog.Admission{})
		if err != nil {
			t.Fatal(err)
		}
	})
	s.lives.setDown(true)
	checkDown(t, s.lives)
}

func TestLivesOfTemporal(t *testing.T) {
	t.Parallel()
	c := temporalOf(t)
	startWorker(t, c, obedient)
	lives := temporalLives{c}
	livesSuite(t, lives, func(video.ID) {})

	id := video.NewID()
	in := video.LifecycleInput{ID: id, Owner: "opaque"}
	if err := lives.Start(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := c.TerminateWorkflow(t.Context(), id.WorkflowID(), "", "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := commanded(t.Context(), lives, id, video.Pause, video.CommandRequest{}); video.CodeOf(err) != video.NotFound {
		t.Errorf("a command after the end: %v", err)
	}
	if err := lives.Start(t.Context(), in); err != nil {
		t.Errorf("start after the end: %v", err)
	}
	described, err := c.DescribeWorkflowExecution(t.Context(), id.WorkflowID(), "")
	if err != nil || described.WorkflowExecutionInfo.CloseTime == nil {
		t.Errorf("the life began anew: %v", err)
	}
}

// temporalOf is a client of a server of its own.
func temporalOf(t *testing.T) client.Client {
	t.Helper()
	stack := devstacktest.Start(t, devstacktest.Temporal)
	c, err := client.Dial(client.Options{HostPort: stack.Temporal, Logger: log.NewStructuredLogger(discard())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	register(t, c)
	return c
}

func startWorker(t *testing.T, c client.Client, lifecycle any) {
	t.Helper()
	w := worker.New(c, video.ControlQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(lifecycle, workflow.RegisterOptions{Name: video.LifecycleWorkflow})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
}

func register(t *testing.T, c client.Client) {
	t.Helper()
	keyword, boolean := enums.INDEXED_VALUE_TYPE_KEYWORD, enums.INDEXED_VALUE_TYPE_BOOL
	_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
		Namespace: client.DefaultNamespace,
		SearchAttributes: map[string]enums.IndexedValueType{
			video.StageAttribute: keyword, video.OwnerAttribute: keyword, video.PausedAttribute: boolean, video.OverdueAttribute: boolean,
			video.TroubleAttribute: boolean,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTemporalOutOfReach(t *testing.T) {
	t.Parallel()
	c, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1", Logger: log.NewStructuredLogger(discard())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkDown(t, temporalLives{c})
}

func checkDown(t *testing.T, lives Lives) {
	t.Helper()
	ctx := t.Context()
	begun := time.Now()
	_, commandErr := commanded(ctx, lives, video.NewID(), video.Pause, video.CommandRequest{})
	_, obstacleErr := lives.Obstacle(ctx, video.NewID())
	for call, err := range map[string]error{
		"start": lives.Start(ctx, video.LifecycleInput{ID: video.NewID()}), "command": commandErr,
		"signal": lives.Signal(ctx, video.NewID(), video.Delete, video.CommandRequest{}), "obstacle": obstacleErr,
		"uploaded": lives.Uploaded(ctx, video.NewID()), "ready": lives.Ready(ctx),
	} {
		if video.CodeOf(err) != video.Unavailable {
			t.Errorf("%s: %v", call, err)
		}
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v to find out", took)
	}
}

// obedient is a workflow that does what it is told at once, by the table of commands.
func obedient(ctx workflow.Context, in video.LifecycleInput) (video.Receipt, error) {
	state := video.State{Stage: video.Uploading}
	over := false
	for _, c := range video.Commands {
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(c), func(_ workflow.Context, r video.CommandRequest) (video.Status, error) {
			switch c {
			case video.Pause:
				state.Paused = true
			case video.Cancel:
				if r.KeepDraft {
					state.Stage = video.Draft
				}
			case video.Delete:
				over = true
			}
			return video.Status{ID: in.ID, Stage: state.Stage, Paused: state.Paused}, nil
		}, workflow.UpdateHandlerOptions{Validator: func(video.CommandRequest) error {
			if err := state.Check(c); err != nil {
				return temporal.NewNonRetryableApplicationError(problem.Of(err).Detail, string(video.CodeOf(err)), nil)
			}
			return nil
		}})
		if err != nil {
			return video.Receipt{}, err
		}
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.GetSignalChannel(ctx, string(video.Delete)).Receive(ctx, nil)
		over = true
	})
	return video.Receipt{}, workflow.Await(ctx, func() bool { return over })
}
