package vault

import (
	"context"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// shareFor is how long a key that was just asked for is lent again, to other requests of the
// process, without asking once more; from the moment it was asked for. Every
// loan is good for the rest of MaxLoan at least.
const shareFor = MaxLoan / 4

// sharedKeys are the keys that a process has been lent, one for all requests that use the
// same video. One that is lost is lent to nobody any more who comes later.
type sharedKeys struct {
	mu   sync.Mutex
	keys map[idHash]*sharedKey // as they are lent now
	lost map[*sharedKey]bool   // lost while somebody uses them
}

// sharedKey is one key, from the first request on, until the last one that uses it
// has ended and shareFor is over.
type sharedKey struct {
	hash idHash
	ask  chan struct{} // holds a token while somebody asks the database
	lost chan struct{} // closed once it was heard that the key is lost

	users int // loans, and requests that have none yet; under sharedKeys.mu, as the rest
	key   [32]byte
	asked time.Time // zero without a key
}

func (s *sharedKeys) init() {
	s.keys, s.lost = map[idHash]*sharedKey{}, map[*sharedKey]bool{}
}

// join makes the caller a user of a key, before the database is asked for it: so that a loss
// of which the process hears meanwhile is known to the one who asks.
func (s *sharedKeys) join(h idHash) *sharedKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[h]
	if k == nil {
		k = &sharedKey{hash: h, ask: make(chan struct{}, 1), lost: make(chan struct{})}
		s.keys[h] = k
	}
	k.users++
	return k
}

// leave ends a use, and reports whether it was the last one of a key that is lost.
func (s *sharedKeys) leave(k *sharedKey) (lostIsUnused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users--; k.users > 0 {
		return false
	}
	if s.lost[k] {
		clear(k.key[:])
		delete(s.lost, k)
		return true
	}
	if rest := time.Until(k.asked.Add(shareFor)); rest > 0 {
		time.AfterFunc(rest, func() { s.endUnused(k) })
	} else {
		s.end(k)
	}
	return false
}

// endUnused ends a key that was not used again.
func (s *sharedKeys) endUnused(k *sharedKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users == 0 {
		s.end(k)
	}
}

func (s *sharedKeys) end(k *sharedKey) {
	clear(k.key[:])
	k.asked = time.Time{}
	if s.keys[k.hash] == k {
		delete(s.keys, k.hash)
	}
}

// lose makes sure that a key is lent to nobody who doesn't ask the database first.
func (s *sharedKeys) lose(h idHash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[h]
	if k == nil {
		return
	}
	s.end(k)
	close(k.lost)
	if k.users > 0 {
		s.lost[k] = true
	}
}

// held are the hashes of the lost keys that are still used.
func (s *sharedKeys) held() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := [][]byte{}
	for k := range s.lost {
		all = append(all, k.hash[:])
	}
	return all
}

// lending reports whether any key is used.
func (s *sharedKeys) lending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.users > 0 {
			return true
		}
	}
	return len(s.lost) > 0
}

// get returns the key if it was asked for within shareFor.
func (s *sharedKeys) get(k *sharedKey, key *[32]byte) (asked time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(k.asked) >= shareFor {
		return time.Time{}, false
	}
	*key = k.key
	return k.asked, true
}

// put keeps a key for the others, unless it was lost.
func (s *sharedKeys) put(k *sharedKey, key *[32]byte, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !k.isLost() {
		k.key, k.asked = *key, asked
	}
}

func (k *sharedKey) isLost() bool {
	select {
	case <-k.lost:
		return true
	default:
		return false
	}
}

// Lend implements Vault.
func (v *PostgresVault) Lend(ctx context.Context, id video.ID) (*Loan, error) {
	if err := v.usable(ctx); err != nil {
		return nil, err
	}
	k := v.shared.join(hashOf(id))
	leave := func() {
		if v.shared.leave(k) {
			v.heeder.ring() // somebody may wait for that
		}
	}
	var key [32]byte
	defer clear(key[:])
	asked, err := v.obtain(ctx, k, &key)
	if err != nil {
		leave()
		return nil, databaseFault(err)
	}
	return newLoan(&key, asked, v.renewal(k), k.lost, leave), nil
}

func (v *PostgresVault) renewal(k *sharedKey) checkLoan {
	return func(ctx context.Context) (time.Time, error) {
		if err := v.usable(ctx); err != nil {
			return time.Time{}, err
		}
		var key [32]byte
		defer clear(key[:])
		asked, err := v.obtain(ctx, k, &key)
		return asked, databaseFault(err)
	}
}

// obtain reads a key, shared or from the database, and returns a moment before it was
// asked for. Of several requests one asks.
func (v *PostgresVault) obtain(ctx context.Context, k *sharedKey, key *[32]byte) (asked time.Time, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, MaxLoan, errClaimed)
	defer cancel()
	select {
	case k.ask <- struct{}{}:
		defer func() { <-k.ask }()
	case <-ctx.Done():
		return asked, unavailable(context.Cause(ctx))
	}
	if asked, ok := v.shared.get(k, key); ok {
		return asked, nil
	}
	for {
		asked, lost := time.Now(), k.isLost()
		again, err := v.askFor(ctx, k.hash, key)
		switch {
		case err != nil:
			return asked, err
		case again:
			if err := pause(ctx, lookAgain); err != nil {
				return asked, unavailable(err)
			}
		case lost || !k.isLost(): // else it was asked before that was heard
			v.shared.put(k, key, asked)
			return asked, nil
		}
	}
}

// askFor asks the database for a key, and reports whether to ask again: while somebody looks
// whether the key can be discarded, which takes some milliseconds, and when this process
// must say first that it is alive.
func (v *PostgresVault) askFor(ctx context.Context, h idHash, key *[32]byte) (again bool, err error) {
	path, s, err := v.readPath(ctx, v.pool, h)
	defer path.forget()
	switch {
	case err != nil && s.begun:
		return false, gone()
	case err != nil:
		return false, err
	case s.begun:
		return false, gone()
	case !s.fresh:
		return true, v.heed(ctx)
	case s.excluded:
		return true, nil
	case !path.find(h, key):
		return false, notFound()
	}
	return false, nil
}
