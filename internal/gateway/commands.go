package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// allowed says whether somebody in these roles may ask for a command now: nil,
// Forbidden when it isn't theirs to ask, or Conflict and Gone with the reason
// when it is, but not now. The workflow decides again by what is so by then.
func allowed(state video.State, c video.Command, roles []video.Role) error {
	if state.Permits(c, roles...) {
		return state.Check(c)
	}
	theirs := slices.ContainsFunc(video.Stages, func(stage video.Stage) bool {
		return video.State{Stage: stage}.Permits(c, roles...)
	})
	if err := state.Check(c); theirs && err != nil {
		return err
	}
	return video.Errorf(video.Forbidden, "You may not ask for %q of this video.", string(c))
}

// outcome is what has become of a command that was not refused.
type outcome int

const (
	taken    outcome = iota // it has taken hold
	recorded                // it will: it is on record, and the life has not answered
	erased                  // nothing is left of the video
)

// ask gives a command on behalf of whoever sent the request, and returns the video as
// it is then. What is so already is answered from the row and asks no workflow.
func (g *Gateway) ask(ctx context.Context, id string, c video.Command, body video.CommandBody) (s loaded, did outcome, err error) {
	if s, err = g.load(ctx, id); err != nil {
		return s, taken, err
	}
	if _, err = people.SignedIn(ctx); err != nil {
		return s, taken, err
	}
	if err = g.commands.Take(s.who.Name, "commands", time.Now()); err != nil {
		return s, taken, err
	}
	state := s.row.State()
	if err = allowed(state, c, s.roles); err != nil {
		return s, taken, err
	}
	if state.Repeats(c) && !g.mayYetChange(s.row.ID, c) {
		return s, taken, nil
	}
	request, err := g.requestOf(ctx, s, c, body)
	if err != nil {
		return s, taken, err
	}
	if did, err = g.give(ctx, s.row, c, request); err != nil {
		if o, ok := errors.AsType[*Obstacle](err); ok {
			err = o.problem(slices.Contains(s.roles, video.Operator))
		}
		return s, did, err
	}
	// Whoever may give a command may see what it did, although a moment later they
	// would be told that there is no such video: a reviewer has decided.
	after, err := g.loadUnchecked(ctx, id)
	if video.CodeOf(err) == video.Gone && err != nil || err == nil && after.row.Stage == video.Purged {
		return s, erased, nil
	}
	return after, did, err
}

// mayYetChange reports whether a command that was sent before may yet undo what c asks
// for, although the row shows it as so: a pause that nobody waited for, before a resume.
func (g *Gateway) mayYetChange(id video.ID, c video.Command) bool {
	return (c == video.Pause || c == video.Resume) && g.unanswered.has(id)
}

// give gives a command to a video. A deletion and a cancel need no workflow to be
// heeded: see promises.go.
func (g *Gateway) give(ctx context.Context, row catalog.Video, c video.Command, r video.CommandRequest) (outcome, error) {
	switch c {
	case video.Delete:
		return taken, g.hide(ctx, row)
	case video.Cancel:
		return g.cancel(ctx, row, r)
	}
	answered := g.unanswered.add(row.ID)
	err := g.command(ctx, row.ID, c, r)
	o, stuck := errors.AsType[*Obstacle](err)
	if err == nil || stuck && !o.Sent || !stuck && video.CodeOf(err).Permanent() {
		answered()
	}
	return taken, err
}

// unknownCommand is the answer to POST /v1/videos/{id}/ and a word that is no command; nil
// for other requests.
func (g *Gateway) unknownCommand(r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/videos/")
	id, word, named := strings.Cut(path, "/")
	if !ok || !named || r.Method != http.MethodPost || word == "" || strings.Contains(word, "/") {
		return nil
	}
	v, err := g.load(r.Context(), id)
	if err != nil {
		return err
	}
	return noCommand(word, v.row.State().Actions(v.roles...))
}

const longestWord = 40 // characters of what somebody sent, to be repeated to them

func shortened(word string) string {
	if letters := []rune(word); len(letters) > longestWord {
		return string(letters[:longestWord]) + "…"
	}
	return word
}

func noCommand(word string, possible []video.Command) error {
	word = shortened(word)
	var names []string
	for _, c := range possible {
		if c != video.Delete { // a method, not an address
			names = append(names, string(c))
		}
	}
	what := "it takes none from you now"
	if len(names) > 0 {
		what = "from you it takes now: " + strings.Join(names, ", ")
	}
	return video.Errorf(video.NotFound, "There is no command %q for a video; %s.", word, what)
}

// command sends a command to the life of a video, which it starts if a crash kept
// it from being started, and returns once it has taken hold.
func (g *Gateway) command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error {
	err := g.tellLife(ctx, id, c, r)
	if err == nil || video.CodeOf(err) != video.NotFound {
		return err
	}
	row, lookErr := g.catalog.Video(ctx, id)
	if lookErr != nil {
		return lookErr
	}
	if row.Stage != video.Uploading {
		return noLife(err) // its workflow was terminated, or lost: the audit begins it again
	}
	if err := g.creation.Start(ctx, row); err != nil {
		return err
	}
	err = g.tellLife(ctx, id, c, r)
	if err != nil && video.CodeOf(err) == video.NotFound {
		return noLife(err)
	}
	return err
}

func noLife(cause error) error {
	return video.Errorf(video.Unavailable, "The video can't take commands right now. Please try again.").Because(cause)
}

const (
	// patience is how long a command may take to hold. It must outlast a frozen
	// worker, whose activity is given up after its heartbeat timeout and then some.
	patience = 40 * time.Second
	// lookAfter is how long a command waits before somebody looks why it isn't
	// answered, so that a reason that doesn't pass is told within five seconds.
	lookAfter    = 4 * time.Second
	lookPatience = time.Second
)

// tellLife gives a command to a life and returns once it has taken hold. It fails as
// Lives.Command does, and with an Obstacle when the life can't answer.
func (g *Gateway) tellLife(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		hold, err := g.lives.Command(ctx, id, c, r)
		if err == nil {
			_, err = hold(ctx)
		}
		answer <- err
	}()
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for {
		select {
		case err := <-answer:
			if errors.Is(err, errBlocked) {
				return cmp.Or(g.obstacle(ctx, id, false), err)
			}
			return err
		case <-look.C:
			if why := g.obstacle(ctx, id, true); why != nil {
				return why
			}
		}
	}
}

// obstacle is the Obstacle in the way of a life, or nil. sent says that the command
// may take hold later all the same.
func (g *Gateway) obstacle(ctx context.Context, id video.ID, sent bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	o, err := g.lives.Obstacle(ctx, id)
	if err != nil {
		g.log.Warn("why a video doesn't answer can't be told", "video", id, "error", err)
	}
	if err != nil || o == nil {
		return nil
	}
	o.Sent = sent
	return o
}
