package vaulttest

import (
	"reflect"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func checked(t *testing.T, v vault.Vault) {
	want := vault.Report{Installation: string(video.NewID())}
	check := func() {
		t.Helper()
		got, err := v.Check(t.Context())
		ok(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("found %+v, want %+v", got, want)
		}
	}
	ok(t, v.SetInstallation(t.Context(), want.Installation, ""))
	check()
	kept, lost := made(t, v), made(t, v)
	want.Keys, want.Tentative = 2, 2
	check()
	ok(t, v.Confirm(t.Context(), kept))
	destroy(t, v, lost)
	want.Keys, want.Tentative, want.Records = 1, 0, 1
	check()
}

func rotated(t *testing.T, v vault.Vault) {
	sealed := map[video.ID][]byte{}
	for range 40 {
		id := made(t, v)
		sealed[id] = sealUnder(t, v, id)
	}
	for range 2 {
		ok(t, v.Rotate(t.Context()))
		for id, sealed := range sealed {
			openUnder(t, v, id, sealed)
		}
		made(t, v)
	}
	report, err := v.Check(t.Context())
	ok(t, err)
	if report.Keys != 42 || len(report.Damage) > 0 {
		t.Errorf("found %+v", report)
	}
}
