package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/reelflow/reelflow/video"
)

// unfinished is the small file that remembers an upload by the bytes of what was
// uploaded, where and by whom, so that the same command goes on with it, also when the
// file has got another name or date. It holds the id alone, and its name is a hash.
type unfinished struct{ path string }

func unfinishedUpload(s *shell, c *content) unfinished {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return unfinished{} // nobody's home: nothing is remembered
		}
		state = filepath.Join(home, ".local", "state")
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%x", s.URL, string(s.Token), c.size, c.sum))
	return unfinished{filepath.Join(state, "reelflow", "uploads", hex.EncodeToString(sum[:16]))}
}

func (u unfinished) recall() (video.ID, bool) {
	raw, err := os.ReadFile(u.path)
	if err != nil {
		return "", false // none, or none that can be read: a new upload it is
	}
	id, err := video.ParseID(strings.TrimSpace(string(raw)))
	return id, err == nil
}

func (u unfinished) remember(id video.ID) error {
	if u.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(u.path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(u.path, []byte(id+"\n"), 0o600)
}

func (u unfinished) forget() error {
	if err := os.Remove(u.path); err != nil && !errors.Is(err, fs.ErrNotExist) && u.path != "" {
		return err
	}
	return nil
}
