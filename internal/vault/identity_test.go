package vault

import (
	"testing"

	"github.com/reelflow/reelflow/video"
)

// Whenever the process dies, the vault belongs to no installation or to the one, and
// is given it by whoever comes next.
func TestDeathWhileItIsGivenAnInstallation(t *testing.T) {
	t.Parallel()
	id := string(video.NewID())
	everyDeath(t, func(*FileVault) {}, func(v *FileVault) error { return v.SetInstallation(t.Context(), id, "") },
		func(t *testing.T, v *FileVault) {
			have, err := v.Installation(t.Context())
			if err != nil || have != "" && have != id {
				t.Errorf("it belongs to %q, %v", have, err)
			}
			if err := v.SetInstallation(t.Context(), id, ""); err != nil {
				t.Error(err)
			}
			if have, err := v.Installation(t.Context()); err != nil || have != id {
				t.Errorf("then to %q, %v", have, err)
			}
		})
}
