package video

import (
	"fmt"
	"slices"
	"strings"
)

// Command is something that people ask of a video: the name of a Temporal
// signal, of an update, and of an HTTP action.
type Command string

// The commands.
const (
	Pause   Command = "pause"
	Resume  Command = "resume"
	Cancel  Command = "cancel"
	Delete  Command = "delete"
	Approve Command = "approve"
	Reject  Command = "reject"
	Publish Command = "publish"
	Restore Command = "restore"
	Hold    Command = "hold"
	Release Command = "release"
)

// Role is what somebody is to a video.
type Role string

// The roles that commands are given to. Whoever may send Temporal signals is an operator.
const (
	Owner    Role = "owner"
	Reviewer Role = "reviewer"
	Operator Role = "operator"
)

// rule is one line of the table: in these stages these roles may ask for it.
type rule struct {
	command Command
	stages  []Stage
	roles   []Role
}

// table is THE table of commands by stage. The refusals of the workflow, the
// API's `actions`, the buttons of the page and the diagram in docs/states.md
// are all derived from it. A command may have several lines.
var table = []rule{
	{Pause, BeforePublication, []Role{Owner, Operator}},
	{Resume, append(slices.Clone(BeforePublication), Draft), []Role{Owner, Operator}},
	{Cancel, append(slices.Clone(BeforePublication), Draft), []Role{Owner, Operator}},
	{Delete, everyStageBut(Purged), []Role{Owner, Operator}},
	{Approve, []Stage{Reviewing}, []Role{Reviewer, Operator}},
	{Reject, []Stage{Reviewing}, []Role{Reviewer, Operator}},
	{Publish, []Stage{Scheduled}, []Role{Owner, Operator}},
	{Publish, []Stage{Reviewing}, []Role{Operator}},
	{Restore, []Stage{Canceled, Rejected}, []Role{Operator}},
	{Hold, everyStageBut(Purging, Purged), []Role{Operator}},
	{Release, everyStageBut(Purging, Purged), []Role{Operator}},
}

// Commands lists every command, in the order of the table.
var Commands = []Command{Pause, Resume, Cancel, Delete, Approve, Reject, Publish, Restore, Hold, Release}

func everyStageBut(out ...Stage) []Stage {
	return slices.DeleteFunc(slices.Clone(Stages), func(s Stage) bool { return slices.Contains(out, s) })
}

// ParseCommand returns the command of that name, or NotFound.
func ParseCommand(name string) (Command, error) {
	if c := Command(name); slices.Contains(Commands, c) {
		return c, nil
	}
	return "", Errorf(NotFound, "There is no command %q.", name)
}

// State is all that decides whether a command is allowed.
type State struct {
	Stage  Stage  `json:"stage"`
	Paused bool   `json:"paused"`
	Ending Ending `json:"ending,omitempty"`
	Held   bool   `json:"held,omitempty"` // under legal hold
	// Done remembers the commands that were decisions and took effect, so that
	// asking again is a success although the stage has moved on, and the first
	// decision stands.
	Done []Command `json:"done_commands,omitempty"`
}

// Repeats reports whether c asks for what is already so. Repeating a command is
// a success that changes nothing.
func (s State) Repeats(c Command) bool {
	leaving := s.Ending != "" || s.Stage == PendingDeletion || s.Stage == Purging
	switch c {
	case Pause:
		return s.Paused && !leaving
	case Resume:
		return !s.Paused && !leaving && s.Stage.OnTheWay()
	case Cancel:
		return s.Ending == ByCancellation
	case Delete:
		return s.Ending == ByDeletion || s.Stage == PendingDeletion || s.Stage == Purging
	case Hold:
		return s.Held
	case Release:
		return !s.Held && s.in(Release)
	default:
		return s.did(c)
	}
}

func (s State) did(c Command) bool { return slices.Contains(s.Done, c) }

// Check returns nil when c is allowed now or repeats what is already so.
// Otherwise it returns Gone (nothing is left to command) or Conflict, with a
// sentence that says why and what is possible instead.
func (s State) Check(c Command) error {
	why := s.objection(c)
	switch {
	case why == "":
		return nil
	case s.Stage == Purged:
		return Errorf(Gone, "This video has been erased.")
	}
	return Errorf(Conflict, "The video can't take %q, because %s; %s.", string(c), why, s.possible())
}

// objection says why c is not allowed; it is empty when c is.
func (s State) objection(c Command) string {
	switch {
	case s.Stage == Purged:
		return "it has been erased"
	case s.Repeats(c):
		return ""
	case s.Ending != "" && !s.duringEnding(c):
		return fmt.Sprintf("it is already ending (%s)", s.Ending)
	case !s.in(c):
		return "it is " + s.Stage.words()
	}
	return s.decided(c)
}

// decided says that a decision was made before; it is empty when c is none or
// still open. The stage may lag behind: a paused video moves on only later.
func (s State) decided(c Command) string {
	switch {
	case c != Approve && c != Reject:
		return ""
	case s.did(Approve):
		return "it has been approved"
	case s.did(Publish):
		return "it was told to be published"
	}
	return ""
}

// duringEnding lists what can still be asked once a life is ending.
func (s State) duringEnding(c Command) bool {
	switch c {
	case Delete, Hold, Release:
		return true
	case Restore: // a cancel or a rejection can be taken back while it is kept, a deletion can't
		return s.Stage == Canceled && s.Ending == ByCancellation || s.Stage == Rejected && s.Ending == ByRejection
	}
	return false
}

func (s State) in(c Command) bool {
	return slices.ContainsFunc(table, func(r rule) bool {
		return r.command == c && slices.Contains(r.stages, s.Stage)
	})
}

func (s State) possible() string {
	can := s.Actions(Owner, Reviewer, Operator)
	if len(can) == 0 {
		return "nothing can be asked of it any more"
	}
	words := make([]string, len(can))
	for i, c := range can {
		words[i] = string(c)
	}
	return "possible now: " + strings.Join(words, ", ")
}

func (s Stage) words() string { return strings.ReplaceAll(string(s), "_", " ") }

// Actions lists what someone in any of the roles can ask for now with an effect.
func (s State) Actions(roles ...Role) []Command {
	can := []Command{}
	for _, c := range Commands {
		if s.Permits(c, roles...) && !s.Repeats(c) && s.objection(c) == "" {
			can = append(can, c)
		}
	}
	return can
}

// Permits reports whether any of the roles may ask for c in this stage; it says
// nothing about whether c makes sense now. A repeated command is open to
// whoever could have given it first.
func (s State) Permits(c Command, roles ...Role) bool {
	return slices.ContainsFunc(table, func(r rule) bool {
		return r.command == c && (slices.Contains(r.stages, s.Stage) || s.Repeats(c)) &&
			slices.ContainsFunc(roles, func(role Role) bool { return slices.Contains(r.roles, role) })
	})
}
