// Package uploads is the tus 1.0 server at /v1/uploads/.
//
// The protocol is tusd's (github.com/tus/tusd/v2/pkg/handler); where bytes go,
// who may send them and what is answered when something is in the way is decided
// here. The bytes of an upload become segments of at most 8 MiB, each sealed in
// memory under the video's key, put into the primary store as
// v/<id>/source/<offset>-<random>, and counted in the catalog in their order.
// Plain bytes exist in the gateway's buffers only, whose sum is capped, and in what one
// read of a body returns: 16 to 128 KiB of each request under way. A body of less than 64 KiB
// is read to its end before its request asks for a lease.
//
// What exists where, and when it goes:
//
//   - the catalog's upload row with offset, lease and hash state: until the video is purged
//   - a manifest row for each segment, written before the segment: the same
//   - the segments in the primary store: the same. One that could not be counted -
//     another gateway took over, the checksum was wrong - is deleted again at
//     once; what a crash leaves is found by the purge, which lists the store
//   - a lease in the catalog: as long as a request needs it, or four seconds
//     after the gateway died
//   - what this gateway remembers of offsets, so that HEAD has an answer while the
//     catalog is down: until it ends
//
// The catalog alone decides how far an upload is. Any gateway can take any
// upload up at any byte; nothing depends on the one that began it.
package uploads

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	xslog "golang.org/x/exp/slog"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/turns"
	"github.com/reelflow/reelflow/internal/leases"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Path is where the server has its routes; see Register.
const Path = "/v1/uploads/"

// Settings of a Server. The zero value of each but MaxBytes has a default.
type Settings struct {
	// MaxBytes is the size above which an upload is refused. It must be set.
	MaxBytes int64

	// SegmentSize is how many plain bytes a segment holds at most: 8 MiB.
	SegmentSize int

	// Buffers is how many full segments are held in memory at once, by all
	// requests together: 32. When they are used up segments become shorter, and
	// then clients wait.
	Buffers int

	// FlushAfter is how long bytes may wait for more of them before they are
	// stored as a short segment. A checksum has to be awaited all the same.
	FlushAfter time.Duration

	// Beaten, unless nil, is told of each renewal of leases.
	Beaten func(took time.Duration, err error)

	// FreeSegments is how many segments an upload may have, of whatever size: 1,000. After
	// that only pieces of at least 64 KiB, and the last one, are stored.
	FreeSegments int64

	// Silence is how long a body may stay without a byte: two minutes. Bytes that come
	// more slowly than 512 a second use it up as well.
	Silence time.Duration
}

// FlushAfter is the default of the setting.
const FlushAfter = 5 * time.Second

func (s Settings) withDefaults() Settings {
	if s.SegmentSize <= 0 {
		s.SegmentSize = manifest.SegmentSize
	}
	if s.Buffers <= 0 {
		s.Buffers = 32
	}
	if s.FlushAfter <= 0 {
		s.FlushAfter = FlushAfter
	}
	if s.FreeSegments <= 0 {
		s.FreeSegments = 1000
	}
	if s.Silence <= 0 {
		s.Silence = 2 * time.Minute
	}
	return s
}

// NewUpload is what a client asks for by POST.
type NewUpload struct {
	Length   int64             // bytes; -1 when the client will say later
	Metadata map[string]string // as sent; any keys, any text, also none
}

// Created is the upload that answers a POST.
type Created struct {
	ID    video.ID
	Token string // 26 characters of lower-case base32: the end of the URL
}

// Host is what a Server needs from the gateway around it. Its errors are video.Errors.
type Host interface {
	// Create makes the video with its catalog rows (catalog.CreateVideo) and
	// workflow, or finds the one named by the metadata's video_id, for the caller
	// that it finds in r. Repeating it with the same video_id is a success with the same answer.
	// Metadata that it doesn't know or can't use is BadMetadata.
	Create(ctx context.Context, r *http.Request, req NewUpload) (Created, error)

	// Cancel cancels the video. Repeating it is a success, also when the video is gone.
	Cancel(ctx context.Context, id video.ID) error

	// MayCancel says why the sender of r may not cancel the video of an upload that has
	// every byte: nil for its signed-in owner alone.
	MayCancel(r *http.Request, id video.ID) error

	// Uploaded tells the workflow that every byte is stored. It is repeated
	// until it has succeeded once, and may be repeated after that.
	Uploaded(ctx context.Context, id video.ID) error

	// Problem is what an error is answered with.
	Problem(ctx context.Context, err error) *problem.Problem

	// Base is the public address of the gateway for the sender of r, without a slash at its end.
	Base(r *http.Request) string

	// Address is where r came from: those who share it share their turns.
	Address(r *http.Request) string
}

// Server answers tus requests. New makes one; Run must run beside it.
type Server struct {
	settings Settings
	catalog  *catalog.Catalog
	vault    vault.Vault
	store    objects.Store
	host     Host
	log      *slog.Logger

	tus      protocol
	buffers  *buffers
	slots    *slots
	pieces   *turns.Turns // of PATCHes that bring little
	heads    *turns.Turns // of HEADs
	memory   *memory
	echoes   *echoes
	absences *absences
	overdue  chan struct{}  // wakes the loop that announces finished uploads
	cleaning sync.WaitGroup // of segments that don't count
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server that puts segments into store. It fails when the settings make no sense.
func New(settings Settings, c *catalog.Catalog, v vault.Vault, store objects.Store, host Host, log *slog.Logger) (*Server, error) {
	if settings.MaxBytes <= 0 {
		return nil, video.Errorf(video.Invalid, "The largest allowed upload must be above 0 bytes.")
	}
	settings = settings.withDefaults()
	s := &Server{
		settings: settings, catalog: c, vault: v, store: store, host: host, log: log,
		buffers: newBuffers(settings.SegmentSize, settings.Buffers),
		slots:   newSlots(c, gatewayName(), settings.Beaten, log),
		pieces:  turns.New(pieceTurns, pieceTurnsEach, 0, nil), heads: turns.New(headTurns, headTurnsEach, headTurnLasts, nil),
		memory: newMemory(), echoes: newEchoes(), absences: newAbsences(),
		overdue: make(chan struct{}, 1),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	var err error
	s.tus, err = newProtocol(s.libraryConfig())
	return s, err
}

// libraryConfig is what tusd is told. Cross-origin rules and addresses are ours, because
// our own answers need them too.
func (s *Server) libraryConfig() handler.Config {
	parts := handler.NewStoreComposer()
	parts.UseCore(s)
	parts.UseLengthDeferrer(s)
	parts.UseLocker(s.slots)
	return handler.Config{
		StoreComposer:   parts,
		BasePath:        Path,
		MaxSize:         s.settings.MaxBytes,
		DisableDownload: true,
		Cors:            &handler.CorsConfig{Disable: true},
		// Drafts -01 to -05 of the IETF's resumable uploads: experimental.
		EnableExperimentalProtocol: true,
		// Longer than a body has patience: tusd would answer 500.
		NetworkTimeout:     2 * s.settings.Silence,
		AcquireLockTimeout: 2 * leases.Wait, // see lock.Lock
		Logger:             xslog.New(quiet{}),
	}
}

// Run keeps the leases of this gateway alive and repeats what was not yet
// announced, until ctx ends. Then it ends the transfers under way, with what has
// been stored kept, and returns when their leases are given back, which takes
// about a second, or longer while the store has to be cleaned up and is down.
func (s *Server) Run(ctx context.Context) error {
	beating, endBeat := context.WithCancel(context.WithoutCancel(ctx))
	defer endBeat()
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		s.slots.keeper.Run(beating)
	}()
	s.announceLoop(ctx)
	s.stop()
	s.absences.close()
	s.slots.letGo(errStopping, leases.TTL)
	endBeat()
	<-beats
	s.cleaning.Wait()
	return nil
}

// gatewayName tells this process from any other that holds leases, also from an
// earlier one on the same host.
func gatewayName() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// quiet drops tusd's log: each of its lines names the upload's URL, which is a secret.
type quiet struct{}

func (quiet) Enabled(context.Context, xslog.Level) bool  { return false }
func (quiet) Handle(context.Context, xslog.Record) error { return nil }
func (q quiet) WithAttrs([]xslog.Attr) xslog.Handler     { return q }
func (q quiet) WithGroup(string) xslog.Handler           { return q }
