package video

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// who is the table as the contract tells it, written out once more: o is the
// owner, r a reviewer, x an operator. A dot: nobody.
//
//	pause, resume, cancel, delete, approve, reject, publish, restore, hold, release
var who = map[Stage]string{
	Uploading:       "ox ox ox ox .  .  .  .  x  x",
	Processing:      "ox ox ox ox .  .  .  .  x  x",
	Reviewing:       "ox ox ox ox rx rx x  .  x  x",
	Scheduled:       "ox ox ox ox .  .  ox .  x  x",
	Publishing:      "ox ox ox ox .  .  .  .  x  x",
	Published:       ".  .  .  ox .  .  .  .  x  x",
	PendingDeletion: ".  .  .  ox .  .  .  .  x  x",
	Purging:         ".  .  .  ox .  .  .  .  .  .",
	Purged:          ".  .  .  .  .  .  .  .  .  .",
	Draft:           ".  ox ox ox .  .  .  .  x  x",
	Canceled:        ".  .  .  ox .  .  .  x  x  x",
	Rejected:        ".  .  .  ox .  .  .  x  x  x",
}

var letters = map[Role]string{Owner: "o", Reviewer: "r", Operator: "x"}

func TestWhoMayAskForWhat(t *testing.T) {
	for _, stage := range Stages {
		cells := strings.Fields(who[stage])
		if len(cells) != len(Commands) {
			t.Fatalf("%s: %d cells", stage, len(cells))
		}
		// As a life in this stage is, without anything asked yet.
		state := State{Stage: stage}
		switch stage {
		case Canceled:
			state.Ending = ByCancellation
		case Rejected:
			state.Ending = ByRejection
		}
		for i, c := range Commands {
			for role, letter := range letters {
				may := strings.Contains(cells[i], letter)
				// Asking for what is so already is open to whoever could have asked first.
				if state.Repeats(c) {
					may = may || slices.ContainsFunc(Stages, func(s Stage) bool { return strings.Contains(strings.Fields(who[s])[i], letter) })
				}
				if got := state.Permits(c, role); got != may {
					t.Errorf("%s, %s, %s: permitted %v, want %v", stage, c, role, got, may)
				}
			}
			if allowed := cells[i] != "." || state.Repeats(c); (state.Check(c) == nil) != allowed {
				t.Errorf("%s, %s: %v", stage, c, state.Check(c))
			}
		}
	}
}

// states are all that can be thought of, sensible or not.
func states() (all []State) {
	decisions := [][]Command{nil, {Approve}, {Reject}, {Publish}, {Approve, Publish}, {Restore}, {Delete}}
	for _, stage := range append(slices.Clone(Stages), "", "no such stage") {
		for _, ending := range []Ending{"", ByDeletion, ByCancellation, ByRejection, ByExpiry} {
			for _, flags := range []State{{}, {Paused: true}, {Held: true}, {Paused: true, Held: true}} {
				for _, done := range decisions {
					all = append(all, State{Stage: stage, Ending: ending, Paused: flags.Paused, Held: flags.Held, Done: done})
				}
			}
		}
	}
	return all
}

func TestEveryRefusalSaysWhyAndWhatIsPossible(t *testing.T) {
	everybody := []Role{Owner, Reviewer, Operator}
	for _, s := range states() {
		can := s.Actions(everybody...)
		for _, c := range append(slices.Clone(Commands), "", "dance") {
			err := s.Check(c)
			if slices.Contains(can, c) && (err != nil || s.Repeats(c)) {
				t.Errorf("%+v offers %q, yet: %v", s, c, err)
			}
			if err == nil {
				if !s.Repeats(c) && !slices.Contains(can, c) {
					t.Errorf("%+v takes %q without offering it", s, c)
				}
				continue
			}
			checkRefusal(t, s, c, err, can)
		}
	}
}

func checkRefusal(t *testing.T, s State, c Command, err error, can []Command) {
	t.Helper()
	refusal, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		t.Errorf("%+v refuses %q with no code: %v", s, c, err)
	case s.Stage == Purged:
		if refusal.Code != Gone || refusal.Detail == "" {
			t.Errorf("%+v refuses %q with %v", s, c, err)
		}
	case refusal.Code != Conflict || !strings.Contains(refusal.Detail, "because it ") || strings.Contains(refusal.Detail, "because it is;"):
		t.Errorf("%+v refuses %q with %v", s, c, err)
	default:
		for _, possible := range can {
			if !strings.Contains(refusal.Detail, string(possible)) {
				t.Errorf("%+v refuses %q without saying that %s is possible: %v", s, c, possible, err)
			}
		}
	}
}

// What each role is offered is what everybody is offered, for those who may.
func TestActionsByRole(t *testing.T) {
	for _, s := range states() {
		all := s.Actions(Owner, Reviewer, Operator)
		for role := range letters {
			for _, c := range Commands {
				offered := slices.Contains(s.Actions(role), c)
				if offered != (slices.Contains(all, c) && s.Permits(c, role)) {
					t.Errorf("%+v: %s offered to %s: %v", s, c, role, offered)
				}
			}
		}
		if got := s.Actions(); len(got) != 0 {
			t.Errorf("%+v offers %v to nobody", s, got)
		}
	}
}

func TestRepeatingIsSuccess(t *testing.T) {
	for _, row := range []struct {
		state State
		again []Command
	}{
		{State{Stage: Uploading}, []Command{Resume, Release}},
		{State{Stage: Processing, Paused: true}, []Command{Pause, Release}},
		{State{Stage: Processing, Ending: ByCancellation}, []Command{Cancel, Release}},
		{State{Stage: Canceled, Ending: ByCancellation}, []Command{Cancel, Release}},
		{State{Stage: Canceled, Ending: ByDeletion}, []Command{Delete, Release}},
		{State{Stage: Processing, Done: []Command{Restore}}, []Command{Resume, Restore, Release}},
		{State{Stage: Scheduled, Done: []Command{Approve}}, []Command{Resume, Approve, Release}},
		{State{Stage: Publishing, Done: []Command{Approve, Publish}}, []Command{Resume, Approve, Publish, Release}},
		{State{Stage: Published, Held: true}, []Command{Hold}},
		{State{Stage: PendingDeletion, Ending: ByDeletion}, []Command{Delete, Release}},
		{State{Stage: Purging, Ending: ByExpiry}, []Command{Delete}},
		{State{Stage: Rejected, Ending: ByRejection, Done: []Command{Reject}}, []Command{Reject, Release}},
		{State{Stage: Draft}, []Command{Release}},
	} {
		for _, c := range Commands {
			if got := row.state.Repeats(c); got != slices.Contains(row.again, c) {
				t.Errorf("%+v: %s repeats: %v", row.state, c, got)
			}
		}
	}
}

func TestNoWayBack(t *testing.T) {
	for _, row := range []struct {
		why     string
		state   State
		command Command
	}{
		{"a deletion is for good", State{Stage: Canceled, Ending: ByDeletion}, Restore},
		{"a draft that was thrown away", State{Stage: Draft, Ending: ByCancellation}, Resume},
		{"a draft that has expired", State{Stage: Draft, Ending: ByExpiry}, Resume},
		{"a cancel without a grace", State{Stage: Processing, Ending: ByCancellation}, Restore},
		{"the first decision stands", State{Stage: Reviewing, Done: []Command{Approve}}, Reject},
		{"the first decision stands", State{Stage: Reviewing, Done: []Command{Publish}}, Reject},
		{"published is published", State{Stage: Published}, Cancel},
		{"the key is gone", State{Stage: Purging, Ending: ByDeletion}, Hold},
	} {
		if err := row.state.Check(row.command); CodeOf(err) != Conflict {
			t.Errorf("%s: %s of %+v: %v", row.why, row.command, row.state, err)
		}
	}
}

func TestParseCommand(t *testing.T) {
	for _, c := range Commands {
		if got, err := ParseCommand(string(c)); err != nil || got != c {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	for _, name := range []string{"", "Pause", "pause ", "uploaded", "status"} {
		if _, err := ParseCommand(name); CodeOf(err) != NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}
