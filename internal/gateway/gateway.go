// Package gateway is everything that is reachable by HTTP: the API of videos,
// resumable uploads, playback, events and the pages.
//
// What exists, where, and when it goes:
//
//   - A video begins here: its key in the vault, then its row in the catalog, then
//     its workflow, in this order. Whatever dies in between is made up for by a
//     repeated request, or by the loop that starts workflows for rows without one.
//   - Every GET is answered from the catalog, and works while Temporal is down. A
//     command is an update of the workflow; the answer is what the catalog shows
//     once it has taken hold. A deletion and a cancel are on record in the catalog
//     before any workflow is told, and need none to be heeded.
//   - People's words are opened from their seal for one answer and kept nowhere.
//     Keys of HLS segments and addresses that carry a token are never to be cached;
//     segments are noise without their keys and may be.
//   - Nothing is kept in memory that must outlive the process: who follows which
//     video, how fast progress was lately, and which commands were not answered.
//
// It imports the catalog, the vault, the stores and Temporal's client, and starts
// workflows by name only.
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway/captioning"
	"github.com/reelflow/reelflow/internal/gateway/creation"
	"github.com/reelflow/reelflow/internal/gateway/deadlines"
	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/pages"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/playback"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/requests"
	"github.com/reelflow/reelflow/internal/gateway/secret"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Settings are what a gateway is told from outside.
type Settings struct {
	Auth     string          // "dev": everybody is who they say; else the issuer's URL
	Issuer   issuer.Settings // but for the URL; not used in dev mode
	MaxBytes int64           // largest upload
	// MaxDuration is that of the longest video. The pages advise by it; whether a
	// file is longer is for the workers to find out, who look into it.
	MaxDuration time.Duration
	Policy      video.Policy
	Limits      Limits
	Import      fetch.Policy // what a worker will fetch: here only looked at, to refuse early
	// PublicURL is how people reach the gateway, without a slash at the end. Empty: by
	// what a trusted proxy says, else by the name that each request came under.
	PublicURL string
	Proxies   []netip.Prefix // that are trusted; see origin.Rule
	// DevAnywhere opens development mode, in which everybody is who they say, to pages of
	// other sites and under other names than those of this machine.
	DevAnywhere bool
	Meter       Meter // nil: nothing is counted, and /metrics is not there
}

// Meter counts what a gateway does.
type Meter interface {
	requests.Counter
	// Beat is told of each renewal of the leases of uploads.
	Beat(took time.Duration, err error)
	// Handler answers with all that was counted.
	Handler() http.Handler
}

// Gateway serves HTTP. Make it with New; it needs Run for events and repairs.
type Gateway struct {
	settings Settings
	catalog  *catalog.Catalog
	vault    vault.Vault
	stores   objects.Set
	lives    Lives
	log      *slog.Logger
	errors   *problem.Answerer

	people   *people.People
	creation *creation.Creator
	uploads  *uploads.Server
	pages    *pages.Pages
	players  *playback.Server
	captions *captioning.Keeper

	followers  *followers
	streams    openStreams
	progress   *progressRates
	commands   *people.Rates
	reads      *people.Rates
	readTurns  readTurns
	unanswered *unanswered
	health     health
	bounds     *deadlines.Bounds // of every request
	metadata   metadataParser
	handler    http.Handler
	patterns   []string // of all routes
	api        huma.API
}

// New makes a gateway of its parts, which stay the caller's to close. It fails
// with Invalid for settings that can't be served and Unavailable when the vault
// can't be reached.
func New(s Settings, c *catalog.Catalog, v vault.Vault, stores objects.Set, temporal client.Client, log *slog.Logger) (*Gateway, error) {
	return newGateway(s, c, v, stores, temporalLives{temporal}, log)
}

func newGateway(s Settings, c *catalog.Catalog, v vault.Vault, stores objects.Set, lives Lives, log *slog.Logger) (*Gateway, error) {
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	pepper, err := v.Pepper(context.Background())
	if err != nil {
		return nil, err
	}
	g := &Gateway{settings: s, catalog: c, vault: v, stores: stores, lives: lives, log: log,
		followers: newFollowers(), progress: newProgressRates(), unanswered: newUnanswered(), metadata: newMetadataParser(), bounds: deadlines.Usual(),
		commands: people.NewRates(s.Limits.Commands), reads: people.NewRates(s.Limits.Reads), readTurns: newReadTurns()}
	if err := g.makeRooms(pepper); err != nil {
		return nil, err
	}
	if g.handler, err = g.routes(); err != nil {
		return nil, err
	}
	return g, nil
}

// makeRooms makes the parts of the gateway, each with what it has to know of the others.
func (g *Gateway) makeRooms(pepper []byte) (err error) {
	s := g.settings
	g.errors = &problem.Answerer{Log: g.log}
	if g.pages, err = pages.New(readModel{g}, pages.Limits{MaxBytes: s.MaxBytes, MaxDuration: s.MaxDuration}, g.errors, g.log); err != nil {
		return err
	}
	g.errors.Page = g.pages.Problem
	if g.people, err = people.New(people.Settings{Auth: s.Auth, Issuer: s.Issuer}, pepper, g.pages, g.errors); err != nil {
		return err
	}
	tokens, err := secret.Derive(pepper, "playback")
	if err != nil {
		return err
	}
	g.players = playback.New(playback.Parts{Secret: tokens, Catalog: g.catalog, Vault: g.vault, Primary: g.stores.Primary, Host: playbackHost{g}, Errors: g.errors, Log: g.log})
	g.captions = captioning.New(g.catalog, g.vault, g.stores, g.log)
	if g.creation, err = creation.New(g.creationSettings(), g.catalog, g.vault, g.lives, pepper, g.people.OwnerID, g.log); err != nil {
		return err
	}
	transfers := uploads.Settings{MaxBytes: s.MaxBytes, FlushAfter: flushAfter(s.Policy)}
	if s.Meter != nil {
		transfers.Beaten = s.Meter.Beat
	}
	g.uploads, err = uploads.New(transfers, g.catalog, g.vault, g.stores.Primary, tusHost{g}, g.log)
	return err
}

func (g *Gateway) creationSettings() creation.Settings {
	s := g.settings
	settings := creation.Settings{
		MaxBytes: s.MaxBytes, Policy: s.Policy, PerMinute: s.Limits.Creates, Import: s.Import, Primary: g.stores.Primary.Name(),
		Allowance: catalog.Allowance{Uploads: s.Limits.Uploads, Bytes: s.Limits.Bytes, Unsized: s.MaxBytes},
	}
	for _, store := range g.stores.Backups {
		settings.Backups = append(settings.Backups, store.Name())
	}
	return settings
}

// origins is how the gateway finds out under which address it is reached.
func (g *Gateway) origins() origin.Rule {
	return origin.Rule{PublicURL: g.settings.PublicURL, Proxies: g.settings.Proxies}
}

// Handler serves every address.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Run does the gateway's work in the background until ctx ends: it follows
// videos for those who watch them, keeps the leases of uploads, starts the lives of
// videos whose gateway died before it could, and tells lives what is on record for
// them. Streams of events end with it, so that a server can shut down.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wait sync.WaitGroup
	wait.Go(func() { g.follow(ctx) })
	wait.Go(func() { g.creation.Run(ctx) })
	wait.Go(func() { g.keepPromises(ctx) })
	wait.Go(func() { g.players.Run(ctx) })
	wait.Go(func() { g.captions.Run(ctx) })
	err := g.uploads.Run(ctx)
	stop() // when the leases can't be kept, nothing else should go on
	wait.Wait()
	if ctx.Err() != nil && err == context.Cause(ctx) {
		return nil
	}
	return err
}

// flushAfter is how long received bytes may wait for more before they are stored:
// never for so long that an upload under way would pass for stalled.
func flushAfter(p video.Policy) time.Duration {
	if p.UploadStall <= 0 {
		return uploads.FlushAfter
	}
	return min(uploads.FlushAfter, p.UploadStall/2)
}
