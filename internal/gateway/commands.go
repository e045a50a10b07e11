package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

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

// ask gives a command on behalf of whoever sent the request, and returns the
// video once it has taken hold. erased is set when nothing is left by then.
func (g *Gateway) ask(ctx context.Context, id string, c video.Command, r video.CommandRequest) (s seen, erased bool, err error) {
	if s, err = g.look(ctx, id); err != nil {
		return s, false, err
	}
	if s.who.anonymous() {
		return s, false, signInFirst()
	}
	if err = g.limits.commands.take(s.who.name, "commands", time.Now()); err != nil {
		return s, false, err
	}
	if err = allowed(s.row.State(), c, s.roles); err != nil {
		return s, false, err
	}
	if erased, err = g.command(ctx, s.row.ID, c, r); err != nil || erased {
		return s, erased, err
	}
	after, err := g.look(ctx, id)
	if err != nil && video.CodeOf(err) == video.Gone {
		return s, true, nil
	}
	return after, false, err
}

// unknownCommand answers for POST /v1/videos/{id}/ and a word that is no command, and
// reports whether the request was that.
func (g *Gateway) unknownCommand(w http.ResponseWriter, r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/videos/")
	id, word, named := strings.Cut(path, "/")
	if !ok || !named || r.Method != http.MethodPost || word == "" || strings.Contains(word, "/") {
		return false
	}
	s, err := g.look(r.Context(), id)
	if err == nil {
		err = noCommand(word, s.row.State().Actions(s.roles...))
	}
	g.refuse(w, r, err)
	return true
}

const longestWord = 40 // characters of what somebody sent, to be repeated to them

func noCommand(word string, possible []video.Command) error {
	if letters := []rune(word); len(letters) > longestWord {
		word = string(letters[:longestWord]) + "…"
	}
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
// it from being started. erased reports that the video is gone already, for
// commands that wanted no less.
func (g *Gateway) command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (erased bool, err error) {
	_, err = g.lives.Command(ctx, id, c, r)
	if err == nil || video.CodeOf(err) != video.NotFound {
		return false, err
	}
	row, lookErr := g.catalog.Video(ctx, id)
	switch {
	case lookErr != nil && video.CodeOf(lookErr) == video.Gone && (c == video.Cancel || c == video.Delete):
		return true, nil
	case lookErr != nil:
		return false, lookErr
	case row.Stage != video.Uploading:
		// An operator stopped the workflow: the audit purges what it left.
		return false, video.Errorf(video.Unavailable, "The video can't take commands right now. Please try again.").Because(err)
	}
	if err := g.startFor(ctx, row); err != nil {
		return false, err
	}
	_, err = g.lives.Command(ctx, id, c, r)
	if video.CodeOf(err) == video.NotFound && err != nil {
		err = video.Errorf(video.Unavailable, "The video can't take commands right now. Please try again.").Because(err)
	}
	return false, err
}
