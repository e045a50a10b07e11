// Package playback serves what players fetch: playlists, keys, segments, pictures and
// downloads, and makes the addresses of them.
//
// The address of a segment leads to bytes that are noise without their key, the same
// for everyone, so that caches may keep them. Every other address holds a token, whose
// class of people is compared with the video's row by each request: a deletion, or the
// end of a review, takes hold at the next one. Nothing behind a token may be kept by a
// cache. Keys are lent by the vault for a moment, and not once they are being destroyed.
package playback

import (
	"context"
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
	vault   Vault
	primary objects.Store
	host    Host
	errors  *problem.Answerer
	log     *slog.Logger
}

// New makes a Server.
func New(p Parts) *Server {
	return &Server{secret: p.Secret, catalog: p.Catalog, vault: p.Vault, primary: p.Primary, host: p.Host, errors: p.Errors, log: p.Log}
}

// Mux is where routes are registered.
type Mux interface {
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}

// Register registers what players fetch.
func (s *Server) Register(mux Mux) {
	mux.HandleFunc("GET /media/{id}/{rendition}/{name}", s.errors.Handle(s.serveSegment))
	for pattern, serve := range map[string]tokenHandler{
		"{playlist}":          s.servePlaylist,
		"key/{rendition}/{n}": s.serveKey,
		"poster.jpg":          s.servePoster,
		"preview/{name}":      s.servePreview,
		"source":              s.serveSource,
	} {
		mux.HandleFunc("GET /play/{id}/{token}/"+pattern, s.errors.Handle(s.withToken(serve)))
	}
}

type tokenHandler func(http.ResponseWriter, *http.Request, catalog.Video) error

// withToken lets those in whose address holds a good token, as long as the
// people whom it stands for may watch. Nothing behind it may be kept by a cache.
func (s *Server) withToken(serve tokenHandler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		id, err := video.ParseID(r.PathValue("id"))
		if err != nil {
			return err
		}
		row, err := s.catalog.Video(r.Context(), id)
		if err != nil {
			return err // an erased video is Gone whatever the token says
		}
		class, err := s.checkToken(id, r.PathValue("token"), time.Now())
		if err != nil {
			return err
		}
		if watches(row, class) != nil {
			return video.Errorf(video.Gone, "This video can't be watched any more.")
		}
		return serve(w, r, row)
	}
}

// watches says why a class of people may not watch a video, or nil.
func watches(row catalog.Video, c Class) error {
	return video.Facts{State: row.State(), Visibility: video.Visibility(row.Visibility), Roles: c.roles()}.Access().Watches
}

// mayWatchAsAny says why not even those who may most watch a video, or nil: what is
// asked of an address that anybody who watches has seen.
func mayWatchAsAny(row catalog.Video) error { return watches(row, Insider) }
