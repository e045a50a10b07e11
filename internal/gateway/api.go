package gateway

import (
	"cmp"
	"context"
	_ "embed" // the guide
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/creation"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// A list is never null, in either direction.
func init() { huma.DefaultArrayNullable = false }

// guide introduces the API, in Markdown: how to sign in, what errors look like, how an
// upload goes. It is the description in /openapi.json, and stands on /docs.
//
//go:embed guide.md
var guide string

// registerAPI registers every operation of the HTTP API with mux.
func (g *Gateway) registerAPI(mux *routeTable) {
	config := huma.DefaultConfig("reelflow", "1.0.0")
	config.CreateHooks, config.Transformers = nil, []huma.Transformer{translate} // no $schema links
	config.DocsPath, config.SchemasPath, config.OpenAPIPath = "", "", ""         // its pages load from other hosts
	config.Info.Description = guide
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A token of the issuer's; in development mode dev:<name>"},
		"session": {Type: "apiKey", In: "cookie", Name: people.SessionCookie, Description: "From /signin; " + people.SecurePrefix + people.SessionCookie + " where the gateway is reached by TLS"},
	}
	g.api = huma.NewAPI(config, translated{humago.NewAdapter(mux, ""), g.errors})
	g.registerVideos()
	g.registerStreams()
	g.registerCommands()
	g.registerCaptions()
	g.registerLists()
	g.registerReceipts()
	g.describeUploads()
	describeAnswers(g.api.OpenAPI())
	g.registerOpenAPI(mux)
}

// security says who may send a request, as OpenAPI has it.
type security = []map[string][]string

func signedInOnly() security { return security{{"bearer": {}}, {"session": {}}} }

// operation is what every operation has: an id, one answer that is good, and problems.
// Everybody may read, but for what is the caller's own.
func (g *Gateway) operation(method, path, id, summary string, status int) huma.Operation {
	who := signedInOnly()
	if method == http.MethodGet && !strings.HasPrefix(path, "/v1/me/") {
		who = append(who, map[string][]string{})
	}
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status, Security: who,
		MaxBodyBytes: 256 << 10,
		Responses:    g.problemResponses(),
	}
}

// problemResponses are what any operation may be answered instead: beside what its own
// errors are, that there are too many requests, with the time to come again.
func (g *Gateway) problemResponses() map[string]*huma.Response {
	schema := g.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	later := map[string]*huma.Param{"Retry-After": {Description: "Seconds until another try makes sense", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	answer := func(description string, headers map[string]*huma.Param) *huma.Response {
		return &huma.Response{Description: description, Headers: headers, Content: map[string]*huma.MediaType{problem.MediaType: {Schema: schema}}}
	}
	return map[string]*huma.Response{
		"429":     answer("This person or address has, or asks for, too much at once", later),
		"503":     answer("Not now: very many requests wait for their turn, or what the answer needs is out of reach", later),
		"default": answer("A problem, with a code that says which", nil),
	}
}

// ByID is a request about one video. Huma passes over embedded fields that are
// not exported: hence the capitals here and at Page.
type ByID struct {
	ID string `path:"id" doc:"Of the video"`
}

type videoAnswer struct{ Body video.Video }

func (g *Gateway) registerVideos() {
	type newVideo struct {
		Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Within 24 hours the same key makes the same video, however often it is sent; with another body it is a conflict"`
		Body creation.NewVideo
	}
	type created struct {
		Location string `header:"Location"`
		Body     video.Video
	}
	huma.Register(g.api, g.operation(http.MethodPost, "/v1/videos", "create-video", "Announce a video, to upload it next", http.StatusCreated),
		func(ctx context.Context, in *newVideo) (*created, error) {
			v, err := g.createVideo(ctx, in.Body, in.Key)
			if err != nil {
				return nil, g.errors.Problem(ctx, err)
			}
			return &created{v.Links.Self, v}, nil
		})
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/videos/{id}", "get-video", "A video as the caller may see it", http.StatusOK),
		func(ctx context.Context, in *ByID) (*videoAnswer, error) {
			s, err := g.load(ctx, in.ID)
			if err != nil {
				return nil, g.errors.Problem(ctx, err)
			}
			return g.answer(ctx, s)
		})
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/videos/{id}/playback", "get-playback", "Addresses to watch a video by, which need no header or cookie", http.StatusOK),
		func(ctx context.Context, in *ByID) (*playbackAnswer, error) {
			p, err := g.playback(ctx, in.ID)
			if err != nil {
				return nil, g.errors.Problem(ctx, err)
			}
			return &playbackAnswer{p}, nil
		})
}

func (g *Gateway) answer(ctx context.Context, s loaded) (*videoAnswer, error) {
	v, err := g.render(ctx, s)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	return &videoAnswer{v}, nil
}

func (g *Gateway) createVideo(ctx context.Context, n creation.NewVideo, key string) (video.Video, error) {
	who, err := people.SignedIn(ctx)
	if err != nil {
		return video.Video{}, err
	}
	row, err := g.creation.Create(ctx, who, n, key)
	if err != nil {
		return video.Video{}, err
	}
	s, err := g.loadRow(ctx, row, who)
	if err != nil {
		return video.Video{}, err
	}
	return g.render(ctx, s)
}

func (g *Gateway) registerCommands() {
	type command struct {
		ByID
		Key  string `header:"Idempotency-Key" doc:"Accepted, but not needed: repeating a command is a success"`
		Body *video.CommandBody
	}
	for _, c := range video.Commands {
		if c == video.Delete {
			continue
		}
		op := g.operation(http.MethodPost, "/v1/videos/{id}/"+string(c), string(c)+"-video", "Answers once the command \""+string(c)+"\" has taken hold", http.StatusOK)
		if c == video.Cancel {
			op.Responses["202"] = g.onRecord()
		}
		huma.Register(g.api, op, func(ctx context.Context, in *command) (*commandAnswer, error) {
			return g.answerCommand(ctx, in.ByID, c, *cmp.Or(in.Body, &video.CommandBody{}))
		})
	}
	huma.Register(g.api, g.operation(http.MethodDelete, "/v1/videos/{id}", "delete-video", "Answers once the video is hidden, whatever state its workflow is in; then it is erased everywhere. There is no undelete", http.StatusAccepted),
		func(ctx context.Context, in *ByID) (*commandAnswer, error) {
			return g.answerCommand(ctx, *in, video.Delete, video.CommandBody{})
		})
}

// onRecord describes the answer to a cancel that the workflow has not taken up yet.
func (g *Gateway) onRecord() *huma.Response {
	return g.videoResponse("The cancel is on record and takes hold as soon as the workflow can answer; no more bytes are taken")
}

func (g *Gateway) videoResponse(description string) *huma.Response {
	return &huma.Response{
		Description: description,
		Content: map[string]*huma.MediaType{"application/json": {
			Schema: g.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[video.Video](), true, "Video"),
		}},
	}
}

// commandAnswer is the video as it is after a command.
type commandAnswer struct {
	Status int
	Body   video.Video
}

func (g *Gateway) answerCommand(ctx context.Context, in ByID, c video.Command, body video.CommandBody) (*commandAnswer, error) {
	s, did, err := g.ask(ctx, in.ID, c, body)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	status := http.StatusOK
	if c == video.Delete || did == recorded {
		status = http.StatusAccepted
	}
	if did == erased {
		return &commandAnswer{status, erasedVideo(s, origin.From(ctx).Base)}, nil
	}
	v, err := g.render(ctx, s)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	return &commandAnswer{status, v}, nil
}

// Page is where a list goes on.
type Page struct {
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

// Videos is a page of a list, newest first.
type Videos struct {
	Videos     []video.Video `json:"videos"`
	NextCursor *string       `json:"next_cursor" doc:"null after the last page"`
}

type listAnswer struct{ Body Videos }

func (g *Gateway) registerLists() {
	type mine struct {
		Page
		Stage string `query:"stage" enum:"uploading,processing,reviewing,scheduled,publishing,published,pending_deletion,purging,draft,canceled,rejected"`
	}
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/me/videos", "list-my-videos", "The caller's own videos", http.StatusOK),
		func(ctx context.Context, in *mine) (*listAnswer, error) {
			var stages []video.Stage
			if in.Stage != "" {
				stages = []video.Stage{video.Stage(in.Stage)}
			}
			return g.listMine(ctx, in.Page, stages)
		})
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/me/drafts", "list-my-drafts", "The caller's own drafts", http.StatusOK),
		func(ctx context.Context, in *Page) (*listAnswer, error) {
			return g.listMine(ctx, *in, []video.Stage{video.Draft})
		})
	type profile struct {
		Page
		User string `path:"user"`
	}
	huma.Register(g.api, g.operation(http.MethodGet, "/v1/users/{user}/videos", "list-user-videos", "What somebody has published for everyone", http.StatusOK),
		func(ctx context.Context, in *profile) (*listAnswer, error) {
			if people.CheckName(in.User) != nil {
				return nil, g.errors.Problem(ctx, video.Errorf(video.NotFound, "There is nobody of that name."))
			}
			return g.list(ctx, in.Page, catalog.Query{Owner: g.people.OwnerID(in.User), PublicOnly: true})
		})
}

func (g *Gateway) listMine(ctx context.Context, in Page, stages []video.Stage) (*listAnswer, error) {
	who, err := people.SignedIn(ctx)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	return g.list(ctx, in, catalog.Query{Owner: g.people.OwnerID(who.Name), Stages: stages})
}

func (g *Gateway) list(ctx context.Context, in Page, q catalog.Query) (*listAnswer, error) {
	q.Cursor, q.Limit = in.Cursor, in.Limit
	all, next, err := g.loadAll(ctx, q)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	videos, err := g.renderAll(ctx, all)
	if err != nil {
		return nil, g.errors.Problem(ctx, err)
	}
	return &listAnswer{Videos{Videos: videos, NextCursor: optional(next)}}, nil
}
