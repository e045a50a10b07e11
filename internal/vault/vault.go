// Package vault keeps the keys of videos, and seals and opens what they protect.
//
// Every video has one random 256-bit key, from [Vault.Make] until
// [Vault.Destroy]. Everything else is derived from it and never stored: a key
// for each sealed object and column ([Key.Seal], [Key.SealColumn]) and one for
// each HLS segment ([Key.SegmentKey]). So destroying that one key makes every
// copy of everything unreadable, the copies that nobody can reach included.
//
// The keys lie in a key tree built so that after a destruction no older copy of
// it - snapshot, backup, stolen disk - opens again. Beside it lies the ledger: one
// content-free [Record] for each video whose destruction has begun. It stays for
// good. Tree and ledger belong together and are never part of a backup that could be
// rolled back. They are files of one host ([FileVault]), or tables of PostgreSQL for any
// number of hosts ([PostgresVault]).
package vault

import (
	"context"
	"iter"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reelflow/reelflow/video"
)

// MaxLoan is how long a loan is good for unless it is renewed, and with it the
// longest that Destroy waits for a borrower who was frozen.
const MaxLoan = 2 * time.Second

// Vault keeps the keys of videos. Any number of processes use the same one at
// once. Its methods may be called from several goroutines, and again whenever an
// answer was lost: each is idempotent, and what it has answered is durable.
//
// Every method fails with Unavailable when the vault can't be reached or ctx
// has ended, and with Internal when what it reads is damaged.
type Vault interface {
	// Make makes the key of a video; if there is one it stays as it is. Gone
	// if a destruction has begun: an id never gets a key after that.
	Make(ctx context.Context, id video.ID) error

	// A key that is made is tentative until Confirm: nothing that is to last is
	// sealed under it yet, so that it can be taken back by Discard. Tentative
	// goes through the ids of those keys, in no particular order, and ends at the
	// first error: what dies between Make and Confirm leaves one.
	Tentative(ctx context.Context) iter.Seq2[video.ID, error]

	// Confirm says that the video has come to be: its key is there to stay. It
	// does nothing for a key that was confirmed before, or that isn't there.
	Confirm(ctx context.Context, id video.ID) error

	// Discard takes back a tentative key for which there is no video. While the
	// key is not lent and can't be, it asks unused, whose error it returns with
	// the key left as it is, and destroys the key. Unlike after Destroy there is
	// no record, and the id may get another key. Without a key it does nothing.
	// Conflict, with the key left as it is, when it is lent or was confirmed;
	// Gone when its destruction has begun.
	Discard(ctx context.Context, id video.ID, unused func(context.Context) error) error

	// Lend lends the key for up to MaxLoan: well under a millisecond, so
	// borrow anew for each stretch of work rather than hold on. NotFound if
	// no key was ever made, Gone once a destruction has begun. The caller
	// must Release the loan.
	Lend(ctx context.Context, id video.ID) (*Loan, error)

	// Destroy commits the intent to the ledger, which refuses new loans from
	// then on, waits for the loans that are out, at most MaxLoan, and destroys
	// the key. A key that was never made is destroyed too: it can't be made
	// any more. The first call decides what the record says; later ones
	// complete it if need be and return it. When Destroy fails the intent may
	// stand nevertheless, and is completed by the next call or at the next
	// start. Invalid if the reason isn't a plain word.
	Destroy(ctx context.Context, intent Intent) (Record, error)

	// Restore gives the ledger the record of an erasure that was lost with another
	// vault, as a store or a catalog has kept it, and destroys the key if this vault has
	// it again. A record that stands stays. Like Destroy it completes what an earlier call
	// began. Invalid if it isn't a record.
	Restore(ctx context.Context, lost Record) error

	// Ledger finds a record by the hex SHA-256 of the id (video.ID.Hash).
	// Invalid if idHash doesn't look like one.
	Ledger(ctx context.Context, idHash string) (Record, bool, error)

	// Records goes through the whole ledger in no particular order. It ends
	// at the first error.
	Records(ctx context.Context) iter.Seq2[Record, error]

	// Pepper returns the 32 random bytes, made once with the vault, that key
	// the HMAC by which owners become opaque ids.
	Pepper(ctx context.Context) ([]byte, error)

	// Signer returns the key by which receipts are signed: the youngest, or another where
	// there is none or it has signed for longer than lasts. Of a key that signs no more the
	// private half is forgotten.
	Signer(ctx context.Context, lasts time.Duration) (SigningKey, error)

	// PublicKeys returns the public halves of all keys that ever signed, the oldest first.
	PublicKeys(ctx context.Context) ([]SigningKey, error)

	// Installation returns the id of the installation that the vault belongs to,
	// empty as long as it was given none.
	Installation(ctx context.Context) (string, error)

	// SetInstallation makes the vault belong to the installation id. It does nothing
	// when it does already, and fails with Conflict when it belongs to another than
	// replaced, which is empty for none. Invalid if the id is empty.
	SetInstallation(ctx context.Context, id, replaced string) error

	// Unused reports whether there has never been a key here: neither keys nor records.
	Unused(ctx context.Context) (bool, error)

	// Check opens everything that the vault keeps and counts it. What it finds damaged is in
	// the report; the error is of a check that couldn't be done.
	Check(ctx context.Context) (Report, error)

	// Rotate puts the keys under a new root, of which no older copy of anything knows, and
	// takes the old one out of the files where that isn't done at once.
	Rotate(ctx context.Context) error

	// Close ends the use of this vault, not the loans that are out. Every
	// other method fails from then on; closing again does nothing.
	Close() error
}

// Intent is the decision to destroy the key of a video.
type Intent struct {
	ID       video.ID
	Reason   string    // one lower-case word, as deleted, canceled, rejected, expired: the ledger never forgets, so nothing free
	HiddenAt time.Time // when the video was hidden; the zero time means now

	// TokenHash is the SHA-256 of the token in the address of the video's upload,
	// so that it is known for good, also to a catalog restored from a backup that is
	// older than the video. Empty if there is none.
	TokenHash []byte
}

// Record is what stays of a video for good. It holds nothing of its content.
// Times are in UTC, in whole milliseconds.
type Record struct {
	VideoSHA256    string    `json:"video_sha256"` // hex SHA-256 of the id
	Reason         string    `json:"reason"`
	HiddenAt       time.Time `json:"hidden_at"`
	KeyDestroyedAt time.Time `json:"key_destroyed_at,omitzero"` // zero as long as only the intent stands
	TokenSHA256    string    `json:"token_sha256,omitempty"`    // hex; see Intent

	// RootForgottenAt is the moment from which on no older root can be found, whoever holds
	// all files of the vault. Zero where that is when the key was destroyed.
	RootForgottenAt time.Time `json:"root_forgotten_at,omitzero"`
}

// Settings say where a vault is.
type Settings struct {
	// Address is that of the vault: a path, file:///path, or postgres://….
	Address string

	// Root is the home of the root of a vault in PostgreSQL, postgres://… or file:///path; the
	// vault's own address where it is empty.
	Root string

	// Rotation is the longest time until a root that was dropped can't be found any more in
	// the files of its server; DefaultRotation where it is zero.
	Rotation time.Duration

	// Log is told what goes wrong in the background; slog.Default where it is nil.
	Log *slog.Logger

	tracer pgx.QueryTracer // of tests
}

// DefaultRotation is the least often that old roots are taken out of a server's files.
const DefaultRotation = 24 * time.Hour

// Report is what a check has found of a vault.
type Report struct {
	Installation string
	Keys         int // that can be opened
	Tentative    int
	Records      int
	Pending      int // of these, whose key is still to be destroyed

	// ForgettingOverdue is since when something that was destroyed may still be found in the
	// files of the root's server, if that is for longer than it may be.
	ForgettingOverdue time.Time

	Damage []string // what can't be opened, or doesn't belong there
}

// OpenAt opens the vault of the settings. Invalid if they name none.
func OpenAt(ctx context.Context, s Settings) (Vault, error) {
	if isPostgres(s.Address) {
		return OpenPostgres(ctx, s)
	}
	if s.Root != "" {
		return nil, video.Errorf(video.Invalid, "A vault in a folder keeps its root in it: the root can have an address of its own only if the vault is at postgres://….")
	}
	scheme, _, isURL := strings.Cut(s.Address, "://")
	if !isURL && s.Address != "" {
		return Open(s.Address)
	}
	// The address itself is not repeated: other kinds may carry a password.
	u, err := url.Parse(s.Address)
	if err != nil || scheme != "file" || u.Host != "" || u.Path == "" {
		return nil, video.Errorf(video.Invalid, "The vault's address must be a path, file:///path or postgres://…, not %q.", scheme+"://…")
	}
	return Open(u.Path)
}

// Home is the kind of the home that an address names: postgres or file.
func Home(address string) string {
	if isPostgres(address) {
		return "postgres"
	}
	return "file"
}

func notFound() error { return video.Errorf(video.NotFound, "There is no such video.") }

// Missing is an error of Lend as it is of a video that is there: that its key is not found
// means that it was lost with another vault, and not that there is no such video. It is
// Internal then, so that what needs the key is tried again and shown, and nothing ends.
func Missing(err error) error {
	if err != nil && video.CodeOf(err) == video.NotFound {
		return video.Errorf(video.Internal, "The key of the video is missing in the key vault.").Because(err)
	}
	return err
}

func gone() error { return video.Errorf(video.Gone, "This video was deleted.") }

// damaged says that the vault itself can't be read any more.
func damaged(cause error) error {
	return video.Errorf(video.Internal, "The key vault is damaged.").Because(cause)
}

func unavailable(cause error) error {
	return video.Errorf(video.Unavailable, "The key vault can't be reached right now. Please try again.").Because(cause)
}
