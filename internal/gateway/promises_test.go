package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// obstacles are the states in which a life doesn't answer.
func obstacles() map[string]*Obstacle {
	at := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	return map[string]*Obstacle{
		"paused":    {Reason: workflowPaused, Since: at, By: "ops@example.org", Why: "a look at disk 7"},
		"failing":   {Reason: workflowFailing, Since: at},
		"no worker": {Reason: noWorker},
	}
}

func eventually(t *testing.T, what string, held func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !held(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain:", what)
		}
	}
}

func (s *site) row(id video.ID) catalog.Video {
	s.t.Helper()
	row, err := s.catalog.Video(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return row
}

// within is the time that an answer may take, five times what is promised.
func (s *site) within(limit time.Duration, ask func()) {
	s.t.Helper()
	begun := time.Now()
	if ask(); time.Since(begun) > limit {
		s.t.Errorf("it took %v", time.Since(begun))
	}
}

func TestDeleteWhateverStateTheWorkflowIsIn(t *testing.T) {
	t.Parallel()
	states := obstacles()
	states["Temporal is down"] = nil
	for name, why := range states {
		t.Run(name, func(t *testing.T) {
			s := newSiteOf(t, func(s *Settings) { s.Policy.DeleteGrace, s.Policy.OverdueAfter = time.Hour, time.Hour })
			id := s.in(video.Published, "public")
			s.packaged(id)
			of := "/v1/videos/" + string(id)
			var p video.Playback
			if err := json.Unmarshal(s.request("", "GET", of+"/playback", "").body, &p); err != nil {
				t.Fatal(err)
			}
			s.lives.stick(why)
			s.lives.setDown(why == nil)
			var v video.Video
			s.within(5*time.Second, func() { v = s.video(s.request("owner", "DELETE", of, ""), http.StatusAccepted) })
			if v.Stage != video.PendingDeletion || *v.Ending != video.ByDeletion || v.Visible || v.DeletedAt == nil || v.WaitingFor == nil ||
				v.PurgeAt == nil || !v.PurgeAt.Equal(v.DeletedAt.Add(time.Hour)) || v.Overdue {
				t.Errorf("%+v", v)
			}
			for _, who := range []string{"", "other", "reviewer"} {
				for _, path := range []string{of, of + "/events", of + "/playback", "/watch/" + string(id)} {
					s.refusalStatus(who, path, 404)
				}
			}
			for _, path := range []string{p.HLS, p.Poster, strings.Replace(p.HLS, "master", "720p", 1)} {
				s.refusalStatus("", path, 404) // as at the video's own address
			}
			s.refusal(s.request("owner", "GET", of+"/playback", ""), video.Gone)
			if got := s.request("", "GET", "/v1/users/owner/videos", ""); strings.Contains(string(got.body), string(id)) {
				t.Errorf("a list shows it: %s", got.body)
			}
			for stage, want := range map[string]bool{"published": false, "pending_deletion": true} {
				if got := s.request("owner", "GET", "/v1/me/videos?stage="+stage, ""); strings.Contains(string(got.body), string(id)) != want {
					t.Errorf("listed as %s: %v", stage, !want)
				}
			}
			again := s.video(s.request("owner", "DELETE", of, ""), http.StatusAccepted)
			if !again.DeletedAt.Equal(*v.DeletedAt) {
				t.Errorf("deleted at %v, then at %v", v.DeletedAt, again.DeletedAt)
			}

			s.lives.setDown(false)
			s.lives.stick(nil)
			eventually(t, "the life ends by the deletion", func() bool { return s.row(id).Ending == video.ByDeletion })
			if row := s.row(id); !row.HiddenAt.Equal(*v.DeletedAt) || row.DeletionAsked() {
				t.Errorf("%+v", row)
			}
		})
	}
}

func (s *site) refusalStatus(who, path string, want int) {
	s.t.Helper()
	if got := s.request(who, "GET", path, ""); got.status != want {
		s.t.Errorf("as %q: GET %s: %d, want %d", who, path, got.status, want)
	}
}

// The gateway that hid it died before it could tell anybody, and the life had not even begun.
func TestAnotherGatewayTells(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lives.setDown(true)
	unstarted := s.made("owner", `{}`).ID
	s.lives.setDown(false)
	lost := s.in(video.Published, "public")
	canceled := s.made("owner", `{"keep_draft":true}`).ID
	for _, id := range []video.ID{unstarted, lost} {
		if _, err := s.catalog.Hide(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.catalog.AskCancel(t.Context(), canceled, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they end by the deletion", func() bool {
		return s.row(unstarted).Ending == video.ByDeletion && s.row(lost).Ending == video.ByDeletion
	})
	eventually(t, "it is a draft", func() bool { return s.row(canceled).Stage == video.Draft && s.row(canceled).CancelAskedAt.IsZero() })
}

// Signals cost something and a run takes only so many: what Temporal has recorded is
// repeated ever more seldom, and what it could not is not given up.
func TestAPromiseIsToldEverMoreSeldom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lives.stick(obstacles()["paused"])
	id := s.in(video.Published, "public")
	if _, err := s.catalog.Hide(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	known, p := map[promise]telling{}, promise{id, video.Delete}
	row := s.row(id)
	s.lives.setDown(true)
	for range 3 {
		if err := s.tellAgain(t.Context(), row, p, known); err == nil {
			t.Error("told nobody, and was content")
		}
	}
	if rest := time.Until(known[p].next); rest > slowestRetry || rest <= 0 {
		t.Errorf("after a failure it waits %v", rest)
	}
	s.lives.setDown(false)
	var last time.Duration
	for range 10 {
		if err := s.tellAgain(t.Context(), row, p, known); err != nil {
			t.Fatal(err)
		}
		rest := time.Until(known[p].next)
		if rest < 2*last && rest < seldomTelling-time.Minute {
			t.Errorf("after %v it waits %v", last, rest)
		}
		last = rest
	}
	if last < seldomTelling-time.Minute {
		t.Errorf("at last it waits %v", last)
	}
	eventually(t, "it is listed, once the request had its time to tell it", func() bool {
		page, err := s.catalog.Promised(t.Context(), video.Delete, time.Now().Add(-promiseAfter), "", 10)
		return err == nil && len(page) == 1
	})
	told := len(s.lives.signals(id))
	if err := s.tellPromised(t.Context(), known); err != nil || len(known) != 1 || len(s.lives.signals(id)) > told+1 { // one is the site's own
		t.Errorf("%v, %v, %d signals", known, err, len(s.lives.signals(id)))
	}
	s.lives.stick(nil)
	eventually(t, "it is forgotten once it is kept", func() bool {
		return s.tellPromised(t.Context(), known) == nil && len(known) == 0
	})
}

func TestCancelWhateverStateTheWorkflowIsIn(t *testing.T) {
	t.Parallel()
	states := obstacles()
	states["Temporal is down"] = nil
	for name, why := range states {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			gone, kept, byTus := s.made("owner", `{"source":{"size":9}}`), s.made("owner", `{"source":{"size":9},"keep_draft":true}`), s.made("owner", `{"source":{"size":9}}`)
			s.lives.stick(why)
			s.lives.setDown(why == nil)
			for _, v := range []video.Video{gone, kept} {
				var got video.Video
				s.within(10*time.Second, func() {
					got = s.video(s.request("owner", "POST", "/v1/videos/"+string(v.ID)+"/cancel", ""), http.StatusAccepted)
				})
				if got.WaitingFor == nil || !strings.Contains(*got.WaitingFor, "cancel") {
					t.Errorf("%+v", got)
				}
				s.video(s.request("owner", "POST", "/v1/videos/"+string(v.ID)+"/cancel", "{}"), http.StatusAccepted) // again
			}
			if got := s.tus("", "DELETE", *byTus.Upload.URL, ""); got.status != 204 {
				t.Errorf("by tus: %d %s", got.status, got.body)
			}
			for v, want := range map[*video.Video]int{&gone: 410, &kept: 423, &byTus: 410} {
				if got := s.tus("", "PATCH", *v.Upload.URL, "x", "Upload-Offset", "0"); got.status != want {
					t.Errorf("PATCH: %d, want %d: %s", got.status, want, got.body)
				}
			}
			s.lives.setDown(false)
			s.lives.stick(nil)
			eventually(t, "the cancels take hold", func() bool {
				return s.row(gone.ID).Ending == video.ByCancellation && s.row(kept.ID).Stage == video.Draft && s.row(byTus.ID).Ending == video.ByCancellation
			})
			for _, v := range []video.Video{gone, kept, byTus} {
				if row := s.row(v.ID); !row.CancelAskedAt.IsZero() {
					t.Errorf("still on record: %+v", row)
				}
				for _, signal := range s.lives.signals(v.ID) {
					if signal.r.KeepDraft != (v.ID == kept.ID) {
						t.Errorf("the life was told %+v", signal)
					}
				}
			}
		})
	}
}

func TestACancelThatTheLifeRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Uploading, "public")
	s.lives.refuse = video.Errorf(video.Conflict, "The video can't take it.")
	if p := s.refusal(s.request("owner", "POST", "/v1/videos/"+string(id)+"/cancel", ""), video.Conflict); p.Detail != "The video can't take it." {
		t.Error(p.Detail)
	}
	if row := s.row(id); !row.CancelAskedAt.IsZero() || len(s.lives.signals(id)) != 0 {
		t.Errorf("the gate stays closed: %+v", row)
	}
}

// One that has been accepted is on record in Temporal: it needs no signal, however long
// it takes to hold.
func TestACancelThatTakesItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Uploading, "public")
	s.lives.slow = 2 * acceptPatience
	v := s.video(s.request("owner", "POST", "/v1/videos/"+string(id)+"/cancel", ""), http.StatusOK)
	if *v.Ending != video.ByCancellation || len(s.lives.signals(id)) != 0 {
		t.Errorf("%+v, %v", v, s.lives.signals(id))
	}
}

func TestWhyACommandIsNotAnswered(t *testing.T) {
	t.Parallel()
	for name, why := range obstacles() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			id := s.in(video.Reviewing, "public")
			of := "/v1/videos/" + string(id)
			s.lives.stick(why)
			for _, c := range []struct {
				who, path string
				operator  bool
			}{{"owner", of + "/pause", false}, {"reviewer", of + "/approve", false}, {people.OperatorName, of + "/hold", true}} {
				var got answer
				s.within(25*time.Second, func() { got = s.request(c.who, "POST", c.path, "") })
				code := video.Unavailable
				if why.Reason == workflowPaused {
					code = video.Conflict
				}
				p := s.refusal(got, code)
				if p.Reason != why.Reason {
					t.Errorf("as %s: %+v", c.who, p)
				}
				if names := strings.Contains(p.Detail, "ops@") || strings.Contains(p.Detail, "disk 7"); names != (c.operator && why.By != "") {
					t.Errorf("as %s: %s", c.who, p.Detail)
				}
				if sent := strings.Contains(p.Detail, "may still"); sent != (why.Reason == noWorker) {
					t.Errorf("as %s: %s", c.who, p.Detail)
				}
			}
		})
	}
}

// What is so already is answered from the row: clients that repeat themselves use up
// nothing that an operator's command needs.
func TestRepeatedCommandsAskNoWorkflow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	deleted, paused, approved := s.in(video.Published, "public"), s.in(video.Processing, "public"), s.in(video.Reviewing, "public")
	held := s.in(video.Published, "public")
	ask := func(who, method, path string, status int) { s.video(s.request(who, method, path, ""), status) }
	all := func() {
		ask("owner", "DELETE", "/v1/videos/"+string(deleted), 202)
		ask("owner", "POST", "/v1/videos/"+string(paused)+"/pause", 200)
		ask(people.OperatorName, "POST", "/v1/videos/"+string(approved)+"/approve", 200)
		ask(people.OperatorName, "POST", "/v1/videos/"+string(held)+"/hold", 200)
	}
	all()
	s.lives.mu.Lock()
	updates, signals := s.lives.updates, len(s.lives.told)
	s.lives.mu.Unlock()
	if updates != 3 || signals != 1 {
		t.Fatalf("%d updates and %d signals", updates, signals)
	}
	for range 20 {
		all()
	}
	s.lives.stick(obstacles()["failing"])
	all() // and need none
	s.lives.stick(nil)
	s.lives.mu.Lock()
	if s.lives.updates != updates || len(s.lives.told) != signals {
		t.Errorf("%d updates, %d signals", s.lives.updates, len(s.lives.told))
	}
	s.lives.mu.Unlock()
	ask(people.OperatorName, "POST", "/v1/videos/"+string(held)+"/release", 200)
	if v := s.video(s.request(people.OperatorName, "GET", "/v1/videos/"+string(held), ""), 200); v.Held {
		t.Error("not released")
	}
}

// A pause that nobody waited for may still take hold: a resume after it is no repetition,
// whatever the row shows.
func TestAResumeAfterAPauseThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Processing, "public")
	s.lives.stick(obstacles()["no worker"])
	s.refusal(s.request("owner", "POST", "/v1/videos/"+string(id)+"/pause", ""), video.Unavailable)
	s.lives.stick(nil)
	before := s.lives.updates
	s.video(s.request("owner", "POST", "/v1/videos/"+string(id)+"/resume", ""), 200)
	if s.lives.updates != before+1 {
		t.Error("the life was not asked")
	}
}

func TestAReviewerSeesWhatTheyDecided(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Reviewing, "public")
	if v := s.video(s.request("reviewer", "POST", "/v1/videos/"+string(id)+"/approve", ""), 200); v.Stage != video.Scheduled {
		t.Errorf("%+v", v)
	}
}

func TestOverdueWithoutTheWorkflow(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.Policy.DeleteGrace, s.Policy.OverdueAfter = time.Hour, time.Hour })
	now := time.Now()
	past, soon := now.Add(-3*time.Hour), now.Add(-90*time.Minute)
	for name, c := range map[string]struct {
		row  catalog.Video
		late bool
	}{
		"public":                            {catalog.Video{Stage: video.Published}, false},
		"a draft whose time is over":        {catalog.Video{Stage: video.Draft, PurgeAt: past}, false},
		"deleted, in its grace":             {catalog.Video{Stage: video.Published, HiddenAt: soon}, false},
		"deleted, nobody took it up":        {catalog.Video{Stage: video.Published, HiddenAt: past}, true},
		"never published, nobody did":       {catalog.Video{Stage: video.Uploading, HiddenAt: soon}, true},
		"pending, its grace is over":        {catalog.Video{Stage: video.PendingDeletion, Ending: video.ByDeletion, HiddenAt: past, PurgeAt: soon}, true},
		"pending, in its grace":             {catalog.Video{Stage: video.PendingDeletion, Ending: video.ByDeletion, HiddenAt: past, PurgeAt: now.Add(time.Minute)}, false},
		"under legal hold":                  {catalog.Video{Stage: video.PendingDeletion, Ending: video.ByDeletion, HiddenAt: past, PurgeAt: past, Held: true}, false},
		"being purged for long":             {catalog.Video{Stage: video.Purging, Ending: video.ByExpiry, HiddenAt: past}, true},
		"as its workflow says":              {catalog.Video{Stage: video.Purging, Ending: video.ByExpiry, HiddenAt: now, Overdue: true}, true},
		"canceled, and its grace long over": {catalog.Video{Stage: video.Canceled, Ending: video.ByCancellation, PurgeAt: past}, true},
	} {
		if s.overdue(c.row) != c.late {
			t.Errorf("%s: overdue is %v", name, !c.late)
		}
	}
}

// What its people see of a video in trouble, and nobody else.
func TestTroubleIsForInsiders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	row, err := s.catalog.ControlOf(t.Context(), id)
	if err == nil {
		row.Epoch++
		_, err = s.catalog.Control(t.Context(), row, func(v *catalog.Video) { v.Trouble, v.Stray = true, true })
	}
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string][2]bool{"": {}, "other": {}, "owner": {true, false}, people.OperatorName: {true, true}} {
		v := s.video(s.request(who, "GET", "/v1/videos/"+string(id), ""), 200)
		if v.Trouble != want[0] || v.Stray != want[1] {
			t.Errorf("as %q: trouble %v, stray %v", who, v.Trouble, v.Stray)
		}
	}
}
