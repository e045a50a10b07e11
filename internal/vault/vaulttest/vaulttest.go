// Package vaulttest says what every vault must do, and lends tests a vault of
// their own.
package vaulttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// New opens a vault for one test, which is gone after it. It is the real one,
// in a directory of the test's: it opens in milliseconds.
func New(t testing.TB) *vault.FileVault {
	t.Helper()
	v, err := vault.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Run checks a vault against the contract of vault.Vault. Each call of open
// returns a fresh one.
func Run(t *testing.T, open func(t *testing.T) vault.Vault) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, vault.Vault)
	}{
		{"a key is made once and lent again and again", madeOnce},
		{"every video has a key of its own", ownKeys},
		{"a key never made is not found", neverMade},
		{"a destroyed key is gone for good", destroyed},
		{"the first record stands", firstRecordStands},
		{"an id without a key can be destroyed", destroyWithoutKey},
		{"destroying one key leaves the others", othersStay},
		{"only a plain word is a reason", reasons},
		{"the ledger holds every record", ledger},
		{"the ledger is asked by hash", ledgerByHash},
		{"destruction waits for a loan to be released", waitsForLoans},
		{"destruction waits no longer than a loan lasts", waitIsBounded},
		{"destruction without loans is quick", quick},
		{"a loan is void after MaxLoan", loanEnds},
		{"a renewed loan goes on", renew},
		{"a kept loan ends when destruction begins", keptLoanEnds},
		{"nothing works with a released loan", released},
		{"many at once", manyAtOnce},
		{"a key is tentative until it is confirmed or destroyed", tentative},
		{"a tentative key is discarded", discarded},
		{"a key that is somebody's is not discarded", notDiscarded},
		{"nobody borrows a key while it is discarded", discardExcludes},
		{"a loan that had to wait is a whole one", waitedLoan},
		{"the ledger keeps the hash of the token", tokenHash},
		{"a lost record is restored, and its key destroyed again", restored},
		{"the pepper stays", pepper},
		{"it belongs to one installation", installation},
		{"of many installations one gets it", installationAtOnce},
		{"it is used from the first key on", unused},
		{"the youngest key signs, and all are published", signer},
		{"of many who need a signing key one makes it", signerAtOnce},
		{"a check counts what is there", checked},
		{"a new root loses no key", rotated},
		{"an ended context is unavailable", endedContext},
		{"a closed vault is unavailable", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := open(t)
			defer v.Close()
			c.check(t, v)
		})
	}
}

var hidden = time.Date(2026, 3, 1, 12, 30, 15, 123e6, time.FixedZone("CET", 3600))

func intent(id video.ID) vault.Intent {
	return vault.Intent{ID: id, Reason: "deleted", HiddenAt: hidden}
}

func madeOnce(t *testing.T, v vault.Vault) {
	id := made(t, v)
	sealed := sealUnder(t, v, id)
	ok(t, v.Make(t.Context(), id))
	openUnder(t, v, id, sealed)
	openUnder(t, v, id, sealed)
}

func ownKeys(t *testing.T, v vault.Vault) {
	a, b := made(t, v), made(t, v)
	sealed := sealUnder(t, v, a)
	_, err := lent(t, v, b).Key().Open("x", sealed)
	wantCode(t, err, video.Internal)
}

func neverMade(t *testing.T, v vault.Vault) {
	_, err := v.Lend(t.Context(), video.NewID())
	wantCode(t, err, video.NotFound)
}

func destroyed(t *testing.T, v vault.Vault) {
	id := made(t, v)
	destroy(t, v, id)
	_, err := v.Lend(t.Context(), id)
	wantCode(t, err, video.Gone)
	wantCode(t, v.Make(t.Context(), id), video.Gone)
	_, err = v.Lend(t.Context(), id)
	wantCode(t, err, video.Gone)
}

func firstRecordStands(t *testing.T, v vault.Vault) {
	id := made(t, v)
	before := time.Now().Add(-time.Millisecond)
	first := destroy(t, v, id)
	if first.VideoSHA256 != id.Hash() || first.Reason != "deleted" || first.HiddenAt != hidden.UTC() {
		t.Errorf("record = %+v", first)
	}
	if first.KeyDestroyedAt.Before(before) || first.KeyDestroyedAt.After(time.Now()) {
		t.Errorf("key destroyed at %v, which isn't now", first.KeyDestroyedAt)
	}
	again, err := v.Destroy(t.Context(), vault.Intent{ID: id, Reason: "expired", HiddenAt: time.Now()})
	ok(t, err)
	if again != first {
		t.Errorf("second call: %+v, first: %+v", again, first)
	}
	if r := record(t, v, id); r != first {
		t.Errorf("ledger: %+v, answer: %+v", r, first)
	}
}

func destroyWithoutKey(t *testing.T, v vault.Vault) {
	id := video.NewID()
	before := time.Now().Add(-time.Millisecond)
	r, err := v.Destroy(t.Context(), vault.Intent{ID: id, Reason: "canceled"})
	ok(t, err)
	if r.KeyDestroyedAt.IsZero() || r.HiddenAt.Before(before) {
		t.Errorf("record = %+v", r)
	}
	wantCode(t, v.Make(t.Context(), id), video.Gone)
}

func othersStay(t *testing.T, v vault.Vault) {
	ids := make([]video.ID, 40)
	sealed := make([][]byte, len(ids))
	for i := range ids {
		ids[i] = made(t, v)
		sealed[i] = sealUnder(t, v, ids[i])
	}
	for i := 0; i < len(ids); i += 2 {
		destroy(t, v, ids[i])
	}
	for i := 1; i < len(ids); i += 2 {
		openUnder(t, v, ids[i], sealed[i])
	}
}

func reasons(t *testing.T, v vault.Vault) {
	id := made(t, v)
	for _, reason := range []string{"", "Jane asked for it", "deleted.", "seventeen_and_a_half_bottles_of_rum"} {
		_, err := v.Destroy(t.Context(), vault.Intent{ID: id, Reason: reason})
		wantCode(t, err, video.Invalid)
	}
	lent(t, v, id)
}

func ledger(t *testing.T, v vault.Vault) {
	want := map[string]vault.Record{}
	for range 20 {
		r := destroy(t, v, made(t, v))
		want[r.VideoSHA256] = r
	}
	made(t, v)
	for r, err := range v.Records(t.Context()) {
		ok(t, err)
		if want[r.VideoSHA256] != r {
			t.Errorf("unexpected, or there twice: %+v", r)
		}
		delete(want, r.VideoSHA256)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func ledgerByHash(t *testing.T, v vault.Vault) {
	_, found, err := v.Ledger(t.Context(), made(t, v).Hash())
	ok(t, err)
	if found {
		t.Error("found the record of a living video")
	}
	for _, bad := range []string{"", "..", "pending", string(video.NewID()), "ABCDEF" + video.NewID().Hash()[6:]} {
		_, _, err := v.Ledger(t.Context(), bad)
		wantCode(t, err, video.Invalid)
	}
}

func waitsForLoans(t *testing.T, v vault.Vault) {
	id := made(t, v)
	one, two := lent(t, v, id), lent(t, v, id)
	done := make(chan struct{})
	go func() {
		defer close(done)
		destroy(t, v, id)
	}()
	until(t, "new loans are refused", func() bool {
		l, err := v.Lend(t.Context(), id)
		if err == nil {
			l.Release()
		}
		return video.CodeOf(err) == video.Gone
	})
	if r := record(t, v, id); !r.KeyDestroyedAt.IsZero() {
		t.Error("the key was destroyed while it was lent")
	}
	sealWith(t, one)
	one.Release()
	select {
	case <-done:
		t.Error("destroyed while the second loan was out")
	case <-time.After(vault.MaxLoan / 20):
	}
	sealWith(t, two)
	two.Release()
	select {
	case <-done:
	case <-time.After(vault.MaxLoan / 2):
		t.Error("not destroyed when the last loan was released")
	}
}

func waitIsBounded(t *testing.T, v vault.Vault) {
	id := made(t, v)
	l := lent(t, v, id)
	begun := time.Now()
	destroy(t, v, id)
	if took := time.Since(begun); took > vault.MaxLoan+vault.MaxLoan/2 {
		t.Errorf("took %v", took)
	}
	_, err := l.Key().Seal("x", nil, nil)
	wantCode(t, err, video.Unavailable)
}

func quick(t *testing.T, v vault.Vault) {
	id := made(t, v)
	sealUnder(t, v, id)
	lent(t, v, made(t, v)) // of another video: in nobody's way
	begun := time.Now()
	destroy(t, v, id)
	if took := time.Since(begun); took > vault.MaxLoan {
		t.Errorf("took %v", took)
	}
}

func loanEnds(t *testing.T, v vault.Vault) {
	id := made(t, v)
	l := lent(t, v, id)
	time.Sleep(vault.MaxLoan + 50*time.Millisecond)
	_, err := l.Key().Seal("x", nil, nil)
	wantCode(t, err, video.Unavailable)
	wantCode(t, l.Renew(t.Context()), video.Unavailable)
	lent(t, v, id)
}

func renew(t *testing.T, v vault.Vault) {
	id := made(t, v)
	l := lent(t, v, id)
	time.Sleep(vault.MaxLoan / 2)
	ok(t, l.Renew(t.Context()))
	time.Sleep(vault.MaxLoan * 5 / 8)
	sealWith(t, l)

	done := make(chan struct{})
	go func() {
		defer close(done)
		destroy(t, v, id)
	}()
	until(t, "a renewal is refused", func() bool { return l.Renew(t.Context()) != nil })
	wantCode(t, l.Renew(t.Context()), video.Gone)
	<-done
}

func keptLoanEnds(t *testing.T, v vault.Vault) {
	id := made(t, v)
	l := lent(t, v, id)
	ctx := l.Keep(t.Context())
	time.Sleep(vault.MaxLoan + vault.MaxLoan/4)
	sealWith(t, l)
	begun := time.Now()
	destroy(t, v, id)
	if took := time.Since(begun); took > vault.MaxLoan/2 {
		t.Errorf("took %v to get the kept loan back", took)
	}
	select {
	case <-ctx.Done():
		wantCode(t, context.Cause(ctx), video.Gone)
	case <-time.After(vault.MaxLoan):
		t.Error("the borrower wasn't told")
	}
}

func released(t *testing.T, v vault.Vault) {
	l := lent(t, v, made(t, v))
	ctx := l.Keep(t.Context())
	key := l.Key()
	l.Release()
	l.Release()
	_, err := key.Seal("x", nil, nil)
	wantCode(t, err, video.Unavailable)
	_, err = key.SegmentKey("1080", 1)
	wantCode(t, err, video.Unavailable)
	wantCode(t, l.Renew(t.Context()), video.Unavailable)
	<-ctx.Done()
}

func manyAtOnce(t *testing.T, v vault.Vault) {
	shared := video.NewID()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				id := made(t, v)
				ok(t, v.Make(t.Context(), shared))
				openUnder(t, v, id, sealUnder(t, v, id))
				openUnder(t, v, shared, sealUnder(t, v, shared))
				destroy(t, v, id)
			}
		})
	}
	all.Wait()
	records := make([]vault.Record, 8)
	for i := range records {
		all.Go(func() {
			r, err := v.Destroy(t.Context(), vault.Intent{ID: shared, Reason: "deleted", HiddenAt: hidden.Add(time.Duration(i) * time.Hour)})
			if err != nil {
				t.Error(err)
			}
			records[i] = r
		})
	}
	all.Wait()
	for _, r := range records {
		if r != records[0] {
			t.Errorf("two answers: %+v and %+v", records[0], r)
		}
	}
}

func pepper(t *testing.T, v vault.Vault) {
	one, err := v.Pepper(t.Context())
	ok(t, err)
	destroy(t, v, made(t, v))
	two, err := v.Pepper(t.Context())
	ok(t, err)
	if len(one) != 32 || string(one) != string(two) || string(one) == string(make([]byte, 32)) {
		t.Errorf("pepper %x, then %x", one, two)
	}
}

func endedContext(t *testing.T, v vault.Vault) {
	id := made(t, v)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range useAll(ctx, v, id) {
		t.Run(name, func(t *testing.T) { wantCode(t, err, video.Unavailable) })
	}
	lent(t, v, id)
}

func closed(t *testing.T, v vault.Vault) {
	id := made(t, v)
	l := lent(t, v, id)
	ok(t, v.Close())
	ok(t, v.Close())
	sealWith(t, l)
	for name, err := range useAll(t.Context(), v, id) {
		t.Run(name, func(t *testing.T) { wantCode(t, err, video.Unavailable) })
	}
}

// useAll calls every method that can fail with Unavailable.
func useAll(ctx context.Context, v vault.Vault, id video.ID) map[string]error {
	errs := map[string]error{"Make": v.Make(ctx, id)}
	_, errs["Lend"] = v.Lend(ctx, id)
	errs["Confirm"] = v.Confirm(ctx, id)
	errs["Discard"] = v.Discard(ctx, id, noVideo)
	for _, err := range v.Tentative(ctx) {
		errs["Tentative"] = err
	}
	_, errs["Destroy"] = v.Destroy(ctx, intent(id))
	_, _, errs["Ledger"] = v.Ledger(ctx, id.Hash())
	errs["Restore"] = v.Restore(ctx, vault.Record{VideoSHA256: id.Hash(), Reason: "deleted"})
	_, errs["Pepper"] = v.Pepper(ctx)
	_, errs["Installation"] = v.Installation(ctx)
	errs["SetInstallation"] = v.SetInstallation(ctx, "any", "")
	_, errs["Unused"] = v.Unused(ctx)
	_, errs["Check"] = v.Check(ctx)
	errs["Rotate"] = v.Rotate(ctx)
	errs["Records"] = nil
	for _, err := range v.Records(ctx) {
		errs["Records"] = err
	}
	return errs
}

func made(t *testing.T, v vault.Vault) video.ID {
	t.Helper()
	id := video.NewID()
	ok(t, v.Make(t.Context(), id))
	return id
}

func lent(t *testing.T, v vault.Vault, id video.ID) *vault.Loan {
	t.Helper()
	l, err := v.Lend(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

func destroy(t *testing.T, v vault.Vault, id video.ID) vault.Record {
	t.Helper()
	r, err := v.Destroy(t.Context(), intent(id))
	ok(t, err)
	return r
}

func record(t *testing.T, v vault.Vault, id video.ID) vault.Record {
	t.Helper()
	r, found, err := v.Ledger(t.Context(), id.Hash())
	ok(t, err)
	if !found {
		t.Error("no record")
	}
	return r
}

const secret = "what only this key opens"

func sealWith(t *testing.T, l *vault.Loan) []byte {
	t.Helper()
	sealed, err := l.Key().Seal("x", nil, []byte(secret))
	ok(t, err)
	return sealed
}

// sealUnder and openUnder borrow the key for as long as they need it.
func sealUnder(t *testing.T, v vault.Vault, id video.ID) []byte {
	t.Helper()
	l, err := v.Lend(t.Context(), id)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer l.Release()
	return sealWith(t, l)
}

func openUnder(t *testing.T, v vault.Vault, id video.ID, sealed []byte) {
	t.Helper()
	l, err := v.Lend(t.Context(), id)
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Release()
	plain, err := l.Key().Open("x", sealed)
	ok(t, err)
	if string(plain) != secret {
		t.Errorf("opened %q", plain)
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > vault.MaxLoan/2 {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func wantCode(t *testing.T, err error, code video.Code) {
	t.Helper()
	if err == nil || video.CodeOf(err) != code {
		t.Error(fmt.Errorf("want %s, got: %w", code, err))
	}
}
