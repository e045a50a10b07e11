package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/video"
)

// FileVault is a Vault in a directory of a local file system, shared by all
// processes of one machine (Linux). In it lie
//
//	root            the root key: the one thing that must be forgotten (see root.go)
//	tree/           the sealed key tree (see tree.go): noise without the root
//	ledger/         the records (see ledger.go)
//	tentative/      the ids of keys whose video may never come to be (see tentative.go)
//	pepper          32 random bytes
//	signing         the keys by which receipts are signed (see signing.go)
//	installation    the id of the installation that it belongs to (see identity.go)
//	lock, loans     empty; locked by writers, and by borrowers (see claims.go)
//
// Nothing is kept in memory between calls, so all processes see the same. Reading takes
// no lock; writing is one at a time. A process that is frozen while it writes,
// for the millisecond that takes, makes other writers fail with Unavailable
// until it goes on or dies.
//
// A power cut leaves the state before or after each step, as does the death of
// a process: what was under way is finished or taken back by the next writer,
// and a destruction once intended by the next Destroy or the next Open.
type FileVault struct {
	dir    string
	disk   *disk
	turn   turn
	tree   tree
	ledger ledger
	new    tentative
	claims claims
	closed atomic.Bool
}

// Open opens the vault in dir, and makes it if dir is empty or not there. It
// completes destructions that were intended but not finished, which takes at
// most MaxLoan.
func Open(dir string) (*FileVault, error) { return open(dir, &disk{}) }

func open(dir string, d *disk) (*FileVault, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault(err)
	}
	v := &FileVault{
		dir:    dir,
		disk:   d,
		turn:   turn{path: filepath.Join(dir, "lock"), here: make(chan struct{}, 1)},
		tree:   tree{rootPath: filepath.Join(dir, "root"), dir: filepath.Join(dir, "tree"), disk: d},
		ledger: ledger{dir: filepath.Join(dir, "ledger"), disk: d},
		new:    tentative{dir: filepath.Join(dir, "tentative"), disk: d},
		claims: claims{path: filepath.Join(dir, "loans")},
	}
	for _, step := range []func() error{v.layOut, v.settle, v.finishIntents} {
		if err := step(); err != nil {
			return nil, fault(err)
		}
	}
	return v, nil
}

// layOut makes the directories and the files to lock.
func (v *FileVault) layOut() error {
	pending := filepath.Join(v.ledger.dir, "pending")
	for _, dir := range []string{v.tree.dir, pending, v.new.dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, path := range []string{v.turn.path, v.claims.path} {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			return err
		}
		f.Close() // nothing was written
	}
	for _, dir := range []string{v.ledger.dir, v.dir, filepath.Dir(v.dir)} {
		if err := v.disk.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// settle brings what an earlier process left behind into a definite state.
func (v *FileVault) settle() error {
	giveBack, err := v.turn.take(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	_, slots, err := v.tree.readRoot()
	if err == nil && slots == 0 {
		err = v.initialise()
	}
	if err == nil {
		err = v.tree.heal()
	}
	if err == nil {
		err = v.tree.sweep()
	}
	return err
}

// initialise plants the tree, last of all: only with its root is there a vault.
func (v *FileVault) initialise() error {
	if err := v.isUnused(); err != nil {
		return err
	}
	pepper := make([]byte, 32)
	rand.Read(pepper)
	if err := v.disk.replace(v.pepperPath(), pepper); err != nil {
		return err
	}
	return v.tree.plant()
}

// isUnused fails if there was a vault here before: making a new root would turn
// the loss of the old one into a quiet loss of every key.
func (v *FileVault) isUnused() error {
	used, err := v.tree.holdsKeys()
	if err != nil {
		return err
	}
	if used {
		return damaged(errors.New("there are keys but no root to open them"))
	}
	for _, err := range v.ledger.all() {
		if err != nil {
			return err
		}
		return damaged(errors.New("there is a ledger but no root"))
	}
	return nil
}

// finishIntents completes what earlier processes intended. All intents were
// there before it began, so the waits for their loans end together.
func (v *FileVault) finishIntents() error {
	voidAt := time.Now().Add(MaxLoan)
	for hash, err := range hashes(filepath.Join(v.ledger.dir, "pending")) {
		if err != nil {
			return err
		}
		h, err := parseHash(hash)
		if err != nil {
			return fmt.Errorf("ledger/pending: %w", err)
		}
		if _, err := v.finish(context.Background(), h, voidAt); err != nil {
			return err
		}
	}
	return nil
}

// Make implements Vault.
func (v *FileVault) Make(ctx context.Context, id video.ID) error {
	return fault(v.writing(ctx, func() error {
		if err := v.standing(id.Hash()); err != nil {
			return err
		}
		h := hashOf(id)
		var key [32]byte
		defer clear(key[:])
		found, err := v.tree.find(h, &key)
		if err == nil && !found {
			err = v.new.note(h, id) // first, or a key that nobody confirms could not be found
		}
		if err != nil {
			return err
		}
		return v.tree.add(h)
	}))
}

// Lend implements Vault.
func (v *FileVault) Lend(ctx context.Context, id video.ID) (*Loan, error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	// The claim comes before the look into the ledger, and the intent before
	// Destroy's look at the claims: one of the two sees the other.
	claim, err := v.claims.claim(ctx, hashOf(id))
	if err != nil {
		return nil, fault(err)
	}
	asked := time.Now() // after the claim, which may have had to wait
	var key [32]byte
	defer clear(key[:])
	if err := v.borrow(ctx, id, &key); err != nil {
		claim.Close() // gives the claim back; nothing was written
		return nil, fault(err)
	}
	return newLoan(&key, asked, v.renewal(id), nil, func() { claim.Close() }), nil
}

func (v *FileVault) borrow(ctx context.Context, id video.ID, key *[32]byte) error {
	if err := v.standing(id.Hash()); err != nil {
		return err
	}
	h := hashOf(id)
	found, err := v.tree.find(h, key)
	for tries := 0; err != nil && tries < 3; tries++ {
		found, err = v.tree.find(h, key) // a writer changed the tree meanwhile
	}
	if err != nil {
		err = v.writing(ctx, func() (err error) {
			found, err = v.tree.find(h, key)
			return err
		})
	}
	if err == nil && !found {
		err = notFound()
	}
	return err
}

func (v *FileVault) renewal(id video.ID) checkLoan {
	return func(ctx context.Context) (time.Time, error) {
		asked := time.Now()
		if err := v.usable(ctx); err != nil {
			return asked, err
		}
		return asked, fault(v.standing(id.Hash()))
	}
}

// standing fails with Gone once the destruction of a key has begun.
func (v *FileVault) standing(hash string) error {
	_, found, err := v.ledger.find(hash)
	if err == nil && found {
		err = gone()
	}
	return err
}

// Destroy implements Vault.
func (v *FileVault) Destroy(ctx context.Context, intent Intent) (Record, error) {
	record, err := v.intend(ctx, intent)
	if err == nil && record.KeyDestroyedAt.IsZero() {
		record, err = v.finish(ctx, hashOf(intent.ID), time.Now().Add(MaxLoan))
	}
	if err != nil {
		return Record{}, fault(err)
	}
	return record, nil
}

// intend commits the intent, or returns the record that stands already.
func (v *FileVault) intend(ctx context.Context, intent Intent) (record Record, err error) {
	fresh, err := intent.record()
	if err != nil {
		return Record{}, err
	}
	err = v.writing(ctx, func() (err error) {
		var found bool
		record, found, err = v.ledger.find(fresh.VideoSHA256)
		if err != nil {
			return err
		}
		if found {
			return v.ledger.sync()
		}
		record = fresh
		return v.ledger.begin(fresh)
	})
	return record, err
}

// finish destroys a key whose intent stands, and completes the record. All
// loans of the key are void at voidAt.
func (v *FileVault) finish(ctx context.Context, h idHash, voidAt time.Time) (record Record, err error) {
	if err := v.claims.await(ctx, h, voidAt); err != nil {
		return Record{}, err
	}
	err = v.writing(ctx, func() (err error) {
		// Somebody else may have finished it meanwhile. Then this only makes
		// sure that the record is durable and no longer pending.
		var found bool
		record, found, err = v.ledger.find(h.String())
		if err != nil {
			return err
		}
		if !found {
			return damaged(fmt.Errorf("the intent of %s has vanished", h))
		}
		if record.KeyDestroyedAt.IsZero() {
			if err := v.tree.remove(h); err != nil {
				return err
			}
			if err := v.new.settle(h); err != nil {
				return err
			}
			record.KeyDestroyedAt = inLedger(time.Now())
		}
		return v.ledger.complete(record)
	})
	return record, err
}

// Restore implements Vault. Without a key here the record is complete as it is; with
// one it is an intent until that is destroyed, and its time is then.
func (v *FileVault) Restore(ctx context.Context, lost Record) error {
	h, err := parseHash(lost.VideoSHA256)
	if err == nil {
		err = mustBeReason(lost.Reason)
	}
	if err != nil {
		return err
	}
	pending := false
	err = v.writing(ctx, func() (err error) {
		pending, err = v.restore(h, lost)
		return err
	})
	if err == nil && pending {
		_, err = v.finish(ctx, h, time.Now().Add(MaxLoan))
	}
	return fault(err)
}

// restore reports whether a destruction is pending. The caller holds the lock.
func (v *FileVault) restore(h idHash, lost Record) (pending bool, err error) {
	stands, found, err := v.ledger.find(h.String())
	if err != nil {
		return false, err
	}
	if found {
		return stands.KeyDestroyedAt.IsZero(), v.ledger.sync()
	}
	var key [32]byte
	defer clear(key[:])
	if found, err = v.tree.find(h, &key); err != nil {
		return false, err
	}
	if found || lost.KeyDestroyedAt.IsZero() {
		lost.KeyDestroyedAt = time.Time{}
		return true, v.ledger.begin(lost)
	}
	return false, v.ledger.complete(lost)
}

// Ledger implements Vault.
func (v *FileVault) Ledger(ctx context.Context, idHash string) (Record, bool, error) {
	if err := v.usable(ctx); err != nil {
		return Record{}, false, err
	}
	if _, err := parseHash(idHash); err != nil {
		return Record{}, false, err
	}
	record, found, err := v.ledger.find(idHash)
	return record, found, fault(err)
}

// Records implements Vault.
func (v *FileVault) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := v.usable(ctx); err != nil {
			yield(Record{}, err)
			return
		}
		for record, err := range v.ledger.all() {
			if err == nil {
				err = v.usable(ctx)
			}
			if !yield(record, fault(err)) || err != nil {
				return
			}
		}
	}
}

// Pepper implements Vault.
func (v *FileVault) Pepper(ctx context.Context) ([]byte, error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	pepper, err := os.ReadFile(v.pepperPath())
	if err != nil {
		return nil, fault(err)
	}
	if len(pepper) != 32 {
		return nil, damaged(fmt.Errorf("pepper of %d bytes", len(pepper)))
	}
	return pepper, nil
}

func (v *FileVault) pepperPath() string { return filepath.Join(v.dir, "pepper") }

// Close implements Vault.
func (v *FileVault) Close() error {
	v.closed.Store(true)
	return nil
}

func (v *FileVault) usable(ctx context.Context) error {
	if v.closed.Load() {
		return unavailable(os.ErrClosed)
	}
	if ctx.Err() != nil {
		return unavailable(context.Cause(ctx))
	}
	return nil
}

// writing does change alone among all processes, on a tree that is whole.
func (v *FileVault) writing(ctx context.Context, change func() error) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	giveBack, err := v.turn.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	if err := v.tree.heal(); err != nil {
		return err
	}
	return change()
}

// fault gives an error of the file system its code.
func fault(err error) error {
	if _, known := errors.AsType[*video.Error](err); known || err == nil {
		return err
	}
	return unavailable(err)
}

func hashOf(id video.ID) idHash { return sha256.Sum256([]byte(id)) }

func (h idHash) String() string { return hex.EncodeToString(h[:]) }

func parseHash(s string) (h idHash, err error) {
	b, err := hex.DecodeString(s)
	copy(h[:], b)
	if err != nil || len(b) != len(h) || h.String() != s {
		return h, video.Errorf(video.Invalid, "That is not the hex SHA-256 of a video's id.")
	}
	return h, nil
}
