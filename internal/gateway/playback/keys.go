package playback

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// shareTime is how long requests share one loan of a video's key, from when it was
// asked for. So Destroy, which waits for the loan, may wait for so much longer.
const shareTime = 100 * time.Millisecond

// lendTime bounds the wait for the vault: those who share a loan share its wait, and
// the one who asked may have left.
const lendTime = 2 * time.Second

// keys lends each key once for all the requests of a moment.
type keys struct {
	vault Vault
	mu    sync.Mutex
	lent  map[video.ID]*sharedLoan
}

type sharedLoan struct {
	ready chan struct{} // closed once loan or err is there
	loan  *vault.Loan
	err   error
	users int  // under keys.mu
	over  bool // nobody else joins; the last user releases it
}

// with lends the key for the time of do, which should be short: it may neither read
// from a store nor write to a viewer. Errors are those of Lend and of do.
func (k *keys) with(ctx context.Context, id video.ID, do func(vault.Key) error) error {
	l := k.join(ctx, id)
	defer k.leave(l)
	select {
	case <-l.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.err != nil {
		return l.err
	}
	return do(l.loan.Key())
}

// join makes the caller a user of the present loan, or of a new one.
func (k *keys) join(ctx context.Context, id video.ID) *sharedLoan {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lent[id]; l != nil {
		l.users++
		return l
	}
	l := &sharedLoan{ready: make(chan struct{}), users: 2} // the caller, and the time until it is over
	k.lent[id] = l
	go func() {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), lendTime)
		defer done()
		begun := time.Now()
		l.loan, l.err = k.vault.Lend(ctx, id)
		close(l.ready)
		if l.err != nil {
			k.end(id, l)
			return
		}
		time.AfterFunc(time.Until(begun.Add(shareTime)), func() { k.end(id, l) })
	}()
	return l
}

// end lets nobody else join.
func (k *keys) end(id video.ID, l *sharedLoan) {
	k.mu.Lock()
	delete(k.lent, id)
	l.over = true
	k.mu.Unlock()
	k.leave(l)
}

// leave releases the loan with its last user.
func (k *keys) leave(l *sharedLoan) {
	k.mu.Lock()
	l.users--
	last := l.over && l.users == 0
	k.mu.Unlock()
	if last && l.loan != nil {
		l.loan.Release()
	}
}

// serveKey hands out the key of one segment. The vault decides: once the key of
// the video is being destroyed it lends it no more.
func (s *Server) serveKey(w http.ResponseWriter, r *http.Request, at seen) error {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 {
		return problem.NothingHere()
	}
	var key [16]byte
	err = s.keys.with(r.Context(), at.id, func(k vault.Key) (err error) {
		key, err = k.SegmentKey(r.PathValue("rendition"), n)
		return err
	})
	if err != nil {
		return err
	}
	return s.write(w, "application/octet-stream", key[:])
}

// write answers with a text or a key.
func (s *Server) write(w http.ResponseWriter, contentType string, all []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(all)))
	if _, err := w.Write(all); err != nil {
		s.log.Debug("answer not sent", "error", err) // the viewer has gone: nobody is left to tell
	}
	return nil
}
