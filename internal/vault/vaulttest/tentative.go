package vaulttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// noVideo says that there is no video.
func noVideo(context.Context) error { return nil }

// wantTentative checks which of these ids have a tentative key.
func wantTentative(t *testing.T, v vault.Vault, want ...video.ID) {
	t.Helper()
	var got []video.ID
	for id, err := range v.Tentative(t.Context()) {
		ok(t, err)
		got = append(got, id)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("tentative: %v, want %v", got, want)
	}
}

func tentative(t *testing.T, v vault.Vault) {
	a, b, c := made(t, v), made(t, v), made(t, v)
	wantTentative(t, v, a, b, c)
	ok(t, v.Confirm(t.Context(), a))
	destroy(t, v, b)
	wantTentative(t, v, c)
	ok(t, v.Confirm(t.Context(), a))
	ok(t, v.Confirm(t.Context(), video.NewID()))
	ok(t, v.Make(t.Context(), a))
	ok(t, v.Make(t.Context(), c))
	wantTentative(t, v, c)
	lent(t, v, a)
}

func discarded(t *testing.T, v vault.Vault) {
	id, beside := made(t, v), made(t, v)
	sealed, kept := sealUnder(t, v, id), sealUnder(t, v, beside)
	ok(t, v.Discard(t.Context(), id, noVideo))
	ok(t, v.Discard(t.Context(), id, noVideo))
	ok(t, v.Discard(t.Context(), video.NewID(), noVideo))
	_, err := v.Lend(t.Context(), id)
	wantCode(t, err, video.NotFound)
	if _, found, err := v.Ledger(t.Context(), id.Hash()); found || err != nil {
		t.Errorf("in the ledger: %v, %v", found, err)
	}
	wantTentative(t, v, beside)
	openUnder(t, v, beside, kept)

	ok(t, v.Make(t.Context(), id))
	wantTentative(t, v, id, beside)
	_, err = lent(t, v, id).Key().Open("x", sealed)
	wantCode(t, err, video.Internal) // it is another key
}

func notDiscarded(t *testing.T, v vault.Vault) {
	discard := func(id video.ID, unused func(context.Context) error, want video.Code) {
		t.Helper()
		wantCode(t, v.Discard(t.Context(), id, unused), want)
	}
	confirmed, used, borrowed, gone := made(t, v), made(t, v), made(t, v), made(t, v)
	ok(t, v.Confirm(t.Context(), confirmed))
	discard(confirmed, noVideo, video.Conflict)
	discard(used, func(context.Context) error { return video.Errorf(video.Forbidden, "It is mine.") }, video.Forbidden)
	l := lent(t, v, borrowed)
	discard(borrowed, func(context.Context) error { t.Error("asked while it is lent"); return nil }, video.Conflict)
	sealWith(t, l)
	l.Release()
	destroy(t, v, gone)
	discard(gone, noVideo, video.Gone)
	for _, id := range []video.ID{confirmed, used, borrowed} {
		lent(t, v, id)
	}
}

func discardExcludes(t *testing.T, v vault.Vault) {
	id := made(t, v)
	borrowed := make(chan error, 1)
	ok(t, v.Discard(t.Context(), id, func(ctx context.Context) error {
		wantCode(t, v.Discard(ctx, id, noVideo), video.Conflict)
		go func() {
			l, err := v.Lend(ctx, id)
			if err == nil {
				l.Release()
			}
			borrowed <- err
		}()
		select {
		case err := <-borrowed:
			t.Errorf("lent, or refused, meanwhile: %v", err)
			borrowed <- err
		case <-time.After(vault.MaxLoan / 20):
		}
		return nil
	}))
	wantCode(t, <-borrowed, video.NotFound)
}

// A loan that had to wait for somebody who looked whether the key is used is as long
// as any other.
func waitedLoan(t *testing.T, v vault.Vault) {
	id, looking := made(t, v), make(chan struct{})
	go func() {
		<-looking
		time.Sleep(vault.MaxLoan / 2)
		close(looking)
	}()
	lending := make(chan *vault.Loan, 1)
	wantCode(t, v.Discard(t.Context(), id, func(ctx context.Context) error {
		go func() {
			l, err := v.Lend(context.WithoutCancel(ctx), id)
			ok(t, err)
			lending <- l
		}()
		looking <- struct{}{}
		<-looking
		return video.Errorf(video.Conflict, "It is used.")
	}), video.Conflict)
	if l := <-lending; l != nil {
		defer l.Release()
		time.Sleep(vault.MaxLoan * 5 / 8)
		sealWith(t, l)
	}
}

func tokenHash(t *testing.T, v vault.Vault) {
	id, sum := made(t, v), sha256.Sum256([]byte("token"))
	_, err := v.Destroy(t.Context(), vault.Intent{ID: id, Reason: "deleted", TokenHash: []byte("token")})
	wantCode(t, err, video.Invalid)
	_, err = v.Destroy(t.Context(), vault.Intent{ID: id, Reason: "deleted", TokenHash: sum[:]})
	ok(t, err)
	if r := record(t, v, id); r.TokenSHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("record = %+v", r)
	}
}
