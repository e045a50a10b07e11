package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Loan is a key lent by a Vault. It ends by Release, or by itself MaxLoan after
// it was made or last renewed; when it ends the key is zeroed, and everything
// made from its Key (streams under way included) fails with Unavailable. So
// gather what is to be sealed or opened first, then borrow, work and release;
// a job that must hold on for longer calls Keep.
//
// Of the key itself there is one copy, which is zeroed; what the ciphers derived
// from it stays in the process's memory until that is used again. Hence no
// swap and no core dumps where keys are borrowed.
type Loan struct {
	secret   *secret
	check    checkLoan
	lost     <-chan struct{} // closed once a destruction is known; nil where only check knows
	giveBack func()          // tells the vault that the loan is over
	over     chan struct{}   // closed at the end
	once     sync.Once
}

// checkLoan asks the vault whether a key may still be used. It returns a moment before
// the vault looked into the ledger, from which on the loan is good for MaxLoan. Gone
// once a destruction has begun.
type checkLoan func(context.Context) (asked time.Time, err error)

// WithKey lends the key of a video for the time of do, which should be short. It fails
// as Vault.Lend does, and as do does.
func WithKey(ctx context.Context, v Vault, id video.ID, do func(Key) error) error {
	loan, err := v.Lend(ctx, id)
	if err != nil {
		return err
	}
	defer loan.Release()
	return do(loan.Key())
}

// newLoan makes a loan that counts from asked, a moment before the vault looked
// into the ledger. Whoever commits an intent after that look can therefore be
// sure that the loan has ended MaxLoan later.
func newLoan(key *[32]byte, asked time.Time, check checkLoan, lost <-chan struct{}, giveBack func()) *Loan {
	l := &Loan{
		secret: &secret{key: *key, until: asked.Add(MaxLoan)},
		check:  check, lost: lost, giveBack: giveBack, over: make(chan struct{}),
	}
	l.secret.mu.Lock()
	l.secret.timer = time.AfterFunc(time.Until(l.secret.until), l.expire)
	l.secret.mu.Unlock()
	return l
}

// Key returns the key, good for as long as the loan is.
func (l *Loan) Key() Key { return Key{l.secret} }

// Release ends the loan and zeroes the key. Releasing again does nothing.
func (l *Loan) Release() {
	l.once.Do(func() {
		l.secret.forget()
		l.giveBack()
		close(l.over)
	})
}

// Renew makes the loan good for another MaxLoan, or a quarter less where a vault shares
// what it has just looked up. Gone once a
// destruction has begun: the loan has then ended. Unavailable if the vault
// can't be reached, or if the loan had already ended: borrow anew.
func (l *Loan) Renew(ctx context.Context) error {
	asked, err := l.check(ctx)
	if video.CodeOf(err) == video.Gone {
		l.Release()
	}
	if err != nil {
		return err
	}
	return l.secret.extend(asked.Add(MaxLoan))
}

// keepEvery is how soon a kept loan notices a destruction.
const keepEvery = MaxLoan / 8

// Keep renews the loan in the background until Release or the end of ctx. The
// context it returns ends with the loan, and its cause then says why: Gone when
// the video is being destroyed, which is noticed within MaxLoan/8.
func (l *Loan) Keep(ctx context.Context) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(keepEvery)
		defer tick.Stop()
		lost := l.lost
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.over:
				end(errLoanOver())
				return
			case <-lost:
				lost = nil // once: what it says is found out by renewing
			case <-tick.C:
			}
			// Any other failure may pass; if it doesn't, the loan runs out.
			if err := l.Renew(ctx); video.CodeOf(err) == video.Gone {
				end(err)
				return
			}
		}
	}()
	return ctx
}

func (l *Loan) expire() {
	if !l.secret.renewed(l.expire) {
		l.Release()
	}
}

func errLoanOver() error {
	return video.Errorf(video.Unavailable, "This took too long. Please try again.").
		Because(errors.New("the loan of the key has ended"))
}

// Key is the key of one video, or what stands in for it while a loan lasts: it
// derives keys but never shows itself. The zero Key is one whose loan has ended.
type Key struct{ secret *secret }

// NewKey makes a Key of a secret that no vault lends, good for as long as the
// program runs: for what isn't a video's.
func NewKey(key [32]byte) Key { return Key{&secret{key: key}} }

// derive returns size bytes derived by HKDF-SHA256 (RFC 5869).
func (k Key) derive(salt []byte, info string, size int) ([]byte, error) {
	if k.secret == nil {
		return nil, errLoanOver()
	}
	k.secret.mu.RLock()
	defer k.secret.mu.RUnlock()
	if k.secret.ended() {
		return nil, errLoanOver()
	}
	return hkdf.Key(sha256.New, k.secret.key[:], salt, info, size)
}

// secret holds the one copy of a lent key.
type secret struct {
	mu    sync.RWMutex
	key   [32]byte
	until time.Time // zero: for ever
	void  bool
	timer *time.Timer
}

// ended needs mu. The clock is asked too, because after a freeze the timer may
// come later than whoever uses the key next.
func (s *secret) ended() bool {
	return s.void || !s.until.IsZero() && !time.Now().Before(s.until)
}

func (s *secret) extend(until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return errLoanOver()
	}
	if until.After(s.until) {
		s.until = until
	}
	return nil
}

// renewed reports whether the loan was extended since the timer was set, and
// then sets it to call again.
func (s *secret) renewed(again func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return false
	}
	s.timer = time.AfterFunc(time.Until(s.until), again)
	return true
}

func (s *secret) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.key[:])
	s.void = true
	s.timer.Stop()
}
