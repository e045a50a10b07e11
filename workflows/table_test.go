package workflows

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// expected says what becomes of a life when it is asked for a command, in the
// order of columns; it is written from the contract, not from the code:
//
//   - refused, with the reason
//     =           a success that changes nothing
//     paused      the same stage, and nothing runs any more
//     held        the same stage, and nothing is erased until release
//     >STAGE      the life goes on there
//     !REASON     the life ends; this is the reason in its receipt
var (
	columns  = strings.Fields("pause resume cancel delete approve reject publish restore hold release")
	expected = map[video.Stage]string{
		"uploading":        "paused =           !canceled !deleted  -          -         -          -           held =",
		"processing":       "paused =           !canceled !deleted  -          -         -          -           held =",
		"reviewing":        "paused =           !canceled !deleted  >published !rejected >published -           held =",
		"scheduled":        "paused =           !canceled !deleted  -          -         >published -           held =",
		"publishing":       "paused =           !canceled !deleted  -          -         -          -           held =",
		"published":        "-      -           -         !deleted  -          -         -          -           held =",
		"pending_deletion": "-      -           -         =         -          -         -          -           held =",
		"purging":          "-      -           -         =         -          -         -          -           -    -",
		"draft":            "-      >processing !canceled !deleted  -          -         -          -           held =",
		"canceled":         "-      -           =         !deleted  -          -         -          >processing held =",
		"rejected":         "-      -           -         !deleted  -          -         -          >processing held =",
	}
	expectedPaused = map[video.Stage]string{
		"uploading":  "= >uploading  !canceled !deleted - - - - held =",
		"processing": "= >processing !canceled !deleted - - - - held =",
		"reviewing":  "= >reviewing  !canceled !deleted >published !rejected >published - held =",
		"scheduled":  "= >scheduled  !canceled !deleted - - >published - held =",
		"publishing": "= >publishing !canceled !deleted - - - - held =",
	}
)

// Purged is missing above: then the workflow is closed, and the server refuses
// for it. TestOnServer has it.
func TestEveryCommandInEveryStage(t *testing.T) {
	for _, stage := range video.Stages {
		if stage == video.Purged {
			continue
		}
		for _, paused := range []bool{false, true} {
			cells := strings.Fields(expected[stage])
			if paused {
				cells = strings.Fields(expectedPaused[stage])
			}
			if len(cells) != len(columns) && !(paused && len(cells) == 0) {
				t.Fatalf("%s: %d cells", stage, len(cells))
			}
			for i, cell := range cells {
				for _, by := range []string{"signal", "update"} {
					c := trial{stage: stage, paused: paused, command: video.Command(columns[i]), by: by, want: cell}
					t.Run(c.String(), func(t *testing.T) {
						t.Parallel()
						c.run(t)
					})
				}
			}
		}
	}
}

// trial asks for one command in one stage.
type trial struct {
	stage   video.Stage
	paused  bool
	command video.Command
	by      string
	want    string

	f      *film
	before video.Status
	answer *answer // of an update
}

func (c *trial) String() string {
	name := fmt.Sprintf("%s/%s/%s", c.stage, c.command, c.by)
	if c.paused {
		name = fmt.Sprintf("%s paused/%s/%s", c.stage, c.command, c.by)
	}
	return name
}

func (c *trial) run(t *testing.T) {
	c.f = newFilm(t)
	scenes := c.arrive()
	if c.paused {
		scenes = append(scenes,
			scene{"the moment to pause", c.there, func() { c.f.update(video.Pause) }},
			scene{"a pause", func(s video.Status) bool { return s.Paused && !c.working() }, nil})
	}
	scenes = append(scenes, scene{"the moment of the command", c.ready, c.ask})
	c.f.play(append(scenes, c.consequences()...)...)
	c.ended()
}

// arrive sets a life up so that it comes to the stage and stays there.
func (c *trial) arrive() []scene {
	f, in := c.f, &c.f.in
	in.Policy.DeleteGrace = time.Second
	hold := func(what string) { f.world.held[what] = true }
	working := func(video.Status) bool { return f.world.busy("EncodePiece") == 3 }
	switch c.stage {
	case video.Uploading:
		f.silent = true
	case video.Processing:
		hold("EncodePiece")
	case video.Reviewing:
		in.Review = true
	case video.Scheduled:
		in.Policy.PublishDelay = time.Hour
	case video.Publishing:
		hold("CopyReplica")
	case video.Published:
		f.carry(video.Published)
	case video.PendingDeletion:
		f.carry(video.Published)
		return []scene{{"publication", c.in(video.Published), func() { f.update(video.Delete) }}}
	case video.Purging:
		f.carry(video.Published)
		f.world.goDown("PurgeReplica")
		return []scene{{"publication", c.in(video.Published), func() { f.update(video.Delete) }}}
	case video.Draft:
		hold("EncodePiece")
		return []scene{{"work", working, func() { f.update(video.Cancel, video.CommandRequest{KeepDraft: true}) }}}
	case video.Canceled:
		hold("EncodePiece")
		in.Policy.CancelGrace = time.Hour
		return []scene{{"work", working, func() { f.update(video.Cancel) }}}
	case video.Rejected:
		f.world.rejected = &video.Rejection{Code: "not_a_video", Message: "This is a text."}
		hold("EncodePiece") // where a restored one comes to
	}
	return nil
}

func (c *trial) in(stage video.Stage) func(video.Status) bool {
	return func(s video.Status) bool { return s.Stage == stage }
}

// working reports whether anything runs but what writes down where the life stands.
func (c *trial) working() bool {
	c.f.world.mu.Lock()
	defer c.f.world.mu.Unlock()
	for what, n := range c.f.world.running {
		if n > 0 && what != "Control" {
			return true
		}
	}
	return false
}

// there reports whether the stage has been reached, and its work goes on.
func (c *trial) there(s video.Status) bool {
	busy := map[video.Stage]int{video.Processing: c.f.world.busy("EncodePiece"), video.Publishing: c.f.world.busy("CopyReplica")}
	switch {
	case s.Stage != c.stage:
		return false
	case c.stage == video.Processing:
		return busy[c.stage] == 3
	case c.stage == video.Publishing:
		return busy[c.stage] == 2
	case c.stage == video.Purging: // its key is gone
		return c.f.world.count("PurgeReplica") > 0
	}
	return !c.working() && c.f.world.busy("Control") == 0
}

func (c *trial) ready(s video.Status) bool {
	if c.paused {
		return c.f.world.busy("Control") == 0
	}
	return c.there(s)
}

func (c *trial) ask() {
	c.before = c.f.status()
	c.f.world.change(func() { c.f.world.rejected = nil })
	if c.by == "update" {
		c.answer = c.f.update(c.command)
		return
	}
	c.f.SignalWorkflow(string(c.command), nil)
}

// consequences are what must follow, and then an end of the life.
func (c *trial) consequences() []scene {
	f := c.f
	finish := func() {
		f.world.comeBack()
		f.SignalWorkflow(string(video.Delete), nil)
	}
	answered := scene{"an answer", func(video.Status) bool { return c.answer == nil || c.answer.done }, nil}
	kind, rest := c.want[:1], c.want[1:]
	switch {
	case kind == "-":
		return []scene{{"a refusal", c.refused, finish}}
	case kind == "=":
		quiet := 0
		return []scene{answered, {"nothing", func(video.Status) bool { quiet++; return quiet > 5 }, func() { c.unchanged(); finish() }}}
	case kind == "!":
		return nil
	case c.want == "paused":
		quiet := 0
		return []scene{answered, {"a pause", func(s video.Status) bool { return s.Paused && !c.working() }, nil},
			{"nothing", func(video.Status) bool { quiet++; return quiet > 5 }, func() { c.still(); finish() }}}
	case c.want == "held":
		return []scene{answered, {"a hold", func(s video.Status) bool { return canBe(s, video.Release) && !canBe(s, video.Hold) }, finish},
			{"an end that waits", func(s video.Status) bool { return strings.Contains(s.WaitingFor, "legal hold") }, func() {
				if n := f.world.count("DestroyKey"); n != 0 {
					f.t.Errorf("the key was destroyed under a legal hold")
				}
				f.SignalWorkflow(string(video.Release), nil)
			}}}
	case rest == "published":
		if !c.paused {
			return nil
		}
		return []scene{answered, {"no change in the pause", func(s video.Status) bool { return s.Paused && s.Stage == c.stage && !c.working() },
			func() { f.SignalWorkflow(string(video.Resume), nil) }}}
	}
	return []scene{answered, {"a life that goes on", func(s video.Status) bool {
		atWork := rest != "processing" && rest != "publishing" || c.working()
		return string(s.Stage) == rest && !s.Paused && s.Ending == "" && atWork
	}, finish}}
}

func canBe(s video.Status, c video.Command) bool {
	for _, a := range s.Actions {
		if a == c {
			return true
		}
	}
	return false
}

// refused checks that a refusal names the reason and what is possible.
func (c *trial) refused(s video.Status) bool {
	if c.answer == nil {
		if s.Refused != 1 {
			return false
		}
		c.checkDetails()
	} else {
		if !c.answer.done {
			return false
		}
		refusal, ok := errors.AsType[*temporal.ApplicationError](c.answer.refusal)
		if !ok || c.answer.accepted || refusal.Type() != string(video.Conflict) || s.Refused != 0 {
			c.f.t.Errorf("refused with %v (accepted %v); %+v", c.answer.refusal, c.answer.accepted, s)
			return true
		}
		words := refusal.Message()
		if !strings.Contains(words, strings.ReplaceAll(string(c.stage), "_", " ")) && !strings.Contains(words, string(c.before.Ending)) {
			c.f.t.Errorf("the refusal does not say why: %s", words)
		}
		for _, possible := range c.before.Actions {
			if !strings.Contains(words, string(possible)) {
				c.f.t.Errorf("the refusal does not say that %s is possible: %s", possible, words)
			}
		}
	}
	c.unchanged()
	return true
}

// checkDetails looks for the count in what people on call read.
func (c *trial) checkDetails() {
	if details := c.f.details(); !strings.Contains(details, "signals refused: 1") {
		c.f.t.Errorf("the current details hide a refused signal:\n%s", details)
	}
}

// unchanged checks that the life is where it was.
func (c *trial) unchanged() {
	c.f.t.Helper()
	now, was := c.f.status(), c.before
	if c.answer != nil && c.want == "=" && c.answer.refusal != nil {
		c.f.t.Errorf("repeating was refused: %v", c.answer.refusal)
	}
	if c.answer == nil && c.want == "=" && now.Refused != 0 {
		c.f.t.Errorf("repeating was refused")
	}
	if now.Stage != was.Stage || now.Paused != was.Paused || now.Ending != was.Ending {
		c.f.t.Errorf("changed from %+v to %+v", was, now)
	}
}

// still checks a pause.
func (c *trial) still() {
	now := c.f.status()
	if now.Stage != c.stage || !now.Paused || c.working() || now.WaitingFor != "a resume" || !canBe(now, video.Resume) || canBe(now, video.Pause) {
		c.f.t.Errorf("paused: %+v; works %v", now, c.working())
	}
	if c.answer != nil && (c.answer.refusal != nil || !c.answer.status.Paused) {
		c.f.t.Errorf("pause answered %+v", c.answer)
	}
}

// ended checks how the life ended.
func (c *trial) ended() {
	f := c.f
	if c.answer != nil && c.want != "-" && (!c.answer.done || c.answer.refusal != nil) {
		f.t.Errorf("answered %+v", c.answer)
	}
	if c.want == ">published" {
		if _, ok := errors.AsType[*workflow.ContinueAsNewError](f.GetWorkflowError()); !ok || f.world.count("Publish") != 1 {
			f.t.Errorf("published %d times, ended with %v", f.world.count("Publish"), f.GetWorkflowError())
		}
		return
	}
	reason := video.ByDeletion // of the finish
	if c.want[0] == '!' {
		reason = video.Ending(c.want[1:])
	}
	if r := f.receipt(); r.Reason != reason {
		f.t.Errorf("the receipt says %q, want %q", r.Reason, reason)
	}
	for what, n := range map[string]int{"DestroyKey": 1, "CloseReceipt": 1} {
		if got := f.world.count(what); got != n {
			f.t.Errorf("%s ran %d times, want %d", what, got, n)
		}
	}
	if wasPublic := f.world.count("Hide") == 1; wasPublic != (c.stage == video.Published || c.stage == video.PendingDeletion || c.stage == video.Purging) {
		f.t.Errorf("hidden %d times", f.world.count("Hide"))
	}
}
