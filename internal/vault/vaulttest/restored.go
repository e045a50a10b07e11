package vaulttest

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// restored restores records of which another vault is lost: of a key that this one has
// never had, of one that it has again, as after a restore from a backup, and of one
// whose destruction was only intended.
func restored(t *testing.T, v vault.Vault) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lost := func(id video.ID, destroyed time.Time) vault.Record {
		return vault.Record{VideoSHA256: id.Hash(), Reason: "deleted", HiddenAt: at, KeyDestroyedAt: destroyed}
	}
	never, again, intended, living := video.NewID(), made(t, v), made(t, v), made(t, v)
	for range 2 {
		ok(t, v.Restore(t.Context(), lost(never, at)))
		ok(t, v.Restore(t.Context(), lost(again, at)))
		ok(t, v.Restore(t.Context(), lost(intended, time.Time{})))
	}
	if got := record(t, v, never); got != lost(never, at) {
		t.Errorf("of a key that it never had: %+v", got)
	}
	for _, id := range []video.ID{again, intended} {
		got := record(t, v, id)
		got.RootForgottenAt = time.Time{}
		if time.Since(got.KeyDestroyedAt) > time.Hour || got != lost(id, got.KeyDestroyedAt) {
			t.Errorf("of a key that it had: %+v", got)
		}
	}
	for _, id := range []video.ID{never, again, intended} {
		_, err := v.Lend(t.Context(), id)
		wantCode(t, err, video.Gone)
		wantCode(t, v.Make(t.Context(), id), video.Gone)
	}
	lent(t, v, living).Release()
	stands := destroy(t, v, living)
	ok(t, v.Restore(t.Context(), lost(living, at)))
	if got := record(t, v, living); got != stands {
		t.Errorf("a record that stood became %+v", got)
	}
	for _, bad := range []vault.Record{{}, {VideoSHA256: "x", Reason: "deleted"}, {VideoSHA256: never.Hash(), Reason: "Jane asked"}} {
		wantCode(t, v.Restore(t.Context(), bad), video.Invalid)
	}
}
