package video

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate go test . -run Diagram -update

// step is an arrow of the diagram: a life goes from one stage to another.
type step struct {
	from, to Stage
	label    string
}

// onTheWay stands in the diagram for whichever stage before publication.
const onTheWay Stage = "on_the_way"

// automatic are the steps that nobody asks for.
var automatic = []step{
	{Uploading, Processing, "every byte is stored"},
	{Processing, Reviewing, "a review was asked for"},
	{Processing, Scheduled, "a delay or a date was set"},
	{Processing, Publishing, "neither"},
	{Scheduled, Publishing, "its time has come"},
	{Publishing, Published, "every backup has it"},
	{PendingDeletion, Purging, "the grace is over"},
	{Purging, Purged, "nothing is found in any store"},
	{Uploading, Purging, "no byte came for long"},
	{Processing, Rejected, "it can't be a video of ours"},
	{Rejected, Purging, "the time for which it is kept is over"},
	{Draft, Purging, "the draft has expired"},
	{Canceled, Purging, "the grace is over"},
}

// leads says where a command leads from a stage; nowhere if it only sets a flag
// or the life is on its way there already.
func leads(c Command, from Stage) []step {
	to := func(label string, stages ...Stage) (steps []step) {
		for _, s := range stages {
			steps = append(steps, step{from, s, label})
		}
		return steps
	}
	switch {
	case c == Resume && from == Draft:
		return to("resume", onTheWay)
	case c == Restore && from == Rejected:
		return append(to("restore, if the gate rejected it", Processing), to("restore, if a person did", Reviewing)...)
	case c == Restore:
		return append(to("restore", onTheWay), to("restore, if it was one", Draft)...)
	case c == Cancel && from == Draft:
		return append(to("cancel, with a grace", Canceled), to("cancel", Purging)...)
	case c == Cancel:
		return slices.Concat(to("cancel, kept", Draft), to("cancel, with a grace", Canceled), to("cancel", Purging))
	case c == Delete && from == Published:
		return to("delete", PendingDeletion)
	case c == Delete && from != PendingDeletion && from != Purging:
		return to("delete", Purging)
	case c == Approve:
		return to("approve", Scheduled, Publishing)
	case c == Reject:
		return to("reject", Rejected)
	case c == Publish:
		return to("publish", Publishing)
	}
	return nil
}

// steps lists every arrow; those that start in all stages before publication once.
func steps() []step {
	all := slices.Clone(automatic)
	for _, c := range Commands {
		for _, from := range Stages {
			if (State{Stage: from}).in(c) {
				all = append(all, leads(c, from)...)
			}
		}
	}
	var drawn []step
	for _, s := range all {
		shared := !slices.ContainsFunc(BeforePublication, func(from Stage) bool {
			return !slices.Contains(all, step{from, s.to, s.label})
		})
		if shared && s.from.OnTheWay() {
			s.from = onTheWay
		}
		if !slices.Contains(drawn, s) {
			drawn = append(drawn, s)
		}
	}
	return drawn
}

// Diagram is the text of docs/states.md: the stages as a Mermaid state diagram,
// and who may ask for which command in which of them. It is derived from the
// table that the workflow obeys.
func Diagram() string {
	var b strings.Builder
	b.WriteString("# The stages of a video\n\n" +
		"Generated from the table of commands in `video/`; `go generate ./video` writes it anew.\n\n" +
		"```mermaid\nstateDiagram-v2\n    [*] --> uploading\n")
	inside := func(s step) bool { return s.from.OnTheWay() && s.to.OnTheWay() }
	fmt.Fprintf(&b, "    state \"on the way, paused or not\" as %s {\n", onTheWay)
	for _, s := range steps() {
		if inside(s) {
			fmt.Fprintf(&b, "        %s --> %s: %s\n", s.from, s.to, s.label)
		}
	}
	b.WriteString("    }\n")
	for _, s := range steps() {
		if !inside(s) {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", s.from, s.to, s.label)
		}
	}
	b.WriteString("    purged --> [*]\n```\n\n")
	b.WriteString("`pause` and `resume` set the flag `paused` beside the stage, `hold` and `release` the legal hold, without which\n" +
		"nothing is erased: they lead to no other stage. Whatever ends a life leads through `purging`.\n\n" +
		"## Who may ask for what\n\n" + commandTable() + "\n" +
		"o: the owner, r: a reviewer, x: an operator. Whoever may send Temporal signals is an operator. Asking for what is\n" +
		"already so is a success that changes nothing; everything else is refused, with the reason.\n")
	return b.String()
}

func commandTable() string {
	var b strings.Builder
	b.WriteString("| stage |")
	for _, c := range Commands {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(Commands)) + "\n")
	for _, stage := range Stages {
		fmt.Fprintf(&b, "| %s |", stage)
		for _, c := range Commands {
			fmt.Fprintf(&b, " %s |", initials(c, stage))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func initials(c Command, stage Stage) string {
	letters := ""
	for role, letter := range map[Role]string{Owner: "o", Reviewer: "r", Operator: "x"} {
		if slices.ContainsFunc(table, func(r rule) bool {
			return r.command == c && slices.Contains(r.stages, stage) && slices.Contains(r.roles, role)
		}) {
			letters += letter
		}
	}
	sorted := []byte(letters)
	slices.Sort(sorted)
	return string(sorted)
}
