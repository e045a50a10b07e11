package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// plain is a Temporal client that knows only the names of the contract: the
// workflow id video/<id>, signals, updates and the query. This file imports
// nothing of ours.
type plain struct {
	client.Client
	t  *testing.T
	id string // of the workflow
}

func (r *rig) plain(id string) plain { return plain{r.temporal(), r.t, "video/" + id} }

type status struct {
	ID      string   `json:"id"`
	Stage   string   `json:"stage"`
	Paused  bool     `json:"paused"`
	Ending  string   `json:"ending"`
	Actions []string `json:"actions"`
	Waiting string   `json:"waiting_for"`
}

func (p plain) status() status {
	p.t.Helper()
	value, err := p.QueryWorkflow(p.t.Context(), p.id, "", "status")
	if err != nil {
		p.t.Fatal(err)
	}
	var s status
	if err := value.Get(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p plain) signal(name string, arg any) {
	p.t.Helper()
	if err := p.SignalWorkflow(p.t.Context(), p.id, "", name, arg); err != nil {
		p.t.Fatalf("signal %s: %v", name, err)
	}
}

func (p plain) update(name string) (s status, err error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	handle, err := p.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: p.id, UpdateName: name, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &s)
	}
	return s, err
}

// ends waits until the workflow has completed, and returns the reason of its receipt.
func (p plain) ends() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	var receipt struct {
		Reason string            `json:"reason"`
		Stores []json.RawMessage `json:"stores"`
	}
	if err := p.GetWorkflow(ctx, p.id, "").Get(ctx, &receipt); err != nil {
		p.t.Fatalf("the workflow has not completed: %v", err)
	}
	if len(receipt.Stores) != 3 {
		p.t.Errorf("the receipt names %d stores", len(receipt.Stores))
	}
	return receipt.Reason
}

func TestPlainClientSignals(t *testing.T) {
	t.Parallel()
	r := shared(t)
	v, _ := r.uploading(r.as("me"))
	p := r.plain(string(v.ID))
	if s := p.status(); s.ID != string(v.ID) || s.Stage != "uploading" || s.Paused || !strings.Contains(strings.Join(s.Actions, " "), "pause") {
		t.Errorf("status: %+v", s)
	}
	p.signal("pause", nil)
	r.until("the pause has taken hold", 20*time.Second, func() bool { return p.status().Paused })
	p.signal("resume", "any payload does")
	r.until("the resume has taken hold", 20*time.Second, func() bool { return !p.status().Paused })
	for _, name := range []string{"pause", "resume", "pause", "resume", "pause"} {
		p.signal(name, nil)
	}
	p.signal("approve", nil) // refused, and nobody is hurt
	if s := p.status(); !s.Paused || s.Stage != "uploading" {
		t.Errorf("signals took effect in another order than they were sent: %+v", s)
	}
	p.signal("cancel", map[string]bool{"keep_draft": true})
	r.until("it is a draft", 20*time.Second, func() bool { return p.status().Stage == "draft" })
	p.signal("cancel", nil)
	if why := p.ends(); why != "canceled" {
		t.Errorf("the receipt says %q", why)
	}
	r.nothingOf(v.ID)
}

func TestPlainClientUpdates(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	v, u := r.announce(me, clip(t, 4, 270, false))
	p := r.plain(string(v.ID))
	if s, err := p.update("pause"); err != nil || !s.Paused {
		t.Fatalf("pause: %+v, %v", s, err)
	}
	if now, err := me.Video(r.ctx, v.ID); err != nil || !now.Paused {
		t.Errorf("once the update is answered the API says paused: %t, %v", now.Paused, err)
	}
	if s, err := p.update("resume"); err != nil || s.Paused {
		t.Fatalf("resume: %+v, %v", s, err)
	}
	r.must(u.Run(r.ctx))
	r.until("it is published", 2*time.Minute, func() bool { return p.status().Stage == "published" })
	_, err := p.update("pause")
	if refused, ok := errors.AsType[*temporal.ApplicationError](err); !ok || !strings.Contains(refused.Message(), "it is published") {
		t.Errorf("a published video can't be paused, and the refusal says: %v", err)
	}
	if s, err := p.update("delete"); err != nil || s.Ending != "deleted" {
		t.Errorf("delete: %+v, %v", s, err)
	}
	if _, err := r.as("somebody").Video(r.ctx, v.ID); err == nil {
		t.Error("once the update is answered a stranger still sees it")
	}
	if why := p.ends(); why != "deleted" {
		t.Errorf("the receipt says %q", why)
	}
	r.nothingOf(v.ID)
}

// Temporal's own cancel means cancel before publication and delete after it; a
// signal deletes as well.
func TestPlainClientEndsLives(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	begun, _ := r.uploading(me)
	p := r.plain(string(begun.ID))
	r.must(p.CancelWorkflow(r.ctx, p.id, ""))
	if why := p.ends(); why != "canceled" {
		t.Errorf("the workflow canceled while uploading: the receipt says %q", why)
	}
	r.nothingOf(begun.ID)
	for name, end := range map[string]func(plain){
		"cancel of the workflow": func(p plain) { r.must(p.CancelWorkflow(r.ctx, p.id, "")) },
		"signal":                 func(p plain) { p.signal("delete", nil) },
	} {
		v := r.upload(me, clip(t, 4, 270, false))
		p := r.plain(string(v.ID))
		r.until("it is published", 2*time.Minute, func() bool { return p.status().Stage == "published" })
		end(p)
		if why := p.ends(); why != "deleted" {
			t.Errorf("%s after publication: the receipt says %q", name, why)
		}
		r.nothingOf(v.ID)
	}
}
