package e2e

import (
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// pausedInTemporal presses the UI's button Pause, and returns what presses Unpause.
func (r *rig) pausedInTemporal(id video.ID) (unpause func()) {
	r.t.Helper()
	service := r.temporal().WorkflowService()
	_, err := service.PauseWorkflowExecution(r.ctx, &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: "default", WorkflowId: id.WorkflowID(), Identity: "operator@host", Reason: "a look", RequestId: "pause " + string(id),
	})
	r.must(err)
	return func() {
		_, err := service.UnpauseWorkflowExecution(r.ctx, &workflowservice.UnpauseWorkflowExecutionRequest{
			Namespace: "default", WorkflowId: id.WorkflowID(), RequestId: "unpause " + string(id),
		})
		r.must(err)
	}
}

// promptly is for answers that are promised within a second.
func (r *rig) promptly(ask func() error) {
	r.t.Helper()
	begun := time.Now()
	r.must(ask())
	if took := time.Since(begun); took > 5*time.Second {
		r.t.Errorf("it took %v", took)
	}
}

// An operator has paused the workflow: a deletion hides the video at once and a cancel
// ends the upload, and both are carried out once the workflow goes on.
func TestDeletedAndCanceledWhilePausedInTemporal(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	published := r.upload(me, clip(t, 4, 270, false)).ID
	r.stage(me, published, video.Published, 2*time.Minute)
	begun, sent := r.uploading(me)
	goOn := []func(){r.pausedInTemporal(published), r.pausedInTemporal(begun.ID)}

	r.promptly(func() error { return me.Delete(r.ctx, published) })
	r.promptly(func() error {
		_, err := me.Command(r.ctx, begun.ID, video.Cancel, video.CommandBody{})
		return err
	})
	if err := within(sent, 20*time.Second); video.CodeOf(err) != video.Gone {
		t.Errorf("the client's upload ended with %v, want gone", err)
	}
	if _, err := r.as("somebody-else").Video(r.ctx, published); video.CodeOf(err) != video.NotFound {
		t.Errorf("somebody else is answered: %v", err)
	}
	if _, err := me.Playback(r.ctx, published); video.CodeOf(err) != video.Gone {
		t.Errorf("it can be watched: %v", err)
	}
	v, err := me.Video(r.ctx, published)
	if r.must(err); v.Stage != video.PendingDeletion || v.Ends() != video.ByDeletion {
		t.Errorf("its owner sees %s, %s", v.Stage, v.Ends())
	}
	if _, err := me.Command(r.ctx, begun.ID, video.Pause, video.CommandBody{}); video.CodeOf(err) != video.Conflict || client.StatusOf(err) != 409 {
		t.Errorf("another command: %v", err)
	}

	for _, unpause := range goOn {
		unpause()
	}
	r.erased(published, time.Minute)
	r.erased(begun.ID, time.Minute)
	r.wantReceipt(published, video.ByDeletion)
	r.wantReceipt(begun.ID, video.ByCancellation)
}
