package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// status answers the query and every update.
func (l *life) status() video.Status {
	return video.Status{
		ID: l.in.ID, Stage: l.state.Stage, Paused: l.state.Paused, Ending: l.state.Ending,
		WaitingFor: l.waiting(), Actions: l.state.Actions(video.Owner, video.Reviewer, video.Operator),
		Deadlines: maps.Clone(l.deadlines), Done: l.done, Total: l.total, Refused: l.refused,
	}
}

// waiting says in a few words what the life waits for; empty while it works.
func (l *life) waiting() string {
	if l.state.Paused {
		return "a resume"
	}
	return l.waitingFor
}

// sentence is where the video stands, in a few words.
func (l *life) sentence() string {
	s := strings.ReplaceAll(string(l.state.Stage), "_", " ")
	if l.state.Paused {
		s += ", paused"
	}
	if l.state.Ending != "" && l.state.Stage != video.Purged {
		s += ", ending: " + string(l.state.Ending)
	}
	return s
}

// show renders the current details: what someone on call reads in the Temporal
// UI. It costs nothing and is not stored.
func (l *life) show() {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", l.sentence())
	if l.total > 0 {
		fmt.Fprintf(&b, "- done: %d of %d\n", l.done, l.total)
	}
	if w := l.waiting(); w != "" {
		fmt.Fprintf(&b, "- waits for: %s\n", w)
	}
	if l.state.Held {
		fmt.Fprintf(&b, "- under legal hold\n")
	}
	if l.overdue {
		fmt.Fprintf(&b, "- **the purge is overdue**\n")
	}
	for _, name := range slices.Sorted(maps.Keys(l.deadlines)) {
		fmt.Fprintf(&b, "- %s: %s\n", strings.ReplaceAll(name, "_", " "), l.deadlines[name].UTC().Format(time.RFC3339))
	}
	if l.refused > 0 {
		fmt.Fprintf(&b, "- signals refused: %d\n", l.refused)
	}
	if can := l.state.Actions(video.Owner, video.Reviewer, video.Operator); len(can) > 0 {
		fmt.Fprintf(&b, "- can be asked: %s\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(can), " ", ", "), "[]"))
	}
	workflow.SetCurrentDetails(l.root, b.String())
}

func (l *life) progress(done, total int) {
	l.done, l.total = done, total
	l.show()
}

func (l *life) waitFor(what string) {
	l.waitingFor = what
	l.show()
}

// unreached shows a store that is down, to operators and in the video's status.
func (l *life) unreached(store string) {
	what := fmt.Sprintf("%s, which is down since %s", store, workflow.Now(l.root).UTC().Format(time.RFC3339))
	if !strings.Contains(l.waitingFor, store+",") {
		if l.waitingFor != "" {
			what = l.waitingFor + "; " + what
		}
		l.waitFor(what)
		l.project()
	}
}

// reached takes back what unreached said.
func (l *life) reached(store string) {
	parts := strings.Split(l.waitingFor, "; ")
	left := slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, store+",") })
	if what := strings.Join(left, "; "); what != l.waitingFor {
		l.waitFor(what)
		l.project()
	}
}
