// Package creation makes videos: of a request, of what a tus client says, or to be
// imported.
//
// What exists, where, and when it goes: a video's key in the vault first, tentative
// until its rows are in the catalog, then the rows, then its workflow, in this order.
// Whatever dies in between is made up for by a repeated request, or by Run, which
// starts workflows for rows without one and takes back keys without rows. The ids of
// requests with an Idempotency-Key are derived, so that the rows are the memory of it.
package creation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/secret"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Settings are what a Creator is told from outside.
type Settings struct {
	MaxBytes  int64 // largest upload
	Policy    video.Policy
	Allowance catalog.Allowance // what one person may have
	PerMinute int64             // new videos of one person; 0 for any number
	Import    fetch.Policy      // what a worker will fetch: here only looked at, to refuse early
	Primary   string            // the store that uploads go to
	Backups   []string          // the stores that are copied to
}

// Lives begins the lives of videos.
type Lives interface {
	// Start begins the life of a video. One that has begun, or is over, is no error. It
	// fails with Unavailable when that can't be known now.
	Start(ctx context.Context, in video.LifecycleInput) error
}

// Creator makes videos. Make it with New; it needs Run for what a crash leaves.
type Creator struct {
	settings Settings
	catalog  *catalog.Catalog
	vault    vault.Vault
	lives    Lives
	ownerID  func(name string) string
	log      *slog.Logger

	rates           *people.Rates
	uploads, repeat secret.Key
}

// New makes a Creator of its parts. ownerID is what stands for a person in the catalog.
func New(s Settings, c *catalog.Catalog, v vault.Vault, lives Lives, pepper []byte, ownerID func(name string) string, log *slog.Logger) (_ *Creator, err error) {
	made := &Creator{settings: s, catalog: c, vault: v, lives: lives, ownerID: ownerID, log: log, rates: people.NewRates(s.PerMinute)}
	if made.uploads, err = secret.Derive(pepper, "upload token"); err != nil {
		return nil, err
	}
	made.repeat, err = secret.Derive(pepper, "idempotency")
	return made, err
}

// UploadToken is the end of an upload's URL: 128 bits that can't be guessed from the id.
func (c *Creator) UploadToken(id video.ID) string {
	return video.EncodeToken(c.uploads.Sum([]byte(id))[:16])
}

// MayCreate is asked for each request to make a video, repeated ones included. It fails
// with RateLimited.
func (c *Creator) MayCreate(who people.Person) error {
	return c.rates.Take(who.Name, "new videos", time.Now())
}

// The bounds of the time after which somebody without room is asked to come
// again: it may be there sooner than it frees itself.
const (
	soonestRoom = 10 * time.Second
	latestRoom  = 10 * time.Minute
)

// noRoom tells whoever is over their allowance when to come again; other errors pass.
func noRoom(err error) error {
	excess, ok := errors.AsType[*catalog.Excess](err)
	refusal, refused := errors.AsType[*video.Error](err)
	if !ok || !refused {
		return err
	}
	wait := latestRoom
	if !excess.Until.IsZero() {
		wait = min(max(time.Until(excess.Until), soonestRoom), latestRoom)
	}
	return problem.Limited(refusal.Detail, wait)
}
