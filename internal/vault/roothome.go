package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// rootID names a root without telling anything of its key, and treeID the tree that it
// is of.
type (
	rootID [16]byte
	treeID [16]byte
)

func newRootID() (id rootID) {
	rand.Read(id[:])
	return id
}

func (id rootID) String() string { return hex.EncodeToString(id[:]) }

// rootHome keeps the roots of one tree: the one that the tree's head names, and for the
// moment of a change the next one beside it. It is the only thing that must forget: what
// is dropped must not be found any more by whoever holds all of its files.
//
// A change of root adds the next one, commits the tree that names it, and drops the one
// before. All of it is done under the lock of the tree's head, so whoever has that knows
// that a root which the head doesn't name is of somebody who died, and drops it. Roots are
// dropped one by one, by their ids, which are never used again: somebody who lost the
// lock while frozen can drop nothing that is in use.
//
// Its methods may be called from any number of processes, and again when an answer
// was lost. Unavailable when the home can't be reached.
type rootHome interface {
	// load returns the key of a root, not found if it was dropped or never added.
	load(ctx context.Context, id rootID) (key [32]byte, found bool, err error)

	// roots lists the roots of the tree.
	roots(ctx context.Context) ([]rootID, error)

	// add keeps a root from now on, durably. Adding it again changes nothing.
	add(ctx context.Context, id rootID, key [32]byte) error

	// drop ends roots. What remains of them in files is gone after forgetsIn.
	drop(ctx context.Context, ids ...rootID) error

	// forgetsIn is the longest time from drop until no file holds the root any more.
	forgetsIn() time.Duration

	// forget takes what was dropped out of the files now.
	forget(ctx context.Context) error

	// keepForgetting calls forget as often as forgetsIn needs it, until ctx ends.
	keepForgetting(ctx context.Context, log *slog.Logger)

	// overdue says since when the home owes to forget something, if that is for longer
	// than forgetsIn. Zero if it isn't.
	overdue(ctx context.Context) (time.Time, error)

	close()
}

// errRootHomeFull is of a home that has no room for the next root, since somebody has
// died too often, or another writer is at it.
var errRootHomeFull = errors.New("there is no room for another root")

// openRootHome opens the home of the roots of a tree: a file, or a database on a server of
// its own. Invalid if the address is neither, or the server is one that doesn't forget.
func openRootHome(ctx context.Context, s Settings, tree treeID) (home rootHome, err error) {
	if isPostgres(s.Root) {
		r, err := openPostgresRoots(ctx, s, tree)
		if err != nil {
			return nil, err // and not a home that is nil
		}
		return r, nil
	}
	if u, err := url.Parse(s.Root); err == nil && u.Scheme == "file" && u.Host == "" && u.Path != "" {
		r, err := openFileRoots(u.Path, tree)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	scheme, _, _ := strings.Cut(s.Root, "://")
	return nil, video.Errorf(video.Invalid, "The address of the vault's root must be postgres://… or file:///path, not %q.", scheme+"://…")
}

func isPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}
