package e2e

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// No workflow makes progress: after a deploy of wrong workflow code, while an operator has
// paused them, or without a worker. Whoever deletes or cancels is answered at once all the
// same, in every stage; other commands are refused with the reason. Once it is put right
// each erasure ends by itself, and what nobody touched goes on.
func TestNoWorkflowMakesProgress(t *testing.T) {
	t.Parallel()
	few := []video.Stage{video.Uploading, video.Processing, video.Published}
	if soaking() {
		few = everyStage
	}
	for _, s := range []standstill{
		{"workflow code that panics", everyStage, everyStage, "workflow_failing", 503, func(l *standing) func() { return l.deployed(panics) }},
		{"workflow code that is not deterministic", everyStage, few, "workflow_failing", 503, func(l *standing) func() { return l.deployed(schedulesAnother) }},
		{"paused in Temporal", few, few, "workflow_paused", 409, (*standing).pausedInTemporal},
		{"no control worker", few, few, "no_worker", 503, (*standing).withoutWorker},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			l := newStanding(t, s)
			end := s.begin(l)
			l.deletedAndCanceled()
			l.otherCommandsSayWhy(s)
			end()
			l.goesOn()
		})
	}
}

type standstill struct {
	name             string
	ended, untouched []video.Stage // where videos are deleted and canceled, and left alone
	reason           string        // of the refusal of other commands, with its HTTP status
	status           int
	begin            func(*standing) (end func())
}

// everyStage in which a video can stay.
var everyStage = []video.Stage{
	video.Uploading, video.Processing, video.Reviewing, video.Scheduled, video.Publishing, video.Published,
	video.Draft, video.Rejected, video.PendingDeletion, video.Purging,
}

// standing is a stack with workers by role and videos that stay in their stages: some to be
// deleted, some to be canceled, some to be left alone.
type standing struct {
	*wrong
	deleted, canceled, untouched map[video.Stage]video.ID
	unsent                       map[video.ID]*client.Upload
}

func newStanding(t *testing.T, s standstill) *standing {
	t.Helper()
	r := start(t, stack.Options{
		Separate: true, Workers: 3, Roles: []string{"control", "transfer", "media"},
		Env: []string{"REELFLOW_DRAFT_TTL=24h", "REELFLOW_REJECTED_TTL=24h"},
	})
	l := &standing{
		wrong:   &wrong{rig: r, me: r.as("me"), lives: map[video.ID]video.Stage{}},
		deleted: map[video.Stage]video.ID{}, canceled: map[video.Stage]video.ID{}, untouched: map[video.Stage]video.ID{},
		unsent: map[video.ID]*client.Upload{},
	}
	for _, stage := range s.ended {
		l.deleted[stage] = l.upload(stage)
		if (video.State{Stage: stage}).Permits(video.Cancel, video.Owner) {
			l.canceled[stage] = l.upload(stage)
		}
	}
	for _, stage := range s.untouched {
		l.untouched[stage] = l.upload(stage)
	}
	for id, stage := range l.lives { // as far as the encoders are needed
		switch stage {
		case video.Uploading, video.Processing:
		case video.Draft, video.Publishing:
			l.stage(l.me, id, video.Reviewing, 2*time.Minute)
		case video.PendingDeletion, video.Purging:
			l.stage(l.me, id, video.Published, 2*time.Minute)
		default:
			l.stage(l.me, id, stage, 2*time.Minute)
		}
	}
	r.must(l.media().Kill())
	r.must(l.Parts["backup-b"].Kill())
	for id, stage := range l.lives {
		l.bring(id, stage)
	}
	l.allStand()
	return l
}

func (l *standing) control() *stack.Process { return l.Workers[0] }
func (l *standing) media() *stack.Process   { return l.Workers[2] }

// upload sends what is to be in a stage, as far as that needs no other command.
func (l *standing) upload(stage video.Stage) (id video.ID) {
	l.t.Helper()
	defer func() { l.lives[id] = stage }()
	small := clip(l.t, 1, 90, false)
	switch stage {
	case video.Uploading, video.Processing:
		v, u := l.announce(l.me, small)
		l.unsent[v.ID] = u
		return v.ID
	case video.Reviewing, video.Draft, video.Publishing:
		return l.uploadAs(client.NewVideo{Review: true}, small)
	case video.Scheduled:
		return l.uploadAs(client.NewVideo{PublishDelay: "3h"}, small)
	case video.Rejected:
		return l.uploadAs(client.NewVideo{}, notAVideo(l.t))
	}
	return l.uploadAs(client.NewVideo{}, small)
}

// bring gives the command by which a video comes into its stage, where it stays: nobody
// encodes, and one store is down.
func (l *standing) bring(id video.ID, stage video.Stage) {
	l.t.Helper()
	switch stage {
	case video.Processing:
		l.must(l.unsent[id].Run(l.ctx))
		delete(l.unsent, id)
	case video.Draft:
		_, err := l.me.Command(l.ctx, id, video.Cancel, video.CommandBody{KeepDraft: true})
		l.must(err)
	case video.Publishing:
		l.ask(l.as("admin"), id, video.Approve)
	case video.PendingDeletion:
		l.ask(l.as("admin"), id, video.Hold)
		l.must(l.me.Delete(l.ctx, id))
	case video.Purging:
		l.must(l.me.Delete(l.ctx, id))
	}
}

func (l *standing) deployed(lifecycle any) (rollback func()) {
	return l.rig.deployed(l.control(), lifecycle)
}

// deployed puts a worker with another workflow code in place of the control worker. What
// it returns is the rollback.
func (r *rig) deployed(control *stack.Process, lifecycle any) (rollback func()) {
	r.t.Helper()
	r.must(control.Kill())
	c, err := temporal.DialContext(r.ctx, temporal.Options{HostPort: r.Temporal, Logger: slog.New(slog.DiscardHandler)})
	r.must(err)
	bad := worker.New(c, video.ControlQueue, worker.Options{})
	bad.RegisterWorkflowWithOptions(lifecycle, workflow.RegisterOptions{Name: video.LifecycleWorkflow})
	r.must(bad.Start())
	return func() {
		bad.Stop()
		c.Close()
		r.must(control.Restart(r.ctx))
	}
}

func panics(workflow.Context, video.LifecycleInput) (video.Receipt, error) { panic("a bad deploy") }

// schedulesAnother is code by which no history of a life can have come about.
func schedulesAnother(ctx workflow.Context, in video.LifecycleInput) (receipt video.Receipt, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	return receipt, workflow.ExecuteActivity(ctx, "Another", in).Get(ctx, &receipt)
}

func (l *standing) pausedInTemporal() (unpause func()) {
	l.t.Helper()
	var all []func()
	for id := range l.lives {
		all = append(all, l.wrong.pausedInTemporal(id))
	}
	return func() {
		for _, unpause := range all {
			unpause()
		}
	}
}

func (l *standing) withoutWorker() (again func()) {
	l.t.Helper()
	l.must(l.control().Kill())
	return func() { l.must(l.control().Restart(l.ctx)) }
}

// deletedAndCanceled deletes and cancels in every stage, each of which is answered at once.
func (l *standing) deletedAndCanceled() {
	l.t.Helper()
	for stage, id := range l.deleted {
		l.promptly(func() error { return l.me.Delete(l.ctx, id) })
		v, err := l.me.Video(l.ctx, id)
		if err != nil || v.Ends() == "" {
			l.t.Errorf("%s and deleted: its owner sees %s, %q, %v", stage, v.Stage, v.Ends(), err)
		}
		if _, err := l.as("somebody-else").Video(l.ctx, id); err == nil {
			l.t.Errorf("%s and deleted: somebody else is told %v", stage, err)
		}
		if _, err := l.me.Playback(l.ctx, id); err == nil {
			l.t.Errorf("%s and deleted: it can be watched", stage)
		}
	}
	for _, id := range l.canceled {
		l.promptly(func() error {
			_, err := l.me.Command(l.ctx, id, video.Cancel, video.CommandBody{})
			return err
		})
	}
	for _, id := range []video.ID{l.deleted[video.Uploading], l.canceled[video.Uploading]} {
		if code := tus(l.t, http.MethodPatch, l.unsent[id].URL).StatusCode; code != http.StatusGone {
			l.t.Errorf("an upload that nobody wants any more is answered %d, want 410", code)
		}
	}
}

// otherCommandsSayWhy gives commands that need the workflow.
func (l *standing) otherCommandsSayWhy(s standstill) {
	l.t.Helper()
	for _, c := range []struct {
		user    string
		command video.Command
		stage   video.Stage
	}{{"me", video.Pause, video.Uploading}, {"admin", video.Hold, video.Published}} {
		asked := time.Now()
		code, said := l.problem(http.MethodPost, fmt.Sprintf("/v1/videos/%s/%s", l.untouched[c.stage], c.command), "{}", "dev:"+c.user)
		took := time.Since(asked)
		l.t.Logf("%s: %s is answered after %v: %d %+v", s.name, c.command, took, code, said)
		if code != s.status || said.Reason != s.reason || took > 15*time.Second {
			l.t.Errorf("%s is answered after %v: %d %+v, want %d %s", c.command, took, code, said, s.status, s.reason)
		}
	}
}

// goesOn checks the end of each life that was ended, and that the others go on.
func (l *standing) goesOn() {
	l.t.Helper()
	l.must(l.media().Restart(l.ctx))
	l.must(l.Parts["backup-b"].Restart(l.ctx))
	untouched := l.untouched
	// What was asked while nobody answered may take hold now; then this comes after it.
	l.ask(l.as("admin"), untouched[video.Published], video.Release)
	l.ask(l.me, untouched[video.Uploading], video.Resume)
	for _, group := range []map[video.Stage]video.ID{l.deleted, untouched} {
		if id, there := group[video.PendingDeletion]; there {
			l.ask(l.as("admin"), id, video.Release)
		}
	}
	for _, id := range l.deleted {
		l.erased(id, 2*time.Minute)
	}
	for _, id := range l.canceled {
		l.erased(id, 2*time.Minute)
		l.wantReceipt(id, video.ByCancellation)
	}
	l.must(l.unsent[untouched[video.Uploading]].Run(l.ctx))
	l.lives = map[video.ID]video.Stage{}
	for stage, id := range untouched {
		switch stage {
		case video.PendingDeletion, video.Purging:
			l.erased(id, 2*time.Minute)
		case video.Uploading, video.Processing, video.Publishing:
			l.lives[id] = video.Published
		default:
			l.lives[id] = stage
		}
	}
	l.allStand()
	l.plays(l.me, untouched[video.Published])
}

// A life that a bad deploy has begun has a history that the right code can't follow. It can
// be deleted at once, and goes on, or ends, once an operator has reset it to its beginning.
func TestBegunByABadDeploy(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{})
	me := r.as("me")
	rollback := r.deployed(r.Workers[0], schedulesAnother)
	kept, u := r.announce(me, clip(t, 1, 90, false))
	deleted, _ := r.announce(me, clip(t, 1, 90, false))
	for _, id := range []video.ID{kept.ID, deleted.ID} {
		r.until("the wrong code has begun the life", time.Minute, func() bool { return r.firstTask(id, "") > 0 })
	}
	rollback()
	r.promptly(func() error { return me.Delete(r.ctx, deleted.ID) })
	if code, said := r.problem(http.MethodPost, "/v1/videos/"+string(kept.ID)+"/pause", "{}", "dev:me"); code != 503 || said.Reason != "workflow_failing" {
		t.Errorf("a pause is answered %d: %+v", code, said)
	}
	for _, id := range []video.ID{kept.ID, deleted.ID} {
		r.reset(id, r.runs(id)[0])
	}
	r.erased(deleted.ID, time.Minute)
	r.must(u.Run(r.ctx))
	r.until("what was asked meanwhile has been taken up, or not", time.Minute, func() bool {
		_, err := me.Command(r.ctx, kept.ID, video.Resume, video.CommandBody{})
		return err == nil || video.CodeOf(err) == video.Conflict // published already
	})
	r.stage(me, kept.ID, video.Published, 2*time.Minute)
}

// A gateway dies after it has hidden a video and before it could tell the workflow: another
// one tells it, or itself once it is back.
func TestGatewayKilledBetweenHidingAndTelling(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true, Gateways: 2})
	var published []video.ID
	for range r.Gateways {
		published = append(published, r.upload(r.as("me"), clip(t, 1, 90, false)).ID)
	}
	for _, id := range published {
		r.stage(r.as("me"), id, video.Published, 2*time.Minute)
	}
	server := r.Parts["temporal"]
	hideAndKill := func(id video.ID, gateway int) {
		r.must(server.Freeze())
		r.promptly(func() error { return r.asAt("me", gateway).Delete(r.ctx, id) })
		r.must(r.Gateways[gateway].Kill())
		r.must(server.Thaw())
	}
	hideAndKill(published[0], 0)
	r.until("the other gateway has told it", 2*time.Minute, func() bool {
		_, err := r.asAt("me", 1).Receipt(r.ctx, published[0])
		return err == nil
	})
	r.nothingOf(published[0])
	hideAndKill(published[1], 1)
	r.must(r.Gateways[0].Restart(r.ctx))
	r.erased(published[1], 2*time.Minute)
	r.wantReceipt(published[1], video.ByDeletion)
}
