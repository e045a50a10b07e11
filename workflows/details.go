package workflows

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// shown is what people are shown of a life beside what is kept of it.
type shown struct {
	reasons     []reason // what is waited for, in the order in which it came up
	done, total int
	publishAt   time.Time
	overdueAt   time.Time
	overdue     bool
}

// reason is one thing that is waited for.
type reason struct {
	key  string
	text string
}

// The keys of reasons. Others are of stores; see storeReason.
const (
	waitReason    = "wait"    // what the stage itself waits for
	troubleReason = "trouble" // work that fails
	unknownReason = "unknown" // no row of the video is found
	workerReason  = "worker"  // no worker takes the work
)

func storeReason(store string) string { return "store " + store }

// keptReason is storeReason for a store that is there, and keeps what it was to remove.
func keptReason(store string) string { return "kept by " + store }

// set says that something is waited for, and reports whether that is news.
func (s *shown) set(key, text string) (news bool) {
	i := slices.IndexFunc(s.reasons, func(r reason) bool { return r.key == key })
	switch {
	case i < 0:
		s.reasons = append(s.reasons, reason{key, text})
	case s.reasons[i].text == text:
		return false
	default:
		s.reasons[i].text = text
	}
	return true
}

// waitFor says what the stage itself waits for; nothing if it is empty.
func (s *shown) waitFor(what string) {
	if what == "" {
		s.forget(waitReason)
		return
	}
	s.set(waitReason, what)
}

// forget takes a reason back, and reports whether it was there.
func (s *shown) forget(key string) (was bool) {
	n := len(s.reasons)
	s.reasons = slices.DeleteFunc(s.reasons, func(r reason) bool { return r.key == key })
	return len(s.reasons) < n
}

// text is what is waited for under a key; empty for nothing.
func (s *shown) text(key string) string {
	for _, r := range s.reasons {
		if r.key == key {
			return r.text
		}
	}
	return ""
}

func (s *shown) String() string {
	texts := make([]string, len(s.reasons))
	for i, r := range s.reasons {
		texts[i] = r.text
	}
	return strings.Join(texts, "; ")
}

// status answers the query and every update.
func (l *life) status() video.Status {
	return video.Status{
		ID: l.in.ID, Stage: l.kept.Stage, Paused: l.kept.Paused, Ending: l.kept.Ending,
		WaitingFor: l.waiting(), Actions: l.kept.Actions(video.Owner, video.Reviewer, video.Operator),
		Deadlines: l.deadlines(), Done: l.shown.done, Total: l.shown.total, Refused: l.kept.Refused,
	}
}

func (l *life) deadlines() map[string]time.Time {
	all := map[string]time.Time{
		"publish_at": l.shown.publishAt, "expires_at": l.kept.ExpiresAt, "overdue_at": l.shown.overdueAt,
	}
	if l.kept.Stage == video.PendingDeletion {
		all["purge_at"] = l.kept.PurgeAt
	}
	maps.DeleteFunc(all, func(_ string, at time.Time) bool { return at.IsZero() })
	return all
}

func (l *life) clearDeadlines() { l.kept.ExpiresAt, l.shown.publishAt = time.Time{}, time.Time{} }

// waiting says in a few words what the life waits for; empty while it works. The row
// says the same.
func (l *life) waiting() string {
	switch why := l.shown.text(troubleReason); {
	case !l.kept.Paused:
		return l.shown.String()
	case l.kept.Stray:
		return "a person's resume, cancel or delete: its workflow was terminated, and begun again by the audit"
	case why != "":
		return "a resume: " + why
	}
	return "a resume"
}

func (l *life) stageWords() string { return strings.ReplaceAll(string(l.kept.Stage), "_", " ") }

// sentence is where the video stands, in a few words.
func (l *life) sentence() string {
	s := l.stageWords()
	if l.kept.Paused {
		s += ", paused"
	}
	if l.kept.Ending != "" && l.kept.Stage != video.Purged {
		s += ", ending: " + string(l.kept.Ending)
	}
	return s
}

// render writes the current details: what someone on call reads in the Temporal
// UI. It costs nothing and is not stored.
func (l *life) render() {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", l.sentence())
	if l.shown.total > 0 {
		fmt.Fprintf(&b, "- done: %d of %d\n", l.shown.done, l.shown.total)
	}
	if w := l.waiting(); w != "" {
		fmt.Fprintf(&b, "- waits for: %s\n", w)
	}
	if l.inTrouble() {
		fmt.Fprintf(&b, "- **in trouble since %s**\n", l.kept.TroubleSince.UTC().Format(time.RFC3339))
	}
	if l.kept.Held {
		fmt.Fprintf(&b, "- under legal hold\n")
	}
	if l.shown.overdue {
		fmt.Fprintf(&b, "- **the purge is overdue**\n")
	}
	deadlines := l.deadlines()
	for _, name := range slices.Sorted(maps.Keys(deadlines)) {
		fmt.Fprintf(&b, "- %s: %s\n", strings.ReplaceAll(name, "_", " "), deadlines[name].UTC().Format(time.RFC3339))
	}
	if l.kept.Refused > 0 {
		fmt.Fprintf(&b, "- signals refused: %d\n", l.kept.Refused)
	}
	if can := l.kept.Actions(video.Owner, video.Reviewer, video.Operator); len(can) > 0 {
		fmt.Fprintf(&b, "- can be asked: %s\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(can), " ", ", "), "[]"))
	}
	workflow.SetCurrentDetails(l.root, b.String())
}

func (l *life) progress(done, total int) {
	l.shown.done, l.shown.total = done, total
	l.render()
}

func (l *life) waitFor(what string) {
	l.shown.waitFor(what)
	l.render()
}

// showStoreTrouble shows, also to readers of the catalog, why work at a store waits:
// the store that failed or keeps something, the workers that don't take it, or the work
// itself.
func (l *life) showStoreTrouble(store, work string, err error) {
	if reason, _ := setbackOf(err); reason == video.ReasonObjectLock || reason == video.ReasonRefused {
		l.showKept(store, work, err)
		return
	}
	since := workflow.Now(l.root).UTC().Format(time.RFC3339)
	key, text := storeReason(store), fmt.Sprintf("%s, which has failed since %s; the workers' logs say why", work, since)
	switch place := placeOf(err); {
	case isThrottled(err):
		key, text = storeReason(place), fmt.Sprintf("%s, which asks for fewer requests since %s", work, since)
	case notTaken(err):
		key, text = workerReason, "a transfer worker: none has taken the work since "+since
	case codeOf(err) == video.Unavailable && place != "":
		key, text = storeReason(place), fmt.Sprintf("%s, which is down since %s", place, since)
	}
	if l.shown.text(key) == "" {
		l.shown.set(key, text)
		l.writeShown()
		l.render()
	}
}

// showKept shows, in the words of the store's worker, what a store keeps of what it was
// to remove: its locks may last for years, and what it refuses somebody has to allow.
func (l *life) showKept(store, work string, err error) {
	e, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		return
	}
	was := l.shown.forget(storeReason(store))
	if news := l.shown.set(keptReason(store), work+": "+e.Message()); news || was {
		l.writeShown()
		l.render()
	}
}

// storeDone takes back what showStoreTrouble said when work at a store is over. The
// place that failed may have been another than the one that was worked for.
func (l *life) storeDone(store string) {
	was := l.shown.forget(storeReason(store))
	was = l.shown.forget(keptReason(store)) || was
	was = l.shown.forget(workerReason) || was
	if was = l.shown.forget(storeReason(l.in.Primary)) || was; was {
		l.writeShown()
		l.render()
	}
}
