package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

func TestLife(t *testing.T) {
	t.Parallel()
	start(t, stack.Options{}).life()
}

// life takes a video through its whole life, judged by what ffprobe reads and the
// stores list.
func (r *rig) life() {
	r.t.Helper()
	t := r.t
	me, stranger := r.as("me"), r.as("somebody")
	v := r.upload(me, clip(t, 6, 270, false))
	if _, err := stranger.Video(r.ctx, v.ID); video.CodeOf(err) != video.NotFound {
		t.Errorf("a stranger may not know of it yet: %v", err)
	}
	v = r.stage(me, v.ID, video.Published, 90*time.Second)
	if len(v.Replicas) != 3 {
		t.Errorf("replicas: %+v", v.Replicas)
	}
	for _, replica := range v.Replicas {
		if replica.State != "complete" || replica.Objects == 0 || replica.Bytes == 0 {
			t.Errorf("after publication: %+v", replica)
		}
	}
	p, err := stranger.Playback(r.ctx, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames", "-of", "compact", p.HLS).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "codec_type=video|nb_read_frames=180") || !strings.Contains(string(out), "codec_type=audio") {
		t.Errorf("what plays: %v\n%s", err, out)
	}

	r.must(me.Delete(r.ctx, v.ID))
	for _, address := range []string{p.HLS, strings.Replace(p.HLS, "master.m3u8", "poster.jpg", 1)} {
		if code := get(t, address); code != http.StatusGone && code != http.StatusNotFound {
			t.Errorf("%s answers %d after the deletion was answered", address, code)
		}
	}
	if _, err := stranger.Video(r.ctx, v.ID); err == nil {
		t.Error("a stranger still sees a deleted video")
	}
	r.erased(v.ID, 30*time.Second)
	raw, err := me.Receipt(r.ctx, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var receipt video.Receipt
	if err := json.Unmarshal(raw, &receipt); err != nil {
		t.Fatal(err)
	}
	if receipt.Reason != video.ByDeletion || len(receipt.Stores) != 3 || receipt.KeyDestroyedAt.IsZero() || bytes.Contains(raw, []byte(v.ID)) {
		t.Errorf("receipt: %s", raw)
	}
	for _, store := range receipt.Stores {
		if store.Removed.Versions == 0 || !store.FoundAfter.Empty() {
			t.Errorf("receipt of %s: %+v", store.Store, store)
		}
	}
	for _, path := range []string{"/v1/videos/", "/watch/", "/embed/"} {
		if code := get(t, r.URLs[0]+path+string(v.ID)); code != http.StatusGone {
			t.Errorf("%s answers %d after the purge, want 410", path, code)
		}
	}
}

func get(t *testing.T, address string) int {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}
