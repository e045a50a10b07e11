package vault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/reelflow/reelflow/video"
)

// A lock ends with Close, though a program that is just being started has its file, too.
func TestClaimEndsWithClose(t *testing.T) {
	t.Parallel()
	c, h := claims{filepath.Join(t.TempDir(), "loans")}, hashOf(video.NewID())
	if err := os.WriteFile(c.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, take := range map[string]func() (*claimed, error){
		"shared":    func() (*claimed, error) { return c.claim(t.Context(), h) },
		"exclusive": func() (*claimed, error) { return c.exclude(h) },
	} {
		held, err := take()
		if err != nil {
			t.Fatal(kind, err)
		}
		child, err := unix.FcntlInt(held.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.exclude(h); !errors.Is(err, errClaimed) {
			t.Errorf("%s: while it is held: %v", kind, err)
		}
		if err := held.Close(); err != nil {
			t.Error(kind, err)
		}
		again, err := c.exclude(h)
		if err != nil {
			t.Errorf("%s: after Close: %v", kind, err)
			continue
		}
		if err := errors.Join(again.Close(), unix.Close(child)); err != nil {
			t.Error(kind, err)
		}
	}
}
