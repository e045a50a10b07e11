package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/captions"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// captionsTime is how long somebody who may change the captions may take to send them.
const captionsTime = 20 * time.Second

// captionTypes are the media types that captions are sent as. What they are, their first line
// says: many programs know no type for SubRip, and say what they say of any file.
var captionTypes = []string{"text/vtt", "application/x-subrip", "application/srt", "application/octet-stream", "application/x-www-form-urlencoded"}

// ByLanguage is a request about the captions of a video in one language.
type ByLanguage struct {
	ByID
	Language string `path:"language" doc:"A tag of BCP 47, such as en or pt-BR"`
}

// newCaptions is a request with captions. Its body is not read before it is known that its
// sender may change them.
type newCaptions struct {
	ByLanguage
	request huma.Context
}

// Resolve implements huma.Resolver.
func (in *newCaptions) Resolve(ctx huma.Context) []error {
	in.request = ctx
	return nil
}

func (g *Gateway) registerCaptions() {
	const path = "/v1/videos/{id}/captions/{language}"
	put := g.operation(http.MethodPut, path, "put-captions", "Make this the captions in a language: 201 where there were none, 200 where it replaces others", http.StatusOK)
	put.Description = "WebVTT or SRT in UTF-8, of 1 MiB at most. They are written anew as WebVTT with times, text, <b>, <i>, <u>, <v> and <ruby>; styles, regions and notes are left out, and what can't be read is refused with the number of its line."
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	put.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/vtt": text, "application/x-subrip": text}}
	put.Responses["201"] = g.videoResponse("The captions are new")
	huma.Register(g.api, put, func(ctx context.Context, in *newCaptions) (*commandAnswer, error) {
		answer, err := g.putCaptions(ctx, in)
		if err != nil {
			return nil, g.errors.Problem(ctx, err)
		}
		return answer, nil
	})
	huma.Register(g.api, g.operation(http.MethodDelete, path, "delete-captions", "Take the captions in a language away; that there are none is a success", http.StatusOK),
		func(ctx context.Context, in *ByLanguage) (*videoAnswer, error) {
			s, language, err := g.loadForCaptions(ctx, *in)
			if err == nil {
				err = g.captions.Remove(ctx, s.row.ID, language)
			}
			if err == nil {
				s, err = g.load(ctx, in.ID)
			}
			if err != nil {
				return nil, g.errors.Problem(ctx, err)
			}
			return g.answer(ctx, s)
		})
}

func (g *Gateway) putCaptions(ctx context.Context, in *newCaptions) (*commandAnswer, error) {
	s, language, err := g.loadForCaptions(ctx, in.ByLanguage)
	if err != nil {
		return nil, err
	}
	waiting, stop := context.WithTimeoutCause(ctx, readTurnPatience, errManyWait)
	defer stop()
	done, err := g.readTurns.captions.Take(waiting, s.who.Name)
	if err != nil {
		return nil, err
	}
	defer done()
	file, err := in.read()
	if err != nil {
		return nil, err
	}
	isNew, err := g.captions.Put(ctx, s.row.ID, language, file)
	if err != nil {
		return nil, err
	}
	if s, err = g.load(ctx, in.ID); err != nil {
		return nil, err
	}
	v, err := g.render(ctx, s)
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	return &commandAnswer{status, v}, err
}

// loadForCaptions finds a video for somebody who may change its captions, and the canonical
// form of the language.
func (g *Gateway) loadForCaptions(ctx context.Context, in ByLanguage) (s loaded, language string, err error) {
	if s, err = g.load(ctx, in.ID); err != nil {
		return s, "", err
	}
	if _, err = people.SignedIn(ctx); err != nil {
		return s, "", err
	}
	if err = g.commands.Take(s.who.Name, "commands", time.Now()); err != nil {
		return s, "", err
	}
	if err = s.facts().Captions(); err != nil {
		return s, "", err
	}
	if language, err = captions.Language(in.Language); err != nil {
		refusal := problem.Of(err)
		refusal.Errors = []problem.Field{{Location: "path.language", Message: refusal.Detail}}
		return s, "", refusal
	}
	return s, language, nil
}

// read reads the body of the request.
func (in *newCaptions) read() ([]byte, error) {
	if said := in.request.Header("Content-Type"); !mayBeCaptions(said) {
		return nil, video.Errorf(video.UnsupportedMedia, "Captions are WebVTT (text/vtt) or SRT (application/x-subrip), not %s.", shortened(said))
	}
	_ = in.request.SetReadDeadline(time.Now().Add(captionsTime)) // where it can't be set, it is as short as that of any body
	file, err := io.ReadAll(io.LimitReader(in.request.BodyReader(), captions.MaxSize+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		slow := problem.OfStatus(http.StatusRequestTimeout, "The request came too slowly. Please send it again.")
		slow.Reason = "slow"
		return nil, slow
	case err != nil:
		return nil, video.Errorf(video.Invalid, "The captions did not come to their end. Please send them again.").Because(err)
	}
	return file, nil
}

func mayBeCaptions(said string) bool {
	if said == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(said)
	return err == nil && (slices.Contains(captionTypes, kind) || strings.HasPrefix(kind, "text/") && kind != "text/html")
}

// shownCaptions are the languages in which a video has captions in the primary store.
func (g *Gateway) shownCaptions(stored []catalog.Object) []video.Captions {
	all := []video.Captions{}
	for _, o := range stored {
		if o.Store == g.stores.Primary.Name() {
			all = append(all, video.Captions{Language: o.Rendition, Label: captions.Label(o.Rendition)})
		}
	}
	return all
}

// lacksCaptions reports whether a backup lacks captions that the primary store has.
func (g *Gateway) lacksCaptions(stored []catalog.Object, store string) bool {
	there := map[string]bool{}
	for _, o := range stored {
		there[o.Key] = there[o.Key] || o.Store == store
	}
	return slices.ContainsFunc(stored, func(o catalog.Object) bool { return o.Store == g.stores.Primary.Name() && !there[o.Key] })
}
