package vaulttest

import (
	"sync"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func installation(t *testing.T, v vault.Vault) {
	belongs := func(want string) {
		t.Helper()
		got, err := v.Installation(t.Context())
		ok(t, err)
		if got != want {
			t.Errorf("belongs to %q, want %q", got, want)
		}
	}
	one, two := string(video.NewID()), string(video.NewID())
	belongs("")
	wantCode(t, v.SetInstallation(t.Context(), "", ""), video.Invalid)
	wantCode(t, v.SetInstallation(t.Context(), one, two), video.Conflict)
	belongs("")
	ok(t, v.SetInstallation(t.Context(), one, ""))
	ok(t, v.SetInstallation(t.Context(), one, ""))
	wantCode(t, v.SetInstallation(t.Context(), two, ""), video.Conflict)
	belongs(one)
	ok(t, v.SetInstallation(t.Context(), two, one))
	belongs(two)
}

func installationAtOnce(t *testing.T, v vault.Vault) {
	var all sync.WaitGroup
	var given sync.Map
	for range 8 {
		all.Go(func() {
			id := string(video.NewID())
			if err := v.SetInstallation(t.Context(), id, ""); err == nil {
				given.Store(id, true)
			} else {
				wantCode(t, err, video.Conflict)
			}
		})
	}
	all.Wait()
	kept, err := v.Installation(t.Context())
	ok(t, err)
	given.Range(func(id, _ any) bool {
		if id != kept {
			t.Errorf("it was told that the vault belongs to %v, and it belongs to %s", id, kept)
		}
		return true
	})
	if _, known := given.Load(kept); !known {
		t.Errorf("it belongs to %q, which nobody was told", kept)
	}
}

func unused(t *testing.T, v vault.Vault) {
	is := func(want bool) {
		t.Helper()
		got, err := v.Unused(t.Context())
		ok(t, err)
		if got != want {
			t.Errorf("unused: %v", got)
		}
	}
	is(true)
	ok(t, v.SetInstallation(t.Context(), string(video.NewID()), ""))
	_, err := v.Pepper(t.Context())
	ok(t, err)
	is(true)
	id := made(t, v)
	is(false)
	destroy(t, v, id)
	is(false)
}
