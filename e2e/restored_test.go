package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// The catalog is restored from a backup that is older than an erasure: the ledger
// is applied to it before anything is served, so nothing of the video comes back, and the audit closes its receipt again.
func TestCatalogRestoredFromABackup(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me, stranger := r.as("me"), r.as("somebody")
	v := r.upload(me, clip(t, 3, 270, false))
	r.stage(me, v.ID, video.Published, time.Minute)
	backup := t.TempDir()
	r.atRest(func() { r.copyCatalog(r.dir, backup) })
	r.must(me.Delete(r.ctx, v.ID))
	r.erased(v.ID, time.Minute)
	r.atRest(func() { r.copyCatalog(backup, r.dir) })

	for _, c := range []struct{ who, method, address string }{
		{"a stranger", http.MethodGet, r.URLs[0] + "/watch/" + string(v.ID)},
		{"a tus client", http.MethodHead, v.UploadURL()},
		{"a tus client", http.MethodPatch, v.UploadURL()},
	} {
		if code := tus(t, c.method, c.address).StatusCode; code != http.StatusGone {
			t.Errorf("%s gets %d at %s %s, want 410", c.who, code, c.method, c.address)
		}
	}
	if _, err := stranger.Playback(r.ctx, v.ID); video.CodeOf(err) != video.Gone {
		t.Errorf("playback: %v, want gone", err)
	}
	if _, err := me.Video(r.ctx, v.ID); video.CodeOf(err) != video.Gone {
		t.Errorf("its owner gets %v, want gone", err)
	}
	r.staysGone(v.ID)
}

// atRest does something while no gateway and no worker runs.
func (r *rig) atRest(do func()) {
	r.t.Helper()
	all := append(append([]*stack.Process{}, r.Gateways...), r.Workers...)
	for _, p := range all {
		r.must(p.Kill())
	}
	do()
	for _, p := range all {
		r.must(p.Restart(r.ctx))
	}
}

// copyCatalog copies the database's files, and whatever of another state lies there goes.
func (r *rig) copyCatalog(from, to string) {
	r.t.Helper()
	old, err := filepath.Glob(filepath.Join(to, "catalog.db*"))
	r.must(err)
	for _, file := range old {
		r.must(os.Remove(file))
	}
	files, err := filepath.Glob(filepath.Join(from, "catalog.db*"))
	r.must(err)
	for _, file := range files {
		if strings.HasSuffix(file, "-shm") { // an index that is made anew
			continue
		}
		data, err := os.ReadFile(file)
		r.must(err)
		r.must(os.WriteFile(filepath.Join(to, filepath.Base(file)), data, 0o600))
	}
}
