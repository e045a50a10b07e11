package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// The catalog's files are gone. What was published plays on from the same addresses, byte for
// byte, what was deleted in the meantime is hidden, what was erased stays so, and lives go on to
// their end.
func TestCatalogIsLost(t *testing.T) {
	t.Parallel()
	r := start(t, audited)
	me := r.as("me")
	path := clip(t, 3, 270, false)
	ids := []video.ID{r.upload(me, path).ID, r.upload(me, path).ID, r.upload(me, path).ID}
	before := map[string]string{}
	for _, id := range ids {
		r.stage(me, id, video.Published, 2*time.Minute)
	}
	for _, id := range ids[:2] {
		p, err := me.Playback(r.ctx, id)
		r.must(err)
		r.everything(p.HLS, before)
		r.everything(p.Poster, before)
	}
	r.must(me.Delete(r.ctx, ids[2]))
	r.erased(ids[2], time.Minute)

	r.atRest(func() {
		files, err := filepath.Glob(filepath.Join(r.dir, "catalog.db*"))
		r.must(err)
		for _, file := range files {
			r.must(os.Remove(file))
		}
		if said, code := r.starter("adopt", "catalog"); code != 0 {
			t.Fatal(said)
		}
		if said, code := r.starter("catalog", "rebuild"); code != 0 || !strings.Contains(said, "made 2, there already 0, erased 0,") {
			t.Fatalf("%d: %s", code, said)
		}
	})
	after := map[string]string{}
	for address := range before {
		r.everything(address, after)
	}
	for address, body := range before {
		if after[address] != body {
			t.Errorf("%s answers with %d bytes, and with %d before", address, len(after[address]), len(body))
		}
	}
	if len(before) < 12 {
		t.Errorf("only %d addresses play", len(before))
	}
	if v, err := me.Video(r.ctx, ids[0]); err != nil || v.Stage != video.Published || v.Owner != "me" || len(v.Replicas) != 3 {
		t.Errorf("its owner sees %+v, %v", v, err)
	}
	if _, err := me.Video(r.ctx, ids[2]); video.CodeOf(err) != video.Gone {
		t.Errorf("the erased one: %v", err)
	}
	r.must(me.Delete(r.ctx, ids[0]))
	r.erased(ids[0], time.Minute)
	r.plays(me, ids[1])
}

// inPlaylist finds the addresses that a playlist names: lines, and those of keys.
var inPlaylist = regexp.MustCompile(`(?m)^[^#\s].*$|URI="([^"]+)"`)

// everything gets an address, and all that it names if it is a playlist, into bodies.
func (r *rig) everything(address string, bodies map[string]string) {
	r.t.Helper()
	if _, known := bodies[address]; known {
		return
	}
	answer, err := http.Get(address)
	r.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	r.must(err)
	bodies[address] = fmt.Sprint(answer.StatusCode, " ", string(body))
	if !strings.HasPrefix(string(body), "#EXTM3U") {
		return
	}
	base, err := url.Parse(address)
	r.must(err)
	for _, found := range inPlaylist.FindAllStringSubmatch(string(body), -1) {
		name := found[0]
		if found[1] != "" {
			name = found[1]
		}
		next, err := base.Parse(name)
		r.must(err)
		r.everything(next.String(), bodies)
	}
}
