// Package playback serves what players fetch: playlists, keys, segments, captions, pictures and
// downloads, and makes the addresses of them.
//
// The address of a segment leads to bytes that are noise without their key, the same
// for everyone, so that caches may keep them. Every other address holds a token, whose
// class of people is compared with the video's row by each request: a deletion, or the
// end of a review, takes hold at the next one. Nothing behind a token may be kept by a
// cache. Keys are lent by the vault for a moment, and not once they are being destroyed.
package playback

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Catalog is what playback reads of it; see there.
type Catalog interface {
	PlaybackState(ctx context.Context, id video.ID) (catalog.PlaybackState, error)
	Packaged(ctx context.Context, id video.ID, store string) ([]catalog.Object, error)
	Video(ctx context.Context, id video.ID) (catalog.Video, error)
	Objects(ctx context.Context, id video.ID, f catalog.Filter) ([]catalog.Object, error)
}

// Vault lends keys of videos; see vault.Vault.
type Vault interface {
	Lend(ctx context.Context, id video.ID) (*vault.Loan, error)
}

// Host is what playback asks of the gateway around it.
type Host interface {
	// SourceName returns the name and the media type that the author gave to the
	// uploaded file, empty where nothing was said.
	SourceName(ctx context.Context, row catalog.Video) (filename, contentType string, err error)
}

// Parts are what a Server is made of. All must be set; they stay the caller's.
type Parts struct {
	Secret  []byte // 32 bytes: authenticates tokens
	Catalog Catalog
	Vault   Vault
	Primary objects.Store
	Host    Host
	Errors  *problem.Answerer
	Log     *slog.Logger
}

// Server serves players. Its methods may be called from many goroutines.
type Server struct {
	secret  []byte
	catalog Catalog
	primary objects.Store
	host    Host
	errors  *problem.Answerer
	log     *slog.Logger

	states     *states
	keys       *keys
	facts      *facts
	ciphertext *ciphertext
	downloads  *openDownloads
}

// New makes a Server. It needs Run to forget what was deleted.
func New(p Parts) *Server {
	s := &Server{secret: p.Secret, catalog: p.Catalog, primary: p.Primary, host: p.Host, errors: p.Errors, log: p.Log}
	s.states = newStates(p.Catalog)
	s.keys = &keys{vault: p.Vault, lent: map[video.ID]*sharedLoan{}}
	s.facts = newFacts(p.Catalog, p.Primary.Name(), factsSize)
	s.ciphertext = newCiphertext(ciphertextSize)
	s.downloads = newOpenDownloads(maxDownloads, maxDownloadsEach)
	return s
}

// Mux is where routes are registered.
type Mux interface {
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}

// Register registers what players fetch.
func (s *Server) Register(mux Mux) {
	mux.HandleFunc("GET /media/{id}/{rendition}/{name}", s.errors.Handle(withoutBody(s.serveSegment)))
	for pattern, serve := range map[string]tokenHandler{
		"{playlist}":          s.servePlaylist,
		"previews.vtt":        s.serveCues,
		"key/{rendition}/{n}": s.serveKey,
		"captions/{name}":     s.serveCaptions,
		"poster.jpg":          s.servePoster,
		"preview/{name}":      s.servePreview,
		"source":              s.serveSource,
	} {
		mux.HandleFunc("GET /play/{id}/{token}/"+pattern, s.errors.Handle(withoutBody(s.withToken(serve))))
	}
}

// seen is what a request has shown of itself, and the state of its video.
type seen struct {
	id    video.ID
	class Class
	catalog.PlaybackState
}

type tokenHandler func(http.ResponseWriter, *http.Request, seen) error

// withToken lets those in whose address holds a good token, as long as the
// people whom it stands for may watch. Nothing behind it may be kept by a cache.
func (s *Server) withToken(serve tokenHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		id, err := video.ParseID(r.PathValue("id"))
		if err != nil {
			return err
		}
		at := seen{id: id}
		if at.PlaybackState, err = s.states.of(r.Context(), id); err != nil {
			return err // an erased video is Gone whatever the token says
		}
		at.class, err = s.checkToken(id, r.PathValue("token"), time.Now())
		if errors.Is(err, errForged) {
			return cmp.Or(unseen(at.PlaybackState), err)
		}
		if err != nil {
			return err
		}
		access := at.class.access(at.State, at.Visibility)
		if access.Sees != nil {
			return access.Sees // as at the video's own address
		}
		if access.Watches != nil {
			return noMore()
		}
		return serve(w, r, at)
	}
}

func noMore() error { return video.Errorf(video.Gone, "This video can't be watched any more.") }

// access is what a class of people may do with a video.
func (c Class) access(s video.State, v video.Visibility) video.Access {
	return video.Facts{State: s, Visibility: v, Roles: c.roles()}.Access()
}

// watches says why a class of people may not watch a video, or nil.
func (c Class) watches(s video.State, v video.Visibility) error { return c.access(s, v).Watches }

// mustBeWatched fails when not even those may watch a video who may most: that is asked
// where an address shows no class, because only who watches has seen it.
func mustBeWatched(state catalog.PlaybackState) error {
	return Insider.watches(state.State, state.Visibility)
}

// unseen is what somebody is told who shows nothing: no more than at the video's own
// address. It is nil for what everybody sees.
func unseen(state catalog.PlaybackState) error {
	return video.Facts{State: state.State, Visibility: state.Visibility}.Access().Sees
}

// forgetEvery is how soon the memory of a deleted video is freed. It is not served
// meanwhile: each request asks the catalog.
const forgetEvery = 5 * time.Second

// Run drops from memory what nobody may watch any more, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.forgetDeleted(ctx)
		}
	}
}

func (s *Server) forgetDeleted(ctx context.Context) {
	known := s.ciphertext.ids()
	for _, id := range s.facts.ids() {
		known[id] = true
	}
	for id := range known {
		state, err := s.catalog.PlaybackState(ctx, id)
		if err == nil {
			err = mustBeWatched(state)
		}
		if code := video.CodeOf(err); err != nil && code.Permanent() {
			s.facts.forget(id)
			s.ciphertext.forget(id)
		}
	}
}
